#include "node/node.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "host/warden.h"
#include "http/url.h"
#include "node/control_hosts.h"
#include "node/mapcache.h"
#include "node/mesh.h"
#include "node/node_priv.h"
#include "platform/dgram.h"
#include "platform/tun.h"

const char *ipn_state_name(enum ipn_state s)
{
	static const char *const names[] = {
#define X(name, text) text,
		IPN_STATES(X)
#undef X
	};

	return names[s];
}

/* ---- the state a user sees ---- */

bool node_has_key(const struct node *n)
{
	const struct prefs *p = node_prefs(n);

	return p->persist && !node_priv_is_zero(&p->persist->node_key);
}

bool node_key_expired(const struct node *n)
{
	const struct netmap *m = node_map(n);

	return m && (m->self->expired ||
	             (m->self->key_expiry.us && m->self->key_expiry.us <= ev_wall(n->ev).us));
}

/* Nothing more happens without a person. */
static bool login_is_stuck(const struct node *n)
{
	enum session_state s = n->session ? session_status(n->session).state : SESSION_IDLE;

	return s == SESSION_WAIT || s == SESSION_REFUSED || s == SESSION_LOGGED_OUT ||
	       (s == SESSION_IDLE && !node_has_key(n));
}

static enum ipn_state next_state(const struct node *n)
{
	const struct prefs *p = node_prefs(n);
	const struct netmap *m = node_map(n);

	if (!p->want_running && !p->logged_out && !n->blocked && node_has_key(n))
		return IPN_STOPPED;
	if (!m) {
		if (p->logged_out || login_is_stuck(n))
			return IPN_NEEDS_LOGIN;
		return n->state == IPN_STOPPED ? IPN_STARTING : n->state;
	}
	if (!p->want_running)
		return IPN_STOPPED;
	if (node_key_expired(n) || login_is_stuck(n))
		return IPN_NEEDS_LOGIN;
	if (!m->self->machine_authorized)
		return IPN_NEEDS_MACHINE_AUTH;
	if (n->state == IPN_RUNNING)
		return IPN_RUNNING;
	return n->state == IPN_STARTING && engine_is_live(n) ? IPN_RUNNING : IPN_STARTING;
}

static const char *why_no_tunnel(int r)
{
	const char *advice = tun_advice(r);

	return *advice ? advice : "the tunnel cannot be set up; the daemon's log says why";
}

static void enter(struct node *n, enum ipn_state s)
{
	log_info("state %s -> %s", ipn_state_name(n->state), ipn_state_name(s));
	n->state = s;
	if (s >= IPN_STARTING && !n->engine) {
		int r = engine_start(n);

		if (r < 0)
			bus_error(n, why_no_tunnel(r));
	} else if (s < IPN_STARTING) {
		engine_stop(n);
	}
	bus_state(n);
}

static void arm_expiry(struct node *n)
{
	const struct netmap *m = node_map(n);
	int64_t left;

	ev_timer_stop(n->ev, &n->expiry);
	if (!m || !m->self->key_expiry.us)
		return;
	left = m->self->key_expiry.us - ev_wall(n->ev).us;
	if (left > 0)
		ev_timer_after(n->ev, &n->expiry,
		               left < 86400 * US_PER_S ? left : 86400 * US_PER_S);
}

static void on_expiry(struct ev_timer *t, mono now)
{
	struct node *n = CONTAINER_OF(t, struct node, expiry);

	(void)now;
	arm_expiry(n);
	node_settle(n);
}

static void on_settle(struct ev_defer *d)
{
	struct node *n = CONTAINER_OF(d, struct node, settle);
	enum ipn_state s;

	for (unsigned i = 0; i < 8 && (s = next_state(n)) != n->state; i++)
		enter(n, s);
	health_look(n);
}

static void on_health(struct ev_timer *t, mono now)
{
	(void)now;
	health_look(CONTAINER_OF(t, struct node, health_timer));
}

void node_settle(struct node *n)
{
	ev_defer(n->ev, &n->settle);
}

/* ---- the session's news ---- */

static void on_changed(void *ctx)
{
	struct node *n = ctx;
	struct session_status s = session_status(n->session);

	if (s.state == SESSION_REFUSED &&
	    (!n->err_message || strcmp(n->err_message, s.error) != 0)) {
		free(n->err_message);
		n->err_message = str_dup(s.error);
		log_warn("login refused: %s", s.error);
		bus_error(n, s.error);
	}
	engine_control(n);
	node_settle(n);
}

static void on_browse(void *ctx, const char *url)
{
	struct node *n = ctx;

	log_info("to log in, open %s", url);
	bus_browse(n, url);
	node_settle(n);
}

static void on_logged_in(void *ctx, const struct persist *persist)
{
	struct node *n = ctx;
	struct prefs p = *node_prefs(n);
	struct persist copy = *persist;
	int r;

	p.persist = &copy;
	p.logged_out = false;
	if (n->blocked)
		p.want_running = true;
	n->blocked = false;
	r = profiles_set_prefs(n->profiles, prefs_dup(&p), ev_wall(n->ev));
	persist_wipe(&copy);
	if (r < 0)
		(void)log_ret(r, "cannot save the login");
	bus_login_finished(n);
	bus_prefs(n);
	node_settle(n);
}

static void keep_node_id(struct node *n, const struct netmap *m)
{
	const struct tc_user_profile *u = netmap_user(m, m->self->user);
	struct prefs p = *node_prefs(n);
	struct persist persist;

	if (!p.persist)
		return;
	persist = *p.persist;
	persist.node_id = m->self->stable_id;
	if (u)
		persist.user = *u;
	if (js_same(&persist_type, &persist, p.persist))
		return;
	p.persist = &persist;
	(void)!profiles_set_prefs(n->profiles, prefs_dup(&p), ev_wall(n->ev));
	persist_wipe(&persist);
}

/* What the tailnet wants of updates, until somebody says otherwise here. */
static void take_auto_update(struct node *n, const struct netmap *m)
{
	const struct tc_cap *c = tc_cap_find(&m->self->cap_map, "default-auto-update");
	struct prefs p = *node_prefs(n);

	if (!c || c->value.n == 0 || p.auto_update.apply != OBOOL_UNSET)
		return;
	/* Updates are the system's packages: we only ever take a no. */
	if (!span_is(c->value.v[0], "false"))
		return;
	p.auto_update.apply = OBOOL_FALSE;
	(void)!profiles_set_prefs(n->profiles, prefs_dup(&p), ev_wall(n->ev));
	bus_prefs(n);
}

/* ---- the map on disk ---- */

enum { KEEP_FIRST_US = 2000000, KEEP_AGAIN_US = 60000000 };

/* Where the map of the present profile is kept; NULL: nowhere. */
static char *map_folder(const struct node *n)
{
	struct span id = profiles_current(n->profiles)->id;

	return n->cfg.var_dir && id.n
	               ? str_fmt("%s/profile-data/%.*s", n->cfg.var_dir, SPAN_FMT(id))
	               : NULL;
}

static void on_keep_map(struct ev_timer *t, mono now)
{
	struct node *n = CONTAINER_OF(t, struct node, keep_map);
	const struct netmap *m = node_map(n);
	AUTO_FREE char *folder = map_folder(n);
	int r = 0;

	if (!m || !folder)
		return;
	n->map_kept = now;
	if (mapcache_wanted(m))
		r = mapcache_save(folder, m, &n->disco);
	else
		mapcache_remove(folder);
	if (r < 0)
		(void)log_ret(r, "the map is not kept in %s", folder);
}

/* Soon after a start, then seldom: most of what changes is of no use later. */
static void keep_map(struct node *n)
{
	int64_t wait = KEEP_FIRST_US;

	if (ev_timer_active(&n->keep_map))
		return;
	if (n->map_kept.us)
		wait = KEEP_AGAIN_US;
	ev_timer_after(n->ev, &n->keep_map, wait);
}

/* The key comes before the session is made, the map goes into it. */
static int load_map(struct node *n, struct buf *ret)
{
	AUTO_FREE char *folder = map_folder(n);
	int r = folder ? mapcache_load(folder, ret, &n->disco) : -ENOENT;

	if (r < 0 && r != -ENOENT)
		(void)log_ret(r, "the map in %s is of no use", folder);
	return r;
}

static void seed_map(struct node *n, struct span message)
{
	int r = session_seed(n->session, message);

	if (r < 0)
		(void)log_ret(r, "the map of last time is of no use");
	else
		log_info("the map of last time holds until the coordinator speaks");
}

void node_forget_map(struct node *n)
{
	AUTO_FREE char *folder = map_folder(n);

	ev_timer_stop(n->ev, &n->keep_map);
	mapcache_remove(folder);
}

/* ---- where the coordinator is ---- */

static char *control_host(const struct node *n)
{
	struct url u;

	return url_parse(prefs_control_url(node_prefs(n)), &u) == 0 ? span_dup(u.host) : NULL;
}

static void on_control_found(void *owner, int r, const struct resolved *found)
{
	struct node *n = owner;
	AUTO_FREE char *host = control_host(n);

	if (r == 0 && host)
		(void)!control_hosts_save(n->control_hosts, host, found);
}

static void note_control(struct node *n)
{
	AUTO_FREE char *host = n->control_noted ? NULL : control_host(n);

	if (host && n->control_hosts)
		(void)resolve_start(n->resolver, host, on_control_found, n);
	n->control_noted = true;
}

/* While traffic is held for an exit node the host's own resolver reaches nobody. */
static bool control_known(void *owner, const char *host, struct resolved *ret)
{
	const struct node *n = owner;

	return n->control_hosts && !n->engine && n->profiles && engine_wants_exit(n) &&
	       control_hosts_find(n->control_hosts, host, ret);
}

/* Past the tunnel, or an exit node would carry what it needs to come up. */
static int mark_socket(void *arg, int fd, const struct addr *to)
{
	const struct node *n = arg;
	int r = n->cfg.no_mark || ip_is_loopback(&to->ip) ? 0 : socket_mark(fd, MESH_FWMARK);

	return r == -EPERM ? 0 : r; /* without the right there is no tunnel either */
}

static void on_map(void *ctx, const struct netmap_delta *delta)
{
	struct node *n = ctx;
	const struct netmap *m = session_map(n->session);
	struct network_profile net = { .magic_dns_name = netmap_suffix(m),
		                       .domain_name = span_str(m->domain) };

	note_control(n);
	if (delta->what & (NETMAP_SELF | NETMAP_USERS))
		keep_node_id(n, m);
	if (delta->what & (NETMAP_SELF | NETMAP_DOMAIN))
		(void)!profiles_set_network(n->profiles, &net);
	if (delta->what & NETMAP_SELF)
		take_auto_update(n, m);
	arm_expiry(n);
	engine_apply(n, delta);
	bus_map(n, delta);
	if (session_status(n->session).in_poll || session_status(n->session).last_map.us)
		keep_map(n);
	if (delta->what & NETMAP_HEALTH)
		bus_health(n);
	node_settle(n);
}

static void on_hostinfo(void *ctx, struct tc_hostinfo *ret)
{
	node_fill_hostinfo(ctx, ret);
}

static void on_c2n(void *ctx, struct span request, struct buf *ret)
{
	c2n_answer(ctx, request, ret);
}

/* A ping the coordinator asked for, on its way. */
struct peer_ping {
	char *type;
	void (*done)(void *arg, const struct tc_ping_response *answer);
	void *arg;
};

static void on_peer_pong(void *arg, const struct engine_pong *pong)
{
	struct peer_ping *p = arg;
	char ip[IP_TEXT_MAX], node_ip[IP_TEXT_MAX], at[ADDR_TEXT_MAX];
	struct tc_ping_response answer = {
		.type = span_str(p->type),
		.ip = span_str(ip_text(&pong->ip, ip)),
		.node_ip = span_str(ip_is_zero(&pong->node_ip) ? ""
		                                               : ip_text(&pong->node_ip, node_ip)),
		.node_name = span_str(pong->node_name),
		.err = span_str(pong->err),
		.latency_s = pong->latency_s,
		.endpoint = span_str(addr_is_set(&pong->endpoint) ? addr_text(&pong->endpoint, at)
		                                                  : ""),
		.derp_region_id = pong->derp_region,
		.derp_region_code = span_str(pong->derp_code),
		.peerapi_port = pong->peerapi_port,
		.is_local_ip = pong->is_local,
	};

	p->done(p->arg, pong->timed_out ? NULL : &answer);
	free(p->type);
	free(p);
}

static void on_ping(void *ctx, const struct ip *ip, const char *type,
                    void (*done)(void *arg, const struct tc_ping_response *answer), void *arg)
{
	struct peer_ping *p = mem_new(struct peer_ping);

	*p = (struct peer_ping){ str_dup(type), done, arg };
	engine_ping(ctx, ip, type, 0, on_peer_pong, p);
}

static int make_session(struct node *n)
{
	struct session_cfg cfg = {
		.http = &n->http,
		.machine = profiles_machine_key(n->profiles),
		.prefs = node_prefs(n),
		.auth_key = n->auth_key,
		.ephemeral = store_is_memory(n->store),
		.force_https = getenv("TS_FORCE_NOISE_443") != NULL,
		.hooks = { n, on_changed, on_logged_in, on_map, on_hostinfo, on_browse, on_ping,
		           on_c2n },
	};

	disco_priv_public(&n->disco, &cfg.disco);
	return session_new(&cfg, &n->session);
}

static void end_session(struct node *n)
{
	engine_stop(n);
	ev_timer_stop(n->ev, &n->keep_map);
	n->map_kept = (mono){ 0 };
	session_free(TAKE(n->session));
	free(TAKE(n->err_message));
}

/* ---- what is asked for ---- */

static int need_session(struct node *n)
{
	return n->session ? 0 : make_session(n);
}

static void resume(struct node *n)
{
	int r = need_session(n);

	if (n->cfg.warden && !n->engine && !n->cfg.no_mark)
		warden_bypass(n->cfg.warden);

	if (r < 0)
		(void)log_ret(r, "no session with the coordinator");
	else
		session_start(n->session, SESSION_WITH_KEY);
}

int node_set_prefs(struct node *n, struct prefs *take)
{
	bool was = node_prefs(n)->want_running, is = take->want_running;
	int r = profiles_set_prefs(n->profiles, take, ev_wall(n->ev));

	if (r < 0) {
		node_settle(n); /* that it could not be kept is a warning */
		return r;
	}
	if (!was && is && node_has_key(n) && !node_prefs(n)->logged_out)
		resume(n);
	if (was && !is && n->session)
		session_pause(n->session);
	if (n->session)
		session_report(n->session);
	engine_apply(n, NULL);
	bus_prefs(n);
	node_settle(n);
	return 0;
}

int node_restart(struct node *n, struct prefs *take, const char *auth_key)
{
	int r = take ? profiles_set_prefs(n->profiles, take, ev_wall(n->ev)) : 0;

	if (r < 0)
		return r;
	end_session(n);
	n->state = IPN_NO_STATE;
	n->blocked = false;
	free(n->auth_key);
	n->auth_key = str_dup(auth_key && *auth_key ? auth_key : n->declared_key);
	bus_prefs(n);
	r = make_session(n);
	if (r < 0)
		return r;
	if (!node_prefs(n)->logged_out && node_has_key(n))
		session_start(n->session, SESSION_WITH_KEY);
	node_settle(n);
	return 0;
}

void node_login(struct node *n)
{
	int r = need_session(n);

	if (r < 0) {
		(void)log_ret(r, "no session with the coordinator");
		bus_error(n, err_text(r));
		return;
	}
	if (*session_status(n->session).auth_url) {
		bus_browse(n, session_status(n->session).auth_url);
		return;
	}
	n->blocked = true;
	session_start(n->session, SESSION_FRESH_KEY);
	node_settle(n);
}

struct logout {
	struct node *n;
	void (*done)(void *arg, int r);
	void *arg;
	struct ev_defer finish;
	int r;
};

/* The profile goes with the login. */
static void on_logout_finish(struct ev_defer *d)
{
	struct logout *l = CONTAINER_OF(d, struct logout, finish);
	struct node *n = l->n;
	AUTO_FREE char *id = span_dup(profiles_current(n->profiles)->id);

	node_forget_map(n);
	end_session(n);
	if (*id)
		(void)!profiles_remove(n->profiles, span_str(id));
	else
		profiles_new(n->profiles);
	n->state = IPN_NO_STATE;
	n->blocked = false;
	bus_prefs(n);
	node_settle(n);
	l->done(l->arg, l->r);
	free(l);
}

static void on_logged_out(void *arg, int r)
{
	struct logout *l = arg;

	if (r == ERR_BADSTATE) { /* another profile is in force by now */
		l->done(l->arg, r);
		free(l);
		return;
	}
	l->r = r;
	ev_defer(l->n->ev, &l->finish);
}

void node_logout(struct node *n, void (*done)(void *arg, int r), void *arg)
{
	struct logout *l = mem_new(struct logout);

	*l = (struct logout){ n, done, arg, { .fn = on_logout_finish }, 0 };
	engine_stop(n);
	if (node_has_key(n) && need_session(n) == 0)
		session_logout(n->session, on_logged_out, l);
	else
		on_logged_out(l, 0);
}

static void profile_changed(struct node *n)
{
	end_session(n);
	n->state = IPN_NO_STATE;
	n->blocked = false;
	free(TAKE(n->auth_key));
	bus_prefs(n);
	node_start(n);
}

int node_switch_profile(struct node *n, struct span id)
{
	int r = profiles_switch(n->profiles, id);

	if (r == 0)
		profile_changed(n);
	return r;
}

void node_new_profile(struct node *n)
{
	profiles_new(n->profiles);
	profile_changed(n);
}

int node_remove_profile(struct node *n, struct span id)
{
	bool current = span_eq(id, profiles_current(n->profiles)->id);
	int r = profiles_remove(n->profiles, id);

	if (r == 0 && current)
		profile_changed(n);
	return r;
}

void node_start(struct node *n)
{
	AUTO_DONE(buf) struct buf map = { 0 };
	bool has_map;

	/* What the last run left in the host for an exit node, if none is wanted now. */
	engine_stop(n);
	if (!n->auth_key && n->declared_key)
		n->auth_key = str_dup(n->declared_key);
	if (node_prefs(n)->logged_out || !node_prefs(n)->want_running) {
		node_settle(n);
		return;
	}
	if (node_has_key(n)) {
		has_map = load_map(n, &map) == 0;
		resume(n);
		if (n->session && has_map)
			seed_map(n, buf_span(&map));
	} else if (n->declared) {
		node_login(n); /* as declared, without a command */
	}
	node_settle(n);
}

/* ---- the log ---- */

static void on_quiet(struct ev_timer *t, mono now)
{
	struct node *n = CONTAINER_OF(t, struct node, quiet);

	(void)now;
	log_set_level((enum log_level)n->log_level);
}

void node_debug_log(struct node *n, int64_t us)
{
	if (!ev_timer_active(&n->quiet))
		n->log_level = log_get_level();
	ev_timer_stop(n->ev, &n->quiet);
	log_set_level(us ? LOG_DEBUG : (enum log_level)n->log_level);
	if (us)
		ev_timer_after(n->ev, &n->quiet, us);
}

/* ---- life ---- */

static int open_store(struct node *n)
{
	int r = store_open(n->cfg.state_path, &n->store);

	if (r < 0)
		return log_ret(r, "state file %s", n->cfg.state_path);
	r = profiles_open(n->store, &n->profiles);
	return r < 0 ? log_ret(r, "state file %s", n->cfg.state_path) : 0;
}

static void open_http(struct node *n)
{
	const char *env_https = getenv("HTTPS_PROXY"), *env_http = getenv("HTTP_PROXY");
	const char *env_none = getenv("NO_PROXY");

	n->proxy = (struct proxy_env){
		.https = env_https ? env_https : getenv("https_proxy"),
		.http = env_http ? env_http : getenv("http_proxy"),
		.none = env_none ? env_none : getenv("no_proxy"),
	};
	n->http = (struct http_client){
		.ev = n->ev,
		.resolver = n->resolver,
		.tls = n->tls,
		.proxy = &n->proxy,
		.prepare = mark_socket,
		.prepare_arg = n,
	};
}

int node_new(const struct node_cfg *cfg, struct node **ret)
{
	AUTO(node_free) struct node *n = mem_new(struct node);
	uint8_t id[32];
	int r;

	n->cfg = *cfg;
	n->ev = cfg->ev;
	n->settle.fn = on_settle;
	n->expiry.fn = on_expiry;
	n->quiet.fn = on_quiet;
	n->health_timer.fn = on_health;
	n->keep_map.fn = on_keep_map;
	bus_init(&n->bus);
	list_init(&n->dials);
	machine_facts(&n->facts);
	rand_bytes(id, sizeof(id));
	n->backend_log_id = hex_encode(mem_alloc(HEX_LEN(sizeof(id)) + 1), id, sizeof(id));
	disco_priv_new(&n->disco);
	if (cfg->state_path)
		n->control_hosts = str_fmt("%s.control", cfg->state_path);
	r = resolver_new(n->ev, &(struct resolver_cfg){ control_known, n }, &n->resolver);
	if (r == 0)
		r = tls_client_new(cfg->extra_ca, &n->tls);
	if (r == 0)
		r = open_store(n);
	if (r == 0)
		r = declared_open(n);
	if (r < 0)
		return r;
	open_http(n);
	r = localapi_start(n);
	if (r < 0)
		return log_ret(r, "local API at %s", cfg->socket);
	*ret = TAKE(n);
	return 0;
}

void node_free(struct node *n)
{
	if (!n)
		return;
	n->ending = true;
	if (n->profiles)
		end_session(n);
	localapi_stop(n);
	bus_done(&n->bus);
	ev_timer_stop(n->ev, &n->expiry);
	ev_timer_stop(n->ev, &n->quiet);
	ev_timer_stop(n->ev, &n->health_timer);
	health_done(&n->health);
	ev_defer_stop(&n->settle);
	declared_done(n);
	profiles_free(n->profiles);
	store_free(n->store);
	tls_client_unref(n->tls);
	resolver_free(n->resolver);
	disco_priv_wipe(&n->disco);
	free(n->suggested_exit);
	free(n->control_hosts);
	free(n->auth_key);
	free(n->backend_log_id);
	free(n->err_message);
	free(n);
}

/* ---- our report ---- */

void node_fill_hostinfo(struct node *n, struct tc_hostinfo *h)
{
	const struct prefs *p = node_prefs(n);

	*h = (struct tc_hostinfo){
		.ipn_version = SPAN_LIT(FAIRLEAD_VERSION "-fairlead"),
		.backend_log_id = span_str(n->backend_log_id),
		.os = SPAN_LIT("linux"),
		.os_version = span_str(n->facts.kernel),
		.container = obool(n->facts.container),
		.distro = span_str(n->facts.distro),
		.distro_version = span_str(n->facts.distro_version),
		.distro_code_name = span_str(n->facts.distro_code_name),
		.hostname = p->hostname.n ? p->hostname : span_str(n->facts.hostname),
		.machine = span_str(n->facts.machine),
		.shields_up = p->shields_up,
		.no_logs_no_support = true, /* nothing phones home */
		.routable_ips = p->advertise_routes,
		.request_tags = p->advertise_tags,
		.userspace = OBOOL_FALSE,
		.userspace_router = OBOOL_FALSE,
		.app_connector = obool(p->app_connector),
		.exit_node_id = p->exit_node_id,
	};
	engine_fill_hostinfo(n, h);
}
