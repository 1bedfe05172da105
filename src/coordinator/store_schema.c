#include "coordinator/store_schema.h"

#include "base/own.h"

/*
 * Times are microseconds since 1970, 0 for none. Keys are text as the protocol
 * writes them. Lists of words, prefixes and endpoints are text with one space
 * between members.
 */
const char *const store_schema_steps[] = {
	"CREATE TABLE numbers (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
	"CREATE TABLE users ("
	" id INTEGER PRIMARY KEY, name TEXT NOT NULL, display_name TEXT NOT NULL,"
	" email TEXT NOT NULL, provider TEXT NOT NULL, provider_id TEXT NOT NULL,"
	" picture_url TEXT NOT NULL, groups TEXT NOT NULL, created INTEGER NOT NULL);"
	"CREATE UNIQUE INDEX users_provider ON users (provider_id) WHERE provider_id <> '';"
	"CREATE UNIQUE INDEX users_name ON users (name) WHERE provider_id = '';"
	"CREATE TABLE auth_keys ("
	" id INTEGER PRIMARY KEY, prefix TEXT NOT NULL UNIQUE, hash TEXT NOT NULL,"
	" user_id INTEGER REFERENCES users (id) ON DELETE SET NULL,"
	" reusable INTEGER NOT NULL, ephemeral INTEGER NOT NULL, used INTEGER NOT NULL,"
	" revoked INTEGER NOT NULL, tags TEXT NOT NULL, created INTEGER NOT NULL,"
	" expiry INTEGER NOT NULL, description TEXT NOT NULL);"
	"CREATE TABLE nodes ("
	" id INTEGER PRIMARY KEY, machine_key TEXT NOT NULL, node_key TEXT NOT NULL UNIQUE,"
	" disco_key TEXT NOT NULL, ipv4 TEXT UNIQUE, ipv6 TEXT UNIQUE, hostname TEXT NOT NULL,"
	" given_name TEXT NOT NULL UNIQUE, renamed INTEGER NOT NULL,"
	" user_id INTEGER REFERENCES users (id), tags TEXT NOT NULL, method TEXT NOT NULL,"
	" auth_key_id INTEGER NOT NULL, ephemeral INTEGER NOT NULL, authorized INTEGER NOT NULL,"
	" created INTEGER NOT NULL, last_seen INTEGER NOT NULL, expiry INTEGER NOT NULL,"
	" approved TEXT NOT NULL, capver INTEGER NOT NULL, endpoints TEXT NOT NULL,"
	" hostinfo TEXT, netinfo TEXT, home_derp INTEGER NOT NULL);"
	"CREATE TABLE api_keys ("
	" id INTEGER PRIMARY KEY, prefix TEXT NOT NULL UNIQUE, hash TEXT NOT NULL,"
	" created INTEGER NOT NULL, expiry INTEGER NOT NULL, last_seen INTEGER NOT NULL);"
	"CREATE TABLE policies ("
	" id INTEGER PRIMARY KEY, at INTEGER NOT NULL, author TEXT NOT NULL, text TEXT NOT NULL);"
	"CREATE TABLE audit ("
	" id INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL,"
	" target TEXT NOT NULL, before TEXT, after TEXT, chain BLOB NOT NULL);",
	/* Attributes of devices, roles of users. */
	"ALTER TABLE nodes ADD COLUMN attrs TEXT;"
	"ALTER TABLE users ADD COLUMN role TEXT NOT NULL DEFAULT '';",
	/* Logins that wait, SSH sessions that were allowed: what has an end. */
	"CREATE TABLE kept (kind TEXT NOT NULL, id TEXT NOT NULL, until INTEGER NOT NULL,"
	" body TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID;",
};

const unsigned store_schema_version = ARRAY_LEN(store_schema_steps);
