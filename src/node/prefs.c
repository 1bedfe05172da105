#include "node/prefs.h"

#include <malloc.h>

#include "base/enc.h"
#include "base/err.h"
#include "crypto/keyjson.h"

/* ---- private keys as JSON ---- */

static int read_hex_key(struct js_rd *r, const struct js_type *t, void *at)
{
	struct span text;
	int e = js_rd_string_view(r, &text);

	if (e < 0)
		return e;
	if (!span_starts(text, t->prefix) ||
	    hex_decode(at, t->size, span_from(text, strlen(t->prefix))) < 0)
		return js_rd_fail(r, ERR_MALFORMED, "expected a private key");
	return 0;
}

static void write_hex_key(struct js_wr *w, const struct js_type *t, const void *at)
{
	char text[16 + HEX_LEN(sizeof(struct lock_priv)) + 1];
	size_t n = strlen(t->prefix);

	memcpy(text, t->prefix, n);
	hex_encode(text + n, at, t->size);
	js_wr_str(w, text);
	explicit_bzero(text, sizeof(text));
}

/* clang-format off */
static const struct js_type node_priv_type = {
	.shape = JS_SCALAR, .size = sizeof(struct node_priv), .read = read_hex_key, .write = write_hex_key, .prefix = "privkey:"
};
static const struct js_type lock_priv_type = {
	.shape = JS_SCALAR, .size = sizeof(struct lock_priv), .read = read_hex_key, .write = write_hex_key, .prefix = "nlpriv:"
};

/* ---- rows ---- */

#define AT(field) offsetof(struct persist, field)
static const struct js_row persist_rows[] = {
	{ "PrivateNodeKey",        &node_priv_type,       AT(node_key)                 },
	{ "OldPrivateNodeKey",     &node_priv_type,       AT(old_node_key)             },
	{ "UserProfile",           &tc_user_profile_type, AT(user)                     },
	{ "NetworkLockKey",        &lock_priv_type,       AT(lock_key)                 },
	{ "NodeID",                &js_t_str,             AT(node_id)                  },
	{ "AttestationKey",        &js_t_raw,             AT(attestation_key), JS_OMIT },
	{ "DisallowedTKAStateIDs", &js_t_strs,            AT(disallowed_tka),  JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type persist_type = JS_STRUCT_OF("Persist", struct persist, persist_rows);

static const struct js_row auto_update_rows[] = {
	{ "Check", &js_t_bool,  offsetof(struct prefs_auto_update, check) },
	{ "Apply", &js_t_obool, offsetof(struct prefs_auto_update, apply) },
	{ 0 },
};
static const struct js_type auto_update_type =
	JS_STRUCT_OF("AutoUpdatePrefs", struct prefs_auto_update, auto_update_rows);

static const struct js_row app_connector_rows[] = {
	{ "Advertise", &js_t_bool, 0 },
	{ 0 },
};
static const struct js_type app_connector_type = JS_STRUCT_OF("AppConnectorPrefs", bool, app_connector_rows);

#define AT(field) offsetof(struct drive_share, field)
static const struct js_row drive_share_rows[] = {
	{ "name",         &js_t_str, AT(name),     JS_OMIT },
	{ "path",         &js_t_str, AT(path),     JS_OMIT },
	{ "who",          &js_t_str, AT(who),      JS_OMIT },
	{ "bookmarkData", &js_t_b64, AT(bookmark), JS_OMIT },
	{ 0 },
};
#undef AT
static const struct js_type drive_share_type = JS_STRUCT_OF("Share", struct drive_share, drive_share_rows);

#define AT(field) offsetof(struct prefs, field)
static const struct js_row prefs_rows[] = {
	{ "ControlURL",                 &js_t_str,                              AT(control_url)                    },
	{ "RouteAll",                   &js_t_bool,                             AT(route_all)                      },
	{ "ExitNodeID",                 &js_t_str,                              AT(exit_node_id)                   },
	{ "ExitNodeIP",                 &js_t_ip,                               AT(exit_node_ip)                   },
	{ "AutoExitNode",               &js_t_str,                              AT(auto_exit_node),        JS_OMIT },
	{ "InternalExitNodePrior",      &js_t_str,                              AT(exit_node_prior)                },
	{ "ExitNodeAllowLANAccess",     &js_t_bool,                             AT(exit_node_allow_lan)            },
	{ "CorpDNS",                    &js_t_bool,                             AT(corp_dns)                       },
	{ "RunSSH",                     &js_t_bool,                             AT(run_ssh)                        },
	{ "RunWebClient",               &js_t_bool,                             AT(run_web_client)                 },
	{ "WantRunning",                &js_t_bool,                             AT(want_running)                   },
	{ "LoggedOut",                  &js_t_bool,                             AT(logged_out)                     },
	{ "ShieldsUp",                  &js_t_bool,                             AT(shields_up)                     },
	{ "AdvertiseTags",              &js_t_strs,                             AT(advertise_tags)                 },
	{ "Hostname",                   &js_t_str,                              AT(hostname)                       },
	{ "NotepadURLs",                &js_t_bool,                             AT(notepad_urls)                   },
	{ "ForceDaemon",                &js_t_bool,                             AT(force_daemon),          JS_OMIT },
	{ "Egg",                        &js_t_bool,                             AT(egg),                   JS_OMIT },
	{ "AdvertiseRoutes",            &js_t_prefixes,                         AT(advertise_routes)               },
	{ "AdvertiseServices",          &js_t_strs,                             AT(advertise_services)             },
	{ "Sync",                       &js_t_obool,                            AT(sync)                           },
	{ "NoSNAT",                     &js_t_bool,                             AT(no_snat)                        },
	{ "NoStatefulFiltering",        &js_t_obool,                            AT(no_stateful_filtering), JS_OMIT },
	{ "NetfilterMode",              &js_t_int,                              AT(netfilter_mode)                 },
	{ "OperatorUser",               &js_t_str,                              AT(operator_user),         JS_OMIT },
	{ "ProfileName",                &js_t_str,                              AT(profile_name),          JS_OMIT },
	{ "AutoUpdate",                 &auto_update_type,                      AT(auto_update)                    },
	{ "AppConnector",               &app_connector_type,                    AT(app_connector)                  },
	{ "PostureChecking",            &js_t_bool,                             AT(posture_checking)               },
	{ "NetfilterKind",              &js_t_str,                              AT(netfilter_kind)                 },
	{ "RemoteConfig",               &js_t_bool,                             AT(remote_config)                  },
	{ "DriveShares",                JS_LIST_T(JS_PTR_T(&drive_share_type)), AT(drive_shares)                   },
	{ "RelayServerPort",            JS_PTR_T(&js_t_u16),                    AT(relay_server_port),     JS_OMIT },
	{ "RelayServerStaticEndpoints", &js_t_addrs,                            AT(relay_server_endpoints), JS_OMIT },
	{ "Config",                     JS_PTR_T(&persist_type),                AT(persist)                        },
	{ 0 },
};
#undef AT
const struct js_type prefs_type = JS_STRUCT_OF("Prefs", struct prefs, prefs_rows);
/* clang-format on */

/* ---- life ---- */

void prefs_free(struct prefs *p)
{
	if (!p)
		return;
	explicit_bzero(p, malloc_usable_size(p));
	free(p);
}

static struct prefs defaults(void)
{
	return (struct prefs){
		.corp_dns = true,
		.netfilter_mode = NETFILTER_ON,
		.no_stateful_filtering = OBOOL_TRUE,
		.auto_update.check = true,
	};
}

struct prefs *prefs_dup(const struct prefs *p)
{
	return js_clone(&prefs_type, p);
}

struct prefs *prefs_new(void)
{
	struct prefs p = defaults();

	return prefs_dup(&p);
}

/* Secrets pass through the arena: its chunks are wiped by nobody, so they are overwritten here. */
static void forget_keys(struct prefs *p)
{
	if (!p->persist)
		return;
	explicit_bzero(&p->persist->node_key, sizeof(p->persist->node_key));
	explicit_bzero(&p->persist->old_node_key, sizeof(p->persist->old_node_key));
	explicit_bzero(&p->persist->lock_key, sizeof(p->persist->lock_key));
}

int prefs_parse(struct span json, struct prefs **ret)
{
	struct prefs p = defaults();
	struct arena a = { 0 };
	struct js_rd r;

	js_rd_init(&r, &a, json);

	int e = js_rd_value(&r, &prefs_type, &p);

	if (e == 0)
		e = js_rd_end(&r);
	if (e == 0)
		*ret = prefs_dup(&p);
	forget_keys(&p);
	arena_done(&a);
	return e;
}

void prefs_write(struct buf *out, const struct prefs *p)
{
	js_encode(out, &prefs_type, p);
}

void prefs_write_public(struct buf *out, const struct prefs *p, const char *indent)
{
	struct prefs shown = *p;
	struct persist persist;
	struct js_wr w = js_wr_of(out);

	if (p->persist) {
		persist = (struct persist){ .user = p->persist->user,
			                    .node_id = p->persist->node_id };
		shown.persist = &persist;
	}
	w.indent = indent;
	js_wr_value(&w, &prefs_type, &shown);
}

/* ---- edits ---- */

static int refuse(struct fault *f, const char *why)
{
	return fault_set(f, ERR_DENIED, 0, 0, "%s", why);
}

static bool has_host_bits(const struct prefs *p)
{
	for (size_t i = 0; i < p->advertise_routes.n; i++) {
		struct prefix masked = prefix_masked(p->advertise_routes.v[i]);

		if (!prefix_eq(&masked, &p->advertise_routes.v[i]))
			return true;
	}
	return false;
}

int prefs_check(const struct prefs *p, struct fault *reterr)
{
	if (prefs_uses_exit(p) && prefs_offers_exit(p))
		return refuse(
			reterr,
			"Cannot advertise an exit node and use an exit node at the same time.");
	if (has_host_bits(p))
		return refuse(reterr, "advertised routes have non-address bits set");
	return 0;
}

static bool is_set(const struct js *body, const char *field)
{
	AUTO_FREE char *name = str_fmt("%sSet", field);

	return js_truth(js_get(body, name), false);
}

static void take_auto_update(struct prefs *p, const struct prefs *from, const struct js *body)
{
	const struct js *set = js_get(body, "AutoUpdateSet");

	if (js_truth(js_get(set, "CheckSet"), false))
		p->auto_update.check = from->auto_update.check;
	if (js_truth(js_get(set, "ApplySet"), false))
		p->auto_update.apply = from->auto_update.apply;
}

static void take_set(struct prefs *p, const struct prefs *from, const struct js *body)
{
	for (const struct js_row *row = prefs_rows; row->name; row++)
		if (is_set(body, row->name))
			memcpy((uint8_t *)p + row->at, (const uint8_t *)from + row->at,
			       row->type->size);
	take_auto_update(p, from, body);
	/* Naming an exit node ends the automatic choice; naming none forgets the last one too. */
	if ((is_set(body, "ExitNodeID") || is_set(body, "ExitNodeIP")) &&
	    !is_set(body, "AutoExitNode"))
		p->auto_exit_node = span(NULL, 0);
	if (is_set(body, "ExitNodeID") && p->exit_node_id.n == 0)
		p->exit_node_prior = span(NULL, 0);
}

static int edit(struct arena *a, const struct prefs *old, struct span masked, struct prefs **ret,
                struct fault *reterr)
{
	struct js *body = NULL;
	struct prefs given, p = *old;
	int r = js_parse(a, masked, false, &body, reterr);

	if (r == 0)
		r = js_decode(a, masked, &prefs_type, &given, reterr);
	if (r < 0)
		return r;
	if (is_set(body, "InternalExitNodePrior"))
		return refuse(reterr, "can't set Internal fields");
	take_set(&p, &given, body);
	p.persist = old->persist;
	r = prefs_check(&p, reterr);
	if (r == 0)
		*ret = prefs_dup(&p);
	return r;
}

int prefs_edit(const struct prefs *old, struct span masked, struct prefs **ret,
               struct fault *reterr)
{
	struct arena a = { 0 };
	int r = edit(&a, old, masked, ret, reterr);

	arena_done(&a);
	return r;
}

/* ---- what they say ---- */

struct span prefs_control_url(const struct prefs *p)
{
	struct span url = p->control_url;

	if (url.n == 0 || span_is(url, "https://login.tailscale.com"))
		url = SPAN_LIT(PREFS_DEFAULT_CONTROL);
	while (span_ends(url, "/"))
		url.n--;
	return url;
}

bool prefs_offers_exit(const struct prefs *p)
{
	bool four = false, six = false;

	for (size_t i = 0; i < p->advertise_routes.n; i++) {
		const struct prefix *x = &p->advertise_routes.v[i];

		four |= prefix_is_default(x) && prefix_is4(x);
		six |= prefix_is_default(x) && !prefix_is4(x);
	}
	return four && six;
}

bool prefs_uses_exit(const struct prefs *p)
{
	return p->exit_node_id.n || p->auto_exit_node.n || !ip_is_zero(&p->exit_node_ip);
}
