#include "coordinator/import.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/rand.h"
#include "coordinator/hostinfo.h"
#include "coordinator/names.h"
#include "coordinator/state.h"
#include "coordinator/tailnet_policy.h"
#include "platform/dial.h"

void import_report_done(struct import_report *r)
{
	texts_done(&r->notes);
}

struct import {
	sqlite3 *db;
	struct state *st;
	struct tailnet_policy *policy; /* which says what tags a user may give */
	struct import_report *report;
	wall now;
};

/* ---- rows by the names of their columns, as versions differ in those ---- */

static int column(sqlite3_stmt *row, const char *name)
{
	for (int i = 0; i < sqlite3_column_count(row); i++)
		if (strcmp(sqlite3_column_name(row, i), name) == 0)
			return i;
	return -1;
}

static struct span text(sqlite3_stmt *row, const char *name)
{
	int i = column(row, name);
	const void *p = i < 0 ? NULL : sqlite3_column_blob(row, i);

	return span(p, p ? (size_t)sqlite3_column_bytes(row, i) : 0);
}

static uint64_t number(sqlite3_stmt *row, const char *name)
{
	int i = column(row, name);

	return i < 0 ? 0 : (uint64_t)sqlite3_column_int64(row, i);
}

/* "2026-01-02 15:04:05.123456789+00:00"; NULL and the year 1 are no time. */
static wall time_of(sqlite3_stmt *row, const char *name)
{
	struct span s = span_trim(text(row, name));
	AUTO_FREE char *copy = span_dup(s);
	wall t = { 0 };

	if (s.n < 19 || strncmp(copy, "0001-", 5) == 0)
		return t;
	copy[10] = 'T';
	return wall_parse(span_str(copy), &t) < 0 ? (wall){ 0 } : t;
}

static void set(char **slot, struct span s)
{
	free(*slot);
	*slot = span_dup(s);
}

/* A JSON list of texts. */
static void list_of(struct span json, void (*each)(void *arg, struct span s), void *arg)
{
	__attribute__((cleanup(arena_done))) struct arena a = { 0 };
	struct js *list = NULL;

	if (!json.n || js_parse(&a, json, false, &list, NULL) < 0)
		return;
	for (const struct js *m = js_first(list); m; m = m->next)
		if (m->kind == JS_STRING)
			each(arg, m->text);
}

static void add_text(void *arg, struct span s)
{
	texts_add(arg, s);
}

static void add_prefix(void *arg, struct span s)
{
	struct prefixes *list = arg;
	struct prefix p;

	if (list->n < NODE_ROUTES_MAX && prefix_parse(s, &p) >= 0)
		vec_push(list, prefix_masked(p));
}

static void add_endpoint(void *arg, struct span s)
{
	struct endpoints *list = arg;
	struct addr a;

	if (list->n < NODE_ENDPOINTS_MAX && addr_parse(s, &a) >= 0)
		vec_push(list, a);
}

static void say(struct import *im, const char *fmt, ...) PRINTF(2, 3);
static void say(struct import *im, const char *fmt, ...)
{
	AUTO_DONE(buf) struct buf line = { 0 };
	va_list ap;

	va_start(ap, fmt);
	buf_vfmt(&line, fmt, ap);
	va_end(ap);
	texts_add(&im->report->notes, buf_span(&line));
}

static void leave_out(struct import *im, const char *what, uint64_t id, const char *why)
{
	say(im, "%s %llu: %s", what, (unsigned long long)id, why);
	im->report->skipped++;
}

/* ---- records ---- */

static int take_user(struct import *im, sqlite3_stmt *row)
{
	struct user *u = user_new();

	u->id = number(row, "id");
	set(&u->name, text(row, "name"));
	set(&u->display_name, text(row, "display_name"));
	set(&u->email, text(row, "email"));
	set(&u->provider, text(row, "provider"));
	set(&u->provider_id, text(row, "provider_identifier"));
	set(&u->picture_url, text(row, "profile_pic_url"));
	u->created = time_of(row, "created_at");
	im->report->users++;
	return state_import_user(im->st, u, im->now, "import");
}

static int take_auth_key(struct import *im, sqlite3_stmt *row)
{
	struct auth_key *k = auth_key_new();
	struct span hash = text(row, "hash"), plain = text(row, "key");
	struct secret_parts parts;
	char digest[SECRET_HASH_MAX];

	k->id = number(row, "id");
	k->user_id = number(row, "user_id");
	k->reusable = number(row, "reusable") != 0;
	k->ephemeral = number(row, "ephemeral") != 0;
	k->used = number(row, "used") != 0;
	k->created = time_of(row, "created_at");
	k->expiry = time_of(row, "expiration");
	list_of(text(row, "tags"), add_text, &k->tags);
	texts_normalise(&k->tags);
	if (hash.n) {
		set(&k->prefix, text(row, "prefix"));
		set(&k->hash, hash);
	} else if (secret_parse(SECRET_AUTH_KEY, plain, &parts) >= 0) {
		secret_hash(parts.secret, digest);
		set(&k->prefix, span_str(parts.prefix));
		set(&k->hash, span_str(digest));
	} else {
		leave_out(im, "pre-auth key", k->id, "neither a hash nor a key");
		auth_key_free(k);
		return 0;
	}
	if (!state_user(im->st, k->user_id))
		k->user_id = 0;
	im->report->auth_keys++;
	return state_import_auth_key(im->st, k, im->now, "import");
}

static int take_api_key(struct import *im, sqlite3_stmt *row)
{
	struct api_key *k = api_key_new();

	k->id = number(row, "id");
	set(&k->prefix, text(row, "prefix"));
	set(&k->hash, text(row, "hash"));
	k->created = time_of(row, "created_at");
	k->expiry = time_of(row, "expiration");
	k->last_seen = time_of(row, "last_seen");
	im->report->api_keys++;
	return state_import_api_key(im->st, k, im->now, "import");
}

static int read_keys(sqlite3_stmt *row, struct node *n)
{
	struct span disco = text(row, "disco_key"), v4 = text(row, "ipv4"), v6 = text(row, "ipv6");
	int r = machine_pub_parse(text(row, "machine_key"), &n->machine);

	if (r >= 0)
		r = node_pub_parse(text(row, "node_key"), &n->key);
	if (r >= 0 && disco.n)
		r = disco_pub_parse(disco, &n->disco);
	if (r >= 0 && v4.n)
		r = ip_parse(v4, &n->ip4);
	if (r >= 0 && v6.n)
		r = ip_parse(v6, &n->ip6);
	return r;
}

static void read_owner(sqlite3_stmt *row, struct node *n)
{
	/* Before 0.28 the administrator's tags were called so. */
	struct span tags = text(row, column(row, "tags") >= 0 ? "tags" : "forced_tags");

	list_of(tags, add_text, &n->tags);
	texts_normalise(&n->tags);
	n->user_id = n->tags.n ? 0 : number(row, "user_id");
}

static void read_rest(struct import *im, sqlite3_stmt *row, struct node *n)
{
	char made[NAME_MAX_LEN + 1];

	set(&n->hostname, text(row, "hostname"));
	if (hostinfo_apply(n, text(row, "host_info")) < 0)
		log_debug("node %llu: its Hostinfo cannot be read", (unsigned long long)n->id);
	set(&n->given_name, text(row, "given_name"));
	name_sanitise(span_str(n->hostname), made);
	n->renamed = strncmp(made, n->given_name, strlen(made)) != 0;
	n->method = register_method_parse(text(row, "register_method"));
	n->auth_key_id = number(row, "auth_key_id");
	n->ephemeral = n->auth_key_id && state_auth_key(im->st, n->auth_key_id) &&
	               state_auth_key(im->st, n->auth_key_id)->ephemeral;
	n->created = time_of(row, "created_at");
	n->last_seen = time_of(row, "last_seen");
	n->expiry = time_of(row, "expiry");
	list_of(text(row, "approved_routes"), add_prefix, &n->approved);
	prefixes_normalise(&n->approved);
	list_of(text(row, "endpoints"), add_endpoint, &n->endpoints);
}

/* Headscale before 0.29.1 lost the user of some nodes; their key still knows him. */
static void find_owner(struct import *im, struct node *n)
{
	const struct auth_key *k = state_auth_key(im->st, n->auth_key_id);

	if (!n->tags.n && !n->user_id && k)
		n->user_id = k->user_id;
}

/*
 * Before 0.28 tags that a node asked for were judged anew for each map, and not
 * kept. Here, as in 0.28, a node has them for good if the policy lets its user
 * give them.
 */
static void grant_wishes(struct import *im, sqlite3_stmt *row, struct node *n)
{
	const struct user *u = state_user(im->st, n->user_id ? n->user_id : number(row, "user_id"));
	static const struct texts none = { 0 }; /* what it has already does not count against him */

	if (column(row, "forced_tags") < 0)
		return;
	for (size_t i = 0; i < n->request_tags.n; i++) {
		const char *tag = n->request_tags.v[i];
		unsigned long long id = n->id;

		if (texts_has(&n->tags, tag))
			continue;
		if (u && tailnet_policy_may_tag(im->policy, u, &none, tag)) {
			say(im, "node %llu: has %s, which it asked for", id, tag);
			texts_add(&n->tags, span_str(tag));
			n->user_id = 0;
		} else {
			say(im,
			    "node %llu: asked for %s, which its user may not give: "
			    "`nodes tag -i %llu -t %s` gives it",
			    id, tag, id, tag);
		}
	}
	texts_normalise(&n->tags);
}

static int take_node(struct import *im, sqlite3_stmt *row)
{
	AUTO(node_unref) struct node *n = node_record_new();

	n->id = number(row, "id");
	if (read_keys(row, n) < 0) {
		leave_out(im, "node", n->id, "its keys or addresses cannot be read");
		return 0;
	}
	read_owner(row, n);
	read_rest(im, row, n);
	find_owner(im, n);
	grant_wishes(im, row, n);
	if (!n->tags.n && !state_user(im->st, n->user_id)) {
		leave_out(im, "node", n->id, "it belongs to nobody");
		return 0;
	}
	im->report->nodes++;
	return state_import_node(im->st, TAKE(n), im->now, "import");
}

static int take_policy(struct import *im, sqlite3_stmt *row)
{
	im->report->policy = true;
	return state_policy_save(im->st, text(row, "data"), im->now, "import");
}

/* The policy that will be in force, with the users that there are. */
static int read_policy(struct import *im, const struct config *cfg, struct buf *ret)
{
	struct store *s = state_store(im->st);
	AUTO_FREE char *stored = NULL;
	wall at;
	int r;

	if (strcmp(cfg->policy_mode, "database") != 0)
		return *cfg->policy_path ? file_read(cfg->policy_path, POLICY_TEXT_MAX, ret) : 0;
	r = s->ops->get_policy(s, &stored, &at);
	if (r >= 0 && stored)
		buf_add_str(ret, stored);
	return r;
}

/* One that is not accepted is told, and gives no tags. */
static void set_policy(struct import *im, const struct config *cfg)
{
	AUTO_DONE(buf) struct buf source = { .max = POLICY_TEXT_MAX };
	struct policy_issues issues = { 0 };
	struct fault why = { 0 };
	int r = read_policy(im, cfg, &source);

	tailnet_policy_attach(im->policy, im->st);
	if (r < 0)
		say(im, "policy: %s cannot be read: %s", cfg->policy_path, err_text(r));
	else if (source.n && tailnet_policy_set(im->policy, buf_span(&source), POLICY_ON_START,
	                                        im->now, &issues) < 0) {
		tailnet_policy_explain(&issues, &why);
		say(im, "policy: not accepted here: %s", why.message);
	}
	policy_issues_done(&issues);
}

/* ---- tables ---- */

static const struct {
	const char *table, *sql;
	int (*take)(struct import *im, sqlite3_stmt *row);
} tables[] = {
	{ "users", "SELECT * FROM users WHERE deleted_at IS NULL ORDER BY id", take_user },
	{ "pre_auth_keys", "SELECT * FROM pre_auth_keys ORDER BY id", take_auth_key },
	{ "api_keys", "SELECT * FROM api_keys ORDER BY id", take_api_key },
	{ "policies", "SELECT * FROM policies ORDER BY id DESC LIMIT 1", take_policy },
	/* When what they need is there: approved_routes is the mark of 0.26. */
	{ "nodes", "SELECT *, approved_routes FROM nodes WHERE deleted_at IS NULL ORDER BY id",
	  take_node },
};

static int take_table(struct import *im, size_t i)
{
	sqlite3_stmt *row = NULL;
	int r = 0, rc = sqlite3_prepare_v2(im->db, tables[i].sql, -1, &row, NULL);

	if (rc != SQLITE_OK) {
		log_error("%s: %s: not the schema of Headscale 0.26 to 0.29", tables[i].table,
		          sqlite3_errmsg(im->db));
		return ERR_MALFORMED;
	}
	while (r >= 0 && (rc = sqlite3_step(row)) == SQLITE_ROW)
		r = tables[i].take(im, row);
	sqlite3_finalize(row);
	if (r < 0)
		return log_ret(r, "cannot take over %s", tables[i].table);
	return rc == SQLITE_DONE ? 0 : ERR_MALFORMED;
}

static int open_source(const char *path, sqlite3 **ret)
{
	if (sqlite3_open_v2(path, ret, SQLITE_OPEN_READWRITE, NULL) == SQLITE_OK)
		return 0;
	log_error("cannot open %s: %s", path, sqlite3_errmsg(*ret));
	return ERR_STORE;
}

static bool has_table(sqlite3 *db, const char *name)
{
	sqlite3_stmt *st = NULL;
	bool found = false;

	if (sqlite3_prepare_v2(db, "SELECT 1 FROM sqlite_master WHERE type='table' AND name=?", -1,
	                       &st, NULL) == SQLITE_OK) {
		sqlite3_bind_text(st, 1, name, -1, SQLITE_STATIC);
		found = sqlite3_step(st) == SQLITE_ROW;
	}
	sqlite3_finalize(st);
	return found;
}

bool import_is_headscale(const char *path)
{
	sqlite3 *db = NULL;
	bool is = access(path, R_OK) == 0 && open_source(path, &db) >= 0 &&
	          has_table(db, "migrations") && has_table(db, "pre_auth_keys");

	sqlite3_close(db);
	return is;
}

/* ---- the whole ---- */

static int build(struct import *im, const struct config *cfg, const char *target)
{
	struct rand_src rand;
	struct state_cfg scfg = { .v4 = cfg->v4, .v6 = cfg->v6 };
	struct state_env env = { .rand = &rand };
	AUTO(store_close) struct store *store = NULL;
	int r = store_sqlite_open(target, &store);

	rand_system(&rand);
	if (r >= 0)
		r = state_new(&scfg, &env, store, &im->st);
	if (r < 0)
		return r;
	store = NULL;
	im->policy = tailnet_policy_new(cfg->server_url);
	for (size_t i = 0; r >= 0 && i < ARRAY_LEN(tables); i++) {
		if (tables[i].take == take_node)
			set_policy(im, cfg);
		r = take_table(im, i);
	}
	state_free(im->st);
	tailnet_policy_free(im->policy);
	return r;
}

static void discard(const char *path)
{
	static const char *const ends[] = { "", "-wal", "-shm" };

	for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
		AUTO_FREE char *name = str_fmt("%s%s", path, ends[i]);

		(void)unlink(name); /* it need not be there */
	}
}

/* Everything of the old one into its file, then the two change places. */
static int swap(sqlite3 *old, const char *path, const char *target)
{
	AUTO_FREE char *kept = str_fmt("%s.headscale", path);

	if (sqlite3_wal_checkpoint_v2(old, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL) !=
	    SQLITE_OK) {
		log_error("%s is in use: stop the server first", path);
		return ERR_BADSTATE;
	}
	if (access(kept, F_OK) == 0) {
		log_error("%s is there already", kept);
		return ERR_EXISTS;
	}
	return rename(path, kept) < 0 || rename(target, path) < 0 ? -errno : 0;
}

static bool server_runs(const struct config *cfg)
{
	AUTO(fd_close) int fd = -1;

	return dial_unix(cfg->unix_socket, &fd) >= 0;
}

/* The file is ours, and what it was made from lies beside it. */
static bool taken_over(const struct config *cfg)
{
	AUTO_FREE char *kept = str_fmt("%s.headscale", cfg->db_path);

	return !import_is_headscale(cfg->db_path) && access(cfg->db_path, R_OK) == 0 &&
	       import_is_headscale(kept);
}

int import_headscale(const struct config *cfg, bool dry_run, struct import_report *ret)
{
	AUTO_FREE char *target = str_fmt("%s.importing", cfg->db_path);
	struct import im = { .report = ret, .now = wall_now() };
	int r;

	*ret = (struct import_report){ 0 };
	if (taken_over(cfg)) {
		say(&im, "%s was taken over before: nothing is left to do", cfg->db_path);
		return 0;
	}
	if (!dry_run && server_runs(cfg)) {
		log_error("a server answers on %s: stop it first", cfg->unix_socket);
		return ERR_BADSTATE;
	}
	if (!import_is_headscale(cfg->db_path)) {
		log_error("%s is no Headscale database", cfg->db_path);
		return ERR_MALFORMED;
	}
	r = open_source(cfg->db_path, &im.db);
	discard(target);
	if (r >= 0)
		r = build(&im, cfg, dry_run ? ":memory:" : target);
	if (r >= 0 && !dry_run)
		r = swap(im.db, cfg->db_path, target);
	sqlite3_close(im.db);
	if (r < 0)
		discard(target);
	return r;
}
