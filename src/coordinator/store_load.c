#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "coordinator/attributes.h"
#include "coordinator/hostinfo.h"
#include "coordinator/store_sqlite.h"

static struct span column(sqlite3_stmt *st, int i)
{
	const unsigned char *text = sqlite3_column_text(st, i);

	return span(text, text ? (size_t)sqlite3_column_bytes(st, i) : 0);
}

static void read_text(sqlite3_stmt *st, int i, char **slot)
{
	free(*slot);
	*slot = span_dup(column(st, i));
}

static char *read_optional(sqlite3_stmt *st, int i)
{
	return sqlite3_column_type(st, i) == SQLITE_NULL ? NULL : span_dup(column(st, i));
}

static uint64_t read_u64(sqlite3_stmt *st, int i)
{
	return (uint64_t)sqlite3_column_int64(st, i);
}

static wall read_time(sqlite3_stmt *st, int i)
{
	return (wall){ sqlite3_column_int64(st, i) };
}

static int read_ip(sqlite3_stmt *st, int i, struct ip *ret)
{
	if (sqlite3_column_type(st, i) == SQLITE_NULL)
		return 0;
	return ip_parse(column(st, i), ret);
}

static int load_user(sqlite3_stmt *st, struct store_sink *sink)
{
	struct user *u = user_new();

	u->id = read_u64(st, 0);
	read_text(st, 1, &u->name);
	read_text(st, 2, &u->display_name);
	read_text(st, 3, &u->email);
	read_text(st, 4, &u->provider);
	read_text(st, 5, &u->provider_id);
	read_text(st, 6, &u->picture_url);
	texts_split(&u->groups, column(st, 7));
	u->created = read_time(st, 8);
	read_text(st, 9, &u->role);
	sink->user(sink, u);
	return 0;
}

static int load_auth_key(sqlite3_stmt *st, struct store_sink *sink)
{
	struct auth_key *k = auth_key_new();

	k->id = read_u64(st, 0);
	read_text(st, 1, &k->prefix);
	read_text(st, 2, &k->hash);
	k->user_id = read_u64(st, 3);
	k->reusable = sqlite3_column_int(st, 4) != 0;
	k->ephemeral = sqlite3_column_int(st, 5) != 0;
	k->used = sqlite3_column_int(st, 6) != 0;
	k->revoked = sqlite3_column_int(st, 7) != 0;
	texts_split(&k->tags, column(st, 8));
	k->created = read_time(st, 9);
	k->expiry = read_time(st, 10);
	read_text(st, 11, &k->description);
	sink->auth_key(sink, k);
	return 0;
}

static int load_api_key(sqlite3_stmt *st, struct store_sink *sink)
{
	struct api_key *k = api_key_new();

	k->id = read_u64(st, 0);
	read_text(st, 1, &k->prefix);
	read_text(st, 2, &k->hash);
	k->created = read_time(st, 3);
	k->expiry = read_time(st, 4);
	k->last_seen = read_time(st, 5);
	sink->api_key(sink, k);
	return 0;
}

static int read_node_keys(sqlite3_stmt *st, struct node *n)
{
	int r = machine_pub_parse(column(st, 1), &n->machine);

	if (r >= 0)
		r = node_pub_parse(column(st, 2), &n->key);
	if (r >= 0)
		r = disco_pub_parse(column(st, 3), &n->disco);
	if (r >= 0)
		r = read_ip(st, 4, &n->ip4);
	if (r >= 0)
		r = read_ip(st, 5, &n->ip6);
	if (r >= 0)
		r = prefixes_split(&n->approved, column(st, 18));
	if (r >= 0)
		r = endpoints_split(&n->endpoints, column(st, 20));
	return r;
}

static int load_node(sqlite3_stmt *st, struct store_sink *sink)
{
	AUTO(node_unref) struct node *n = node_record_new();
	int r = read_node_keys(st, n);

	n->id = read_u64(st, 0);
	if (r < 0)
		return log_ret(r, "node %llu in the database", (unsigned long long)n->id);
	read_text(st, 6, &n->hostname);
	read_text(st, 7, &n->given_name);
	n->renamed = sqlite3_column_int(st, 8) != 0;
	n->user_id = read_u64(st, 9);
	texts_split(&n->tags, column(st, 10));
	n->method = register_method_parse(column(st, 11));
	n->auth_key_id = read_u64(st, 12);
	n->ephemeral = sqlite3_column_int(st, 13) != 0;
	n->authorized = sqlite3_column_int(st, 14) != 0;
	n->created = read_time(st, 15);
	n->last_seen = read_time(st, 16);
	n->expiry = read_time(st, 17);
	n->capver = (unsigned)sqlite3_column_int(st, 19);
	n->hostinfo = read_optional(st, 21);
	n->netinfo = read_optional(st, 22);
	n->home_derp = (unsigned)sqlite3_column_int(st, 23);
	n->attrs = read_optional(st, 24);
	n->attrs_until = attrs_until(n->attrs);
	hostinfo_derive(n);
	sink->node(sink, TAKE(n));
	return 0;
}

static const struct {
	const char *sql;
	int (*row)(sqlite3_stmt *st, struct store_sink *sink);
} tables[] = {
	{ "SELECT id, name, display_name, email, provider, provider_id, picture_url, groups,"
	  " created, role FROM users ORDER BY id",
	  load_user },
	{ "SELECT id, prefix, hash, user_id, reusable, ephemeral, used, revoked, tags, created,"
	  " expiry, description FROM auth_keys ORDER BY id",
	  load_auth_key },
	{ "SELECT id, prefix, hash, created, expiry, last_seen FROM api_keys ORDER BY id",
	  load_api_key },
	{ "SELECT id, machine_key, node_key, disco_key, ipv4, ipv6, hostname, given_name, renamed,"
	  " user_id, tags, method, auth_key_id, ephemeral, authorized, created, last_seen, expiry,"
	  " approved, capver, endpoints, hostinfo, netinfo, home_derp, attrs FROM nodes"
	  " ORDER BY id",
	  load_node },
};

static int load_table(struct store_sqlite *s, size_t i, struct store_sink *sink)
{
	sqlite3_stmt *st = NULL;
	int rc = sqlite3_prepare_v2(s->db, tables[i].sql, -1, &st, NULL);
	int r = 0;

	if (rc != SQLITE_OK)
		return sql_failed(s, rc, "load");
	while (r >= 0 && (rc = sqlite3_step(st)) == SQLITE_ROW)
		r = tables[i].row(st, sink);
	sqlite3_finalize(st);
	if (r < 0)
		return r;
	return rc == SQLITE_DONE ? 0 : sql_failed(s, rc, "load");
}

int sqlite_load(struct store *base, struct store_sink *sink)
{
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		int r = load_table(sqlite_of(base), i, sink);

		if (r < 0)
			return r;
	}
	return 0;
}
