#include "coordinator/config.h"

#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <yaml.h>

#include "base/err.h"
#include "base/time.h"

enum kind {
	K_TEXT,
	K_BOOL,
	K_INT,
	K_OCTAL,
	K_TIME,    /* Go's durations, or 0 */
	K_LIST,    /* of texts; from the environment: with commas or spaces */
	K_SPLIT,   /* dns.nameservers.split */
	K_RECORDS, /* dns.extra_records */
	K_PAIRS,   /* a mapping of texts */
	K_IGNORED, /* known, and without meaning here: `def` says why */
	K_REMOVED, /* stops the start; `def` says why */
};

struct row {
	const char *key;
	enum kind kind;
	size_t at;
	const char *def; /* as it would stand in the file; NULL: nothing */
};

#define AT(field) offsetof(struct config, field)

/* clang-format off */
static const struct row rows[] = {
	{ "server_url",                           K_TEXT,  AT(server_url),           "" },
	{ "listen_addr",                          K_TEXT,  AT(listen_addr),          "127.0.0.1:8080" },
	{ "metrics_listen_addr",                  K_TEXT,  AT(metrics_listen_addr),  "127.0.0.1:9090" },
	{ "grpc_listen_addr",                        K_IGNORED, 0, "there is no gRPC: commands use the Unix socket, programs the REST API" },
	{ "grpc_allow_insecure",                     K_IGNORED, 0, "there is no gRPC" },
	{ "trusted_proxies",                      K_LIST,  AT(trusted_proxies),      NULL },
	{ "noise.private_key_path",               K_TEXT,  AT(noise_key_path),       "" },
	{ "prefixes.v4",                          K_TEXT,  AT(prefix_v4),            "100.64.0.0/10" },
	{ "prefixes.v6",                          K_TEXT,  AT(prefix_v6),            "fd7a:115c:a1e0::/48" },
	{ "prefixes.allocation",                  K_TEXT,  AT(allocation),           "sequential" },
	{ "derp.server.enabled",                  K_BOOL,  AT(derp_enabled),         "false" },
	{ "derp.server.region_id",                K_INT,   AT(derp_region_id),       "999" },
	{ "derp.server.region_code",              K_TEXT,  AT(derp_region_code),     "fairlead" },
	{ "derp.server.region_name",              K_TEXT,  AT(derp_region_name),     "fairlead embedded relay" },
	{ "derp.server.verify_clients",           K_BOOL,  AT(derp_verify),          "true" },
	{ "derp.server.stun_listen_addr",         K_TEXT,  AT(derp_stun_addr),       "0.0.0.0:3478" },
	{ "derp.server.private_key_path",         K_TEXT,  AT(derp_key_path),        "" },
	{ "derp.server.automatically_add_embedded_derp_region", K_BOOL, AT(derp_auto_region), "true" },
	{ "derp.server.ipv4",                     K_TEXT,  AT(derp_ipv4),            "" },
	{ "derp.server.ipv6",                     K_TEXT,  AT(derp_ipv6),            "" },
	{ "derp.urls",                            K_LIST,  AT(derp_urls),            NULL },
	{ "derp.paths",                           K_LIST,  AT(derp_paths),           NULL },
	{ "derp.auto_update_enabled",             K_BOOL,  AT(derp_auto_update),     "true" },
	{ "derp.update_frequency",                K_TIME,  AT(derp_update_us),       "3h" },
	{ "disable_check_updates",                   K_IGNORED, 0, "there is no check for updates" },
	{ "node.expiry",                          K_TIME,  AT(node_expiry_us),       "0" },
	{ "node.ephemeral.inactivity_timeout",    K_TIME,  AT(ephemeral_us),         "120s" },
	{ "node.routes.ha.probe_interval",        K_TIME,  AT(ha_interval_us),       "10s" },
	{ "node.routes.ha.probe_timeout",         K_TIME,  AT(ha_timeout_us),        "5s" },
	{ "node.approval",                        K_BOOL,  AT(device_approval),      "false" },
	{ "preauth_keys.revoked_retention",          K_IGNORED, 0, "expired keys stay until they are deleted" },
	{ "database.type",                        K_TEXT,  AT(db_type),              "sqlite" },
	{ "database.sqlite.path",                 K_TEXT,  AT(db_path),              "" },
	{ "database.sqlite.write_ahead_log",         K_IGNORED, 0, "there always is one" },
	{ "database.sqlite.wal_autocheckpoint",      K_IGNORED, 0, "SQLite's own default serves" },
	{ "database.debug",                          K_IGNORED, 0, "see log.level" },
	{ "database.gorm",                           K_IGNORED, 0, "there is no gorm" },
	{ "database.postgres",                       K_IGNORED, 0, "SQLite alone is supported" },
	{ "acme_url",                             K_TEXT,  AT(acme_url),             "https://acme-v02.api.letsencrypt.org/directory" },
	{ "acme_email",                           K_TEXT,  AT(acme_email),           "" },
	{ "tls_letsencrypt_hostname",             K_TEXT,  AT(le_hostname),          "" },
	{ "tls_letsencrypt_cache_dir",            K_TEXT,  AT(le_cache_dir),         "/var/www/.cache" },
	{ "tls_letsencrypt_challenge_type",       K_TEXT,  AT(le_challenge),         "HTTP-01" },
	{ "tls_letsencrypt_listen",               K_TEXT,  AT(le_listen),            ":http" },
	{ "tls_cert_path",                        K_TEXT,  AT(tls_cert_path),        "" },
	{ "tls_key_path",                         K_TEXT,  AT(tls_key_path),         "" },
	{ "log.level",                            K_TEXT,  AT(log_level),            "info" },
	{ "log.format",                           K_TEXT,  AT(log_format),           "text" },
	{ "policy.mode",                          K_TEXT,  AT(policy_mode),          "file" },
	{ "policy.path",                          K_TEXT,  AT(policy_path),          "" },
	{ "dns.magic_dns",                        K_BOOL,  AT(magic_dns),            "true" },
	{ "dns.base_domain",                      K_TEXT,  AT(base_domain),          "" },
	{ "dns.override_local_dns",               K_BOOL,  AT(override_local_dns),   "true" },
	{ "dns.nameservers.global",               K_LIST,  AT(nameservers),          NULL },
	{ "dns.nameservers.split",                K_SPLIT, AT(split_dns),            NULL },
	{ "dns.search_domains",                   K_LIST,  AT(search_domains),       NULL },
	{ "dns.extra_records",                    K_RECORDS, AT(extra_records),      NULL },
	{ "dns.extra_records_path",               K_TEXT,  AT(extra_records_path),   "" },
	{ "dns.acme_hook",                        K_TEXT,  AT(acme_hook),            "" },
	{ "dns.acme_cleanup_after",               K_TIME,  AT(acme_cleanup_us),      "10m" },
	{ "unix_socket",                          K_TEXT,  AT(unix_socket),          "" },
	{ "unix_socket_permission",               K_OCTAL, AT(unix_socket_mode),     "0770" },
	{ "logtail.enabled",                      K_BOOL,  AT(logtail),              "false" },
	{ "taildrop.enabled",                     K_BOOL,  AT(taildrop),             "true" },
	{ "auto_update.enabled",                  K_BOOL,  AT(auto_update),          "false" },
	{ "oidc.issuer",                          K_TEXT,  AT(oidc_issuer),          "" },
	{ "oidc.client_id",                       K_TEXT,  AT(oidc_client_id),       "" },
	{ "oidc.client_secret",                   K_TEXT,  AT(oidc_client_secret),   "" },
	{ "oidc.client_secret_path",              K_TEXT,  AT(oidc_client_secret_path), "" },
	{ "oidc.scope",                           K_LIST,  AT(oidc_scope),           "openid profile email" },
	{ "oidc.allowed_domains",                 K_LIST,  AT(oidc_domains),         NULL },
	{ "oidc.allowed_users",                   K_LIST,  AT(oidc_users),           NULL },
	{ "oidc.allowed_groups",                  K_LIST,  AT(oidc_groups),          NULL },
	{ "oidc.extra_params",                    K_PAIRS, AT(oidc_params),          NULL },
	{ "oidc.email_verified_required",         K_BOOL,  AT(oidc_email_verified),  "true" },
	{ "oidc.only_start_if_oidc_is_available",    K_IGNORED, 0, "the server starts, and asks the provider until it answers" },
	{ "oidc.use_expiry_from_token",           K_BOOL,  AT(oidc_token_expiry),    "false" },
	{ "oidc.pkce.enabled",                    K_BOOL,  AT(oidc_pkce),            "true" },
	{ "oidc.pkce.method",                     K_TEXT,  AT(oidc_pkce_method),     "S256" },
	{ "oidc.expiry",                          K_REMOVED, 0, "use node.expiry" },
	{ "oidc.strip_email_domain",              K_REMOVED, 0, "it was removed from Headscale" },
	{ "oidc.map_legacy_users",                K_REMOVED, 0, "it was removed from Headscale" },
	{ "randomize_client_port",                K_REMOVED, 0, "it is \"randomizeClientPort\" in the policy now" },
	{ "ephemeral_node_inactivity_timeout",    K_REMOVED, 0, "use node.ephemeral.inactivity_timeout" },
	{ "acl_policy_path",                      K_REMOVED, 0, "use policy.path" },
	{ "db_type",                              K_REMOVED, 0, "use database.type" },
	{ "db_path",                              K_REMOVED, 0, "use database.sqlite.path" },
	{ "ip_prefixes",                          K_REMOVED, 0, "use prefixes.v4 and prefixes.v6" },
	{ "dns_config",                           K_REMOVED, 0, "use dns" },
	{ "dns.use_username_in_magic_dns",        K_REMOVED, 0, "it was removed from Headscale" },
	{ "cli.address",                             K_IGNORED, 0, "commands use the Unix socket of this machine" },
	{ "cli.api_key",                             K_IGNORED, 0, "commands use the Unix socket of this machine" },
	{ "cli.timeout",                             K_IGNORED, 0, "commands use the Unix socket of this machine" },
	{ "cli.insecure",                            K_IGNORED, 0, "commands use the Unix socket of this machine" },
	{ "tuning.register_cache_expiration",     K_TIME,  AT(login_timeout_us),     "15m" },
	{ "tuning.register_cache_max_entries",    K_INT,   AT(login_max),            "1024" },
	{ "tuning",                                  K_IGNORED, 0, "nothing has to be tuned" },
};
/* clang-format on */

static_assert(ARRAY_LEN(rows) <= CONFIG_KEYS_MAX, "config.lines has a place for each");

static void *slot_of(struct config *c, const struct row *row)
{
	return (char *)c + row->at;
}

static int set_bool(bool *slot, struct span v)
{
	static const char *const yes[] = { "true", "yes", "on", "1" };
	static const char *const no[] = { "false", "no", "off", "0" };

	for (size_t i = 0; i < ARRAY_LEN(yes); i++) {
		if (span_is_nocase(v, yes[i]) || span_is_nocase(v, no[i])) {
			*slot = span_is_nocase(v, yes[i]);
			return 0;
		}
	}
	return ERR_MALFORMED;
}

static int set_int(int64_t *slot, struct span v)
{
	uint64_t n = 0;
	int r = span_u64(v, INT64_MAX, &n);

	if (r >= 0)
		*slot = (int64_t)n;
	return r;
}

static int set_octal(int64_t *slot, struct span v)
{
	int64_t n = 0;

	if (span_starts(v, "0o"))
		v = span_from(v, 2);
	for (size_t i = 0; i < v.n; i++) {
		if (v.p[i] < '0' || v.p[i] > '7' || i > 5)
			return ERR_MALFORMED;
		n = n * 8 + (v.p[i] - '0');
	}
	*slot = n;
	return v.n ? 0 : ERR_MALFORMED;
}

static int set_time(int64_t *slot, struct span v)
{
	if (span_is(v, "0") || span_is(v, "")) {
		*slot = 0;
		return 0;
	}
	return duration_parse(v, slot);
}

static void set_list(struct texts *list, struct span v)
{
	texts_done(list);
	while (v.n) {
		size_t n = 0;

		while (n < v.n && v.p[n] != ',' && v.p[n] != ' ')
			n++;
		if (n)
			texts_add(list, span_first(v, n));
		v = span_from(v, n + 1);
	}
}

/* A scalar into a row of a kind that takes one. */
static int set_scalar(struct config *c, const struct row *row, struct span v)
{
	switch (row->kind) {
	case K_TEXT:
		*(const char **)slot_of(c, row) = arena_str(&c->arena, v);
		return 0;
	case K_BOOL:
		return set_bool(slot_of(c, row), v);
	case K_INT:
		return set_int(slot_of(c, row), v);
	case K_OCTAL:
		return set_octal(slot_of(c, row), v);
	case K_TIME:
		return set_time(slot_of(c, row), v);
	case K_LIST:
		set_list(slot_of(c, row), v);
		return 0;
	case K_SPLIT:
	case K_RECORDS:
	case K_PAIRS:
		return v.n == 0 || span_is(v, "null") || span_is(v, "~") ? 0 : ERR_MALFORMED;
	case K_IGNORED:
	case K_REMOVED:
		return 0;
	}
	return ERR_MALFORMED;
}

void config_init(struct config *c)
{
	*c = (struct config){ 0 };
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (rows[i].def && rows[i].kind != K_REMOVED && rows[i].kind != K_IGNORED)
			(void)!set_scalar(c, &rows[i], span_str(rows[i].def));
}

void config_done(struct config *c)
{
	struct texts *lists[] = {
		&c->trusted_proxies, &c->derp_urls,  &c->derp_paths,   &c->nameservers,
		&c->search_domains,  &c->oidc_scope, &c->oidc_domains, &c->oidc_users,
		&c->oidc_groups,     &c->unknown,    &c->unused,
	};

	for (size_t i = 0; i < ARRAY_LEN(lists); i++)
		texts_done(lists[i]);
	for (size_t i = 0; i < c->split_dns.n; i++)
		texts_done(&c->split_dns.v[i].servers);
	vec_done(&c->split_dns);
	vec_done(&c->extra_records);
	vec_done(&c->oidc_params);
	arena_done(&c->arena);
}

/* ---- YAML ---- */

struct walk {
	struct config *c;
	yaml_document_t *doc;
	struct fault *fault;
};

static unsigned line_of(const yaml_node_t *n)
{
	return (unsigned)n->start_mark.line + 1;
}

static struct span scalar(const yaml_node_t *n)
{
	return n->type == YAML_SCALAR_NODE ? span(n->data.scalar.value, n->data.scalar.length)
	                                   : (struct span){ 0 };
}

static bool is_null(const yaml_node_t *n)
{
	struct span s = scalar(n);

	return n->type == YAML_SCALAR_NODE && n->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       (s.n == 0 || span_is(s, "~") || span_is(s, "null"));
}

static int wrong(struct walk *w, const yaml_node_t *n, const char *key, const char *want)
{
	return fault_set(w->fault, ERR_MALFORMED, line_of(n), (unsigned)n->start_mark.column + 1,
	                 "%.80s: %s", key, want);
}

static void PRINTF(3, 4) note(struct texts *to, const yaml_node_t *n, const char *fmt, ...)
{
	char text[160], line[200];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	(void)snprintf(line, sizeof(line), "line %u: %s", line_of(n), text);
	texts_add(to, span_str(line));
}

static int read_list(struct walk *w, const yaml_node_t *n, const char *key, struct texts *ret)
{
	texts_done(ret);
	if (is_null(n))
		return 0;
	if (n->type != YAML_SEQUENCE_NODE)
		return wrong(w, n, key, "expected a list");
	for (yaml_node_item_t *i = n->data.sequence.items.start; i < n->data.sequence.items.top;
	     i++) {
		const yaml_node_t *m = yaml_document_get_node(w->doc, *i);

		if (m->type != YAML_SCALAR_NODE)
			return wrong(w, m, key, "expected a text");
		texts_add(ret, scalar(m));
	}
	return 0;
}

static int read_split(struct walk *w, const yaml_node_t *n, const char *key)
{
	if (is_null(n))
		return 0;
	if (n->type != YAML_MAPPING_NODE)
		return wrong(w, n, key, "expected domains, each with a list of servers");
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
	     p++) {
		struct config_split *s = vec_add(&w->c->split_dns);
		int r;

		s->domain = arena_str(&w->c->arena, scalar(yaml_document_get_node(w->doc, p->key)));
		r = read_list(w, yaml_document_get_node(w->doc, p->value), key, &s->servers);
		if (r < 0)
			return r;
	}
	return 0;
}

static int read_record(struct walk *w, const yaml_node_t *n, const char *key)
{
	struct config_record *rec = vec_add(&w->c->extra_records);

	rec->name = rec->type = rec->value = "";
	if (n->type != YAML_MAPPING_NODE)
		return wrong(w, n, key, "expected name, type and value");
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
	     p++) {
		struct span k = scalar(yaml_document_get_node(w->doc, p->key));
		const char *v = arena_str(&w->c->arena,
		                          scalar(yaml_document_get_node(w->doc, p->value)));

		if (span_is(k, "name"))
			rec->name = v;
		else if (span_is(k, "type"))
			rec->type = v;
		else if (span_is(k, "value"))
			rec->value = v;
		else
			return wrong(w, n, key, "expected name, type and value");
	}
	return 0;
}

static int read_records(struct walk *w, const yaml_node_t *n, const char *key)
{
	int r = 0;

	if (is_null(n))
		return 0;
	if (n->type != YAML_SEQUENCE_NODE)
		return wrong(w, n, key, "expected a list of records");
	for (yaml_node_item_t *i = n->data.sequence.items.start;
	     r >= 0 && i < n->data.sequence.items.top; i++)
		r = read_record(w, yaml_document_get_node(w->doc, *i), key);
	return r;
}

static int read_pairs(struct walk *w, const yaml_node_t *n, const char *key)
{
	if (is_null(n))
		return 0;
	if (n->type != YAML_MAPPING_NODE)
		return wrong(w, n, key, "expected names with values");
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start; p < n->data.mapping.pairs.top;
	     p++) {
		struct config_pair *pair = vec_add(&w->c->oidc_params);

		pair->name = arena_str(&w->c->arena,
		                       scalar(yaml_document_get_node(w->doc, p->key)));
		pair->value = arena_str(&w->c->arena,
		                        scalar(yaml_document_get_node(w->doc, p->value)));
	}
	return 0;
}

static int read_row(struct walk *w, const struct row *row, const yaml_node_t *n)
{
	w->c->lines[row - rows] = line_of(n);
	switch (row->kind) {
	case K_LIST:
		return read_list(w, n, row->key, slot_of(w->c, row));
	case K_SPLIT:
		return read_split(w, n, row->key);
	case K_RECORDS:
		return read_records(w, n, row->key);
	case K_PAIRS:
		return read_pairs(w, n, row->key);
	case K_IGNORED:
		note(&w->c->unused, n, "%s: %s", row->key, row->def);
		return 0;
	case K_REMOVED:
		return wrong(w, n, row->key, row->def);
	case K_TEXT:
	case K_BOOL:
	case K_INT:
	case K_OCTAL:
	case K_TIME:
		break;
	}
	if (is_null(n))
		return 0;
	if (n->type != YAML_SCALAR_NODE || set_scalar(w->c, row, scalar(n)) < 0)
		return wrong(w, n, row->key, "not a value this key can have");
	return 0;
}

static const struct row *find_row(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strcmp(rows[i].key, key) == 0)
			return &rows[i];
	return NULL;
}

int config_refuse(const struct config *c, struct fault *reterr, const char *key, const char *fmt,
                  ...)
{
	const struct row *row = find_row(key);
	char why[160];
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return fault_set(reterr, ERR_MALFORMED, row ? c->lines[row - rows] : 0, 0, "%s: %s", key,
	                 why);
}

/* Some key begins with this one and a dot. */
static bool is_section(const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < ARRAY_LEN(rows); i++)
		if (strncmp(rows[i].key, key, n) == 0 && rows[i].key[n] == '.')
			return true;
	return false;
}

static const struct row *ignored_above(const char *key)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		size_t n = strlen(rows[i].key);

		if (rows[i].kind == K_IGNORED && strncmp(key, rows[i].key, n) == 0 && key[n] == '.')
			return &rows[i];
	}
	return NULL;
}

static int walk(struct walk *w, const yaml_node_t *map, const char *above, unsigned depth)
{
	int r = 0;

	for (yaml_node_pair_t *p = map->data.mapping.pairs.start;
	     r >= 0 && p < map->data.mapping.pairs.top; p++) {
		const yaml_node_t *k = yaml_document_get_node(w->doc, p->key);
		const yaml_node_t *v = yaml_document_get_node(w->doc, p->value);
		char key[200];
		const struct row *row;

		(void)snprintf(key, sizeof(key), "%s%s%.*s", above, *above ? "." : "",
		               SPAN_FMT(span_first(scalar(k), 80)));
		row = find_row(key);
		if (row && !(is_section(key) && v->type == YAML_MAPPING_NODE)) {
			r = read_row(w, row, v);
		} else if (is_section(key) && depth < 8 && v->type == YAML_MAPPING_NODE) {
			r = walk(w, v, key, depth + 1);
		} else if (ignored_above(key)) {
			note(&w->c->unused, k, "%s: %s", key, ignored_above(key)->def);
		} else if (!(is_section(key) && is_null(v))) {
			note(&w->c->unknown, k, "%s", key);
		}
	}
	return r;
}

static int parse_document(struct config *c, yaml_document_t *doc, struct fault *reterr)
{
	struct walk w = { c, doc, reterr };
	const yaml_node_t *root = yaml_document_get_root_node(doc);

	if (!root || is_null(root))
		return 0;
	if (root->type != YAML_MAPPING_NODE)
		return wrong(&w, root, "the file", "expected keys with values");
	return walk(&w, root, "", 0);
}

int config_parse(struct config *c, struct span yaml, struct fault *reterr)
{
	yaml_parser_t parser;
	yaml_document_t doc;
	int r;

	if (yaml.n > CONFIG_FILE_MAX)
		return fault_set(reterr, ERR_LIMIT, 0, 0, "the file is too long");
	if (!yaml_parser_initialize(&parser))
		return fault_set(reterr, ERR_LIMIT, 0, 0, "out of memory");
	yaml_parser_set_input_string(&parser, yaml.p ? yaml.p : (const uint8_t *)"", yaml.n);
	if (yaml_parser_load(&parser, &doc)) {
		r = parse_document(c, &doc, reterr);
		yaml_document_delete(&doc);
	} else {
		r = fault_set(reterr, ERR_MALFORMED, (unsigned)parser.problem_mark.line + 1,
		              (unsigned)parser.problem_mark.column + 1, "%s",
		              parser.problem ? parser.problem : "no YAML");
	}
	yaml_parser_delete(&parser);
	return r;
}

/* ---- the environment ---- */

static void variable_of(const char *key, char dst[static 128])
{
	size_t n = (size_t)snprintf(dst, 128, "HEADSCALE_%s", key);

	for (size_t i = 0; i < n && dst[i]; i++)
		dst[i] = dst[i] == '.' ? '_' : (char)toupper((unsigned char)dst[i]);
}

static const char *lookup(char *const *env, const char *name)
{
	size_t n = strlen(name);

	for (; env && *env; env++)
		if (strncmp(*env, name, n) == 0 && (*env)[n] == '=')
			return *env + n + 1;
	return NULL;
}

int config_environment(struct config *c, char *const *env, struct fault *reterr)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char name[128];
		const char *value;

		variable_of(rows[i].key, name);
		value = lookup(env, name);
		if (!value)
			continue;
		c->lines[i] = 0;
		if (rows[i].kind == K_REMOVED)
			return fault_set(reterr, ERR_MALFORMED, 0, 0, "%s: %s", name, rows[i].def);
		if (set_scalar(c, &rows[i], span_str(value)) < 0)
			return fault_set(reterr, ERR_MALFORMED, 0, 0,
			                 "%s: not a value this key can have", name);
	}
	return 0;
}
