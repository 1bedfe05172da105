#include "node/conffile.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/file.h"
#include "base/hujson.h"

/* Pointers: NULL is not said. */
struct said {
	struct span *version;
	enum js_obool locked, enabled;
	struct span *server_url, *auth_key, *operator_user, *hostname, *exit_node, *netfilter_mode;
	enum js_obool accept_dns, accept_routes, exit_lan, advertise_exit, disable_snat,
		no_stateful, posture, ssh, web_client, shields_up, remote_config;
	struct js_prefixes advertise_routes;
	struct js_strs advertise_services;
	bool *app_connector;
	struct prefs_auto_update *auto_update;
	struct span serve_config; /* tailscaled reads it and does nothing with it either */
	struct js_addrs static_endpoints;
	uint16_t *relay_port;
	struct js_addrs relay_endpoints;
};

struct conffile {
	struct arena memory;
	struct said said;
};

/* clang-format off */
static const struct js_row app_connector_rows[] = {
	{ "Advertise", &js_t_bool, 0 },
	{ 0 },
};
static const struct js_type app_connector_type = JS_STRUCT_OF("AppConnector", bool, app_connector_rows);

static const struct js_row auto_update_rows[] = {
	{ "Check", &js_t_bool,  offsetof(struct prefs_auto_update, check) },
	{ "Apply", &js_t_obool, offsetof(struct prefs_auto_update, apply) },
	{ 0 },
};
static const struct js_type auto_update_type = JS_STRUCT_OF("AutoUpdate", struct prefs_auto_update, auto_update_rows);

#define AT(field) offsetof(struct said, field)
static const struct js_row said_rows[] = {
	{ "Version",                    JS_PTR_T(&js_t_str),           AT(version)            },
	{ "Locked",                     &js_t_obool,                   AT(locked)             },
	{ "ServerURL",                  JS_PTR_T(&js_t_str),           AT(server_url)         },
	{ "AuthKey",                    JS_PTR_T(&js_t_str),           AT(auth_key)           },
	{ "Enabled",                    &js_t_obool,                   AT(enabled)            },
	{ "OperatorUser",               JS_PTR_T(&js_t_str),           AT(operator_user)      },
	{ "Hostname",                   JS_PTR_T(&js_t_str),           AT(hostname)           },
	{ "acceptDNS",                  &js_t_obool,                   AT(accept_dns)         },
	{ "acceptRoutes",               &js_t_obool,                   AT(accept_routes)      },
	{ "exitNode",                   JS_PTR_T(&js_t_str),           AT(exit_node)          },
	{ "allowLANWhileUsingExitNode", &js_t_obool,                   AT(exit_lan)           },
	{ "AdvertiseRoutes",            &js_t_prefixes,                AT(advertise_routes)   },
	{ "AdvertiseExitNode",          &js_t_obool,                   AT(advertise_exit)     },
	{ "DisableSNAT",                &js_t_obool,                   AT(disable_snat)       },
	{ "AdvertiseServices",          &js_t_strs,                    AT(advertise_services) },
	{ "AppConnector",               JS_PTR_T(&app_connector_type), AT(app_connector)      },
	{ "NetfilterMode",              JS_PTR_T(&js_t_str),           AT(netfilter_mode)     },
	{ "NoStatefulFiltering",        &js_t_obool,                   AT(no_stateful)        },
	{ "PostureChecking",            &js_t_obool,                   AT(posture)            },
	{ "RunSSHServer",               &js_t_obool,                   AT(ssh)                },
	{ "RunWebClient",               &js_t_obool,                   AT(web_client)         },
	{ "ShieldsUp",                  &js_t_obool,                   AT(shields_up)         },
	{ "RemoteConfig",               &js_t_obool,                   AT(remote_config)      },
	{ "AutoUpdate",                 JS_PTR_T(&auto_update_type),   AT(auto_update)        },
	{ "ServeConfigTemp",            &js_t_raw,                     AT(serve_config)       },
	{ "StaticEndpoints",            &js_t_addrs,                   AT(static_endpoints)   },
	{ "RelayServerPort",            JS_PTR_T(&js_t_u16),           AT(relay_port)         },
	{ "RelayServerStaticEndpoints", &js_t_addrs,                   AT(relay_endpoints)    },
	{ 0 },
};
static const struct js_type said_type = JS_STRUCT_OF("Config", struct said, said_rows);

#define TO(field) offsetof(struct prefs, field)
static const struct { size_t from, to; } switches[] = {
	{ AT(accept_dns),    TO(corp_dns)            },
	{ AT(accept_routes), TO(route_all)           },
	{ AT(exit_lan),      TO(exit_node_allow_lan) },
	{ AT(disable_snat),  TO(no_snat)             },
	{ AT(posture),       TO(posture_checking)    },
	{ AT(ssh),           TO(run_ssh)             },
	{ AT(web_client),    TO(run_web_client)      },
	{ AT(shields_up),    TO(shields_up)          },
	{ AT(remote_config), TO(remote_config)       },
};
static const struct { size_t from, to; } texts[] = {
	{ AT(server_url),    TO(control_url)   },
	{ AT(operator_user), TO(operator_user) },
	{ AT(hostname),      TO(hostname)      },
};
#undef TO
#undef AT
/* clang-format on */

/* ---- reading ---- */

static int check_version(const struct span *v, struct fault *f)
{
	if (!v || v->n == 0)
		return fault_set(f, ERR_MALFORMED, 0, 0, "no \"version\" is given");
	if (!span_is(*v, "alpha0"))
		return fault_set(f, ERR_MALFORMED, 0, 0, "\"version\" is \"%.*s\", not \"alpha0\"",
		                 SPAN_FMT(span_first(*v, 40)));
	return 0;
}

/* The first line is "Config.Name". */
static int refuse_unknown(const struct buf *unknown, struct fault *f)
{
	struct span name = buf_span(unknown);

	name = span_first(name, span_find(name, '\n'));
	name = span_from(name, span_find(name, '.') + 1);
	return fault_set(f, ERR_MALFORMED, 0, 0, "there is no setting \"%.*s\"",
	                 SPAN_FMT(span_first(name, 60)));
}

static int decode(struct conffile *c, struct span json, struct fault *f)
{
	AUTO_DONE(buf) struct buf unknown = { 0 };
	struct js_rd rd;
	int r;

	js_rd_init(&rd, &c->memory, json);
	rd.unknown = &unknown;
	r = js_rd_value(&rd, &said_type, &c->said);
	if (r == 0)
		r = js_rd_end(&rd);
	if (r < 0)
		return js_rd_fault(&rd, f);
	return unknown.n ? refuse_unknown(&unknown, f) : check_version(c->said.version, f);
}

int conffile_parse(struct span text, struct conffile **ret, struct fault *reterr)
{
	AUTO(conffile_free) struct conffile *c = mem_new(struct conffile);
	AUTO_DONE(buf) struct buf json = { .secret = true };
	int r;

	buf_add_span(&json, text);
	r = hujson_to_json(json.p, json.n, reterr);
	if (r == 0)
		r = decode(c, buf_span(&json), reterr);
	if (r == 0)
		*ret = TAKE(c);
	return r;
}

int conffile_load(const char *path, struct conffile **ret, struct fault *reterr)
{
	AUTO_DONE(buf) struct buf text = { .secret = true };
	int r = file_read(path, CONFFILE_MAX, &text);

	if (r < 0)
		return fault_set(reterr, r, 0, 0, "%s", err_text(r));
	return conffile_parse(buf_span(&text), ret, reterr);
}

void conffile_free(struct conffile *c)
{
	if (!c)
		return;
	if (c->said.auth_key && c->said.auth_key->n)
		explicit_bzero((void *)(uintptr_t)c->said.auth_key->p, c->said.auth_key->n);
	arena_done(&c->memory);
	free(c);
}

/* ---- taking over what it says ---- */

static void take_switches(const struct said *s, struct prefs *p)
{
	for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
		enum js_obool from;
		bool is;

		memcpy(&from, (const uint8_t *)s + switches[i].from, sizeof(from));
		is = from == OBOOL_TRUE;
		if (from != OBOOL_UNSET)
			memcpy((uint8_t *)p + switches[i].to, &is, sizeof(is));
	}
}

static void take_texts(const struct said *s, struct prefs *p)
{
	for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
		struct span *from;

		memcpy(&from, (const uint8_t *)s + texts[i].from, sizeof(from));
		if (from)
			memcpy((uint8_t *)p + texts[i].to, from, sizeof(*from));
	}
}

static void take_exit(const struct said *s, struct prefs *p)
{
	struct ip ip = { 0 };

	if (!s->exit_node)
		return;
	if (ip_parse(*s->exit_node, &ip) == 0)
		p->exit_node_ip = ip;
	else
		p->exit_node_id = *s->exit_node;
	p->auto_exit_node = span(NULL, 0);
}

static void take_routes(struct arena *a, const struct said *s, struct prefs *p)
{
	const struct prefix exits[] = { { ip4(0, 0, 0, 0), 0 }, { { { 0 } }, 0 } };
	size_t n = s->advertise_routes.n;

	if (s->advertise_routes.set)
		p->advertise_routes = s->advertise_routes;
	if (s->advertise_exit != OBOOL_TRUE)
		return;
	p->advertise_routes.v = arena_new_n(a, struct prefix, n + ARRAY_LEN(exits));
	if (n)
		memcpy(p->advertise_routes.v, s->advertise_routes.v, n * sizeof(exits[0]));
	memcpy(p->advertise_routes.v + n, exits, sizeof(exits));
	p->advertise_routes.n = n + ARRAY_LEN(exits);
	p->advertise_routes.set = true;
}

static int take_netfilter(const struct span *mode, struct prefs *p, struct fault *f)
{
	static const char *const names[] = { "off", "nodivert", "on" };

	for (size_t i = 0; mode && i < ARRAY_LEN(names); i++)
		if (span_is(*mode, names[i])) {
			p->netfilter_mode = (int64_t)i;
			return 0;
		}
	return !mode ? 0
	             : fault_set(f, ERR_DENIED, 0, 0,
	                         "NetfilterMode is \"on\", \"nodivert\" or \"off\", not \"%.*s\"",
	                         SPAN_FMT(span_first(*mode, 40)));
}

static int take(struct arena *a, const struct said *s, struct prefs *p, struct fault *f)
{
	int r = take_netfilter(s->netfilter_mode, p, f);

	p->want_running = s->enabled != OBOOL_FALSE;
	if (s->auth_key && s->auth_key->n)
		p->logged_out = false;
	take_texts(s, p);
	take_switches(s, p);
	take_exit(s, p);
	take_routes(a, s, p);
	if (s->no_stateful != OBOOL_UNSET)
		p->no_stateful_filtering = s->no_stateful;
	if (s->auto_update)
		p->auto_update = *s->auto_update;
	if (s->app_connector)
		p->app_connector = *s->app_connector;
	/* Of these an absent one means none, so that they can be taken back. */
	p->advertise_services = s->advertise_services;
	p->relay_server_port = s->relay_port;
	p->relay_server_endpoints = s->relay_endpoints;
	return r < 0 ? r : prefs_check(p, f);
}

int conffile_apply(const struct conffile *c, const struct prefs *old, struct prefs **ret,
                   struct fault *reterr)
{
	struct arena a = { 0 };
	struct prefs p = *old;
	int r = take(&a, &c->said, &p, reterr);

	if (r == 0)
		*ret = prefs_dup(&p);
	arena_done(&a);
	return r;
}

bool conffile_locked(const struct conffile *c)
{
	return c->said.locked != OBOOL_FALSE;
}

struct span conffile_auth_key(const struct conffile *c)
{
	return c->said.auth_key ? *c->said.auth_key : span(NULL, 0);
}

const struct js_addrs *conffile_endpoints(const struct conffile *c)
{
	return &c->said.static_endpoints;
}
