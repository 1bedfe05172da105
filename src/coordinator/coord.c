#include "coordinator/coord.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "coordinator/c2n.h"
#include "coordinator/dnsmap.h"
#include "coordinator/embed.h"
#include "coordinator/front.h"
#include "coordinator/idtoken.h"
#include "coordinator/import.h"
#include "coordinator/logins.h"
#include "coordinator/node_rpc.h"
#include "coordinator/noise_link.h"
#include "coordinator/outbound.h"
#include "coordinator/probe.h"
#include "coordinator/relaymap.h"
#include "coordinator/routes_net.h"
#include "coordinator/setdns.h"
#include "coordinator/site_cert.h"
#include "coordinator/sshcheck.h"
#include "coordinator/streams.h"
#include "coordinator/tailnet_policy.h"
#include "coordinator/watches.h"

enum {
	TICK_US = 5 * 1000 * 1000,
	WRITE_BEHIND_US = 1000 * 1000,
	SETTLE_US = 60 * 1000 * 1000, /* clients that lost us try again within half of this */
	KEY_FILE_MAX = 256,
};

/* ---- requests ---- */

void coord_answer_json(struct http_req *req, unsigned status, struct span json)
{
	http_answer(req, status, "application/json", json);
}

static void put_security_fields(struct http_req *req)
{
	http_put_field(req, "X-Frame-Options", "DENY");
	http_put_field(req, "Content-Security-Policy", "frame-ancestors 'none'");
	http_put_field(req, "X-Content-Type-Options", "nosniff");
	http_put_field(req, "Referrer-Policy", "no-referrer");
}

static void dispatch(struct coord_call *c, const struct coord_route *rows, size_t n)
{
	struct route_match match = { 0 };
	const char *allow = NULL;
	int r = ROUTE_FIND(rows, n, c->req->head->method, c->req->path, &c->req->arena, &match,
	                   &allow);

	if (r >= 0) {
		c->match = &match;
		((const struct coord_route *)match.row)->handle(c);
	} else if (r == ERR_DENIED) {
		http_put_field(c->req, "Allow", allow);
		http_answer_text(c->req, 405, "method not allowed");
	} else {
		http_answer_text(c->req, r == ERR_UNKNOWN ? 404 : 400, "not found");
	}
}

static void on_request(void *owner, struct http_req *req)
{
	struct coord_door *door = owner;
	struct coord_call c = {
		.co = door->co,
		.req = req,
		.link = req->pipe_arg,
		.local = door->kind == DOOR_LOCAL,
	};

	if (c.link) {
		dispatch(&c, routes_noise, routes_noise_n);
		return;
	}
	put_security_fields(req);
	if (door->kind == DOOR_NET)
		dispatch(&c, routes_net, routes_net_n);
	else if (door->kind == DOOR_LOCAL)
		dispatch(&c, routes_local, routes_local_n);
	else
		dispatch(&c, routes_metrics, routes_metrics_n);
}

/* ---- what the state tells ---- */

static void on_change(void *arg, const struct change *c)
{
	struct coord *co = arg;

	tailnet_policy_changed(co->policy, c);
	if (!co->hub)
		return;
	maphub_changed(co->hub, c);
	streams_wake(co->streams);
	if (state_is_dirty(co->st) && !ev_timer_active(&co->flush))
		ev_timer_after(co->ev, &co->flush, WRITE_BEHIND_US);
}

static bool may_tag(void *arg, const struct user *u, const struct texts *tags, const char *tag)
{
	return tailnet_policy_may_tag(((struct coord *)arg)->policy, u, tags, tag);
}

static bool tag_known(void *arg, const char *tag)
{
	return tailnet_policy_tag_known(((struct coord *)arg)->policy, tag);
}

static bool auto_approves(void *arg, const struct node *n, const struct prefix *route)
{
	return tailnet_policy_auto_approves(((struct coord *)arg)->policy, n, route);
}

static void ip_pools(void *arg, const struct node *n, struct prefixes *ret)
{
	tailnet_policy_ip_pools(((struct coord *)arg)->policy, n, ret);
}

static void on_flush(struct ev_timer *t, mono now)
{
	struct coord *co = CONTAINER_OF(t, struct coord, flush);
	int r = state_flush(co->st);

	(void)now;
	if (r < 0) {
		(void)log_ret(r, "cannot write what nodes reported; trying again");
		ev_timer_after(co->ev, &co->flush, WRITE_BEHIND_US);
	}
}

static void on_tick(struct ev_timer *t, mono now)
{
	struct coord *co = CONTAINER_OF(t, struct coord, tick);

	if (ev_wall(co->ev).us - co->started.us > SETTLE_US)
		state_settle(co->st);
	state_tick(co->st, ev_wall(co->ev),
	           co->cfg->ephemeral_us ? co->cfg->ephemeral_us : INT64_MAX / 2);
	logins_tick(co->logins, now);
	sshchecks_tick(co->sshchecks, now);
	setdns_tick(co->setdns);
	streams_tick(co->streams);
	tailnet_policy_retest(co->policy, ev_wall(co->ev));
	ev_timer_after(co->ev, &co->tick, TICK_US);
}

/* ---- keys and files ---- */

static int make_folder_of(const char *path, mode_t mode)
{
	AUTO_FREE char *dir = file_folder(path);

	return file_mkdirs(dir, mode);
}

static int make_key(const char *path, struct machine_priv *ret)
{
	char text[KEY_TEXT_MAX];
	int r = make_folder_of(path, 0700);

	if (r < 0)
		return log_ret(r, "cannot make the folder of %s", path);
	machine_priv_new(ret);
	machine_priv_text(ret, text);
	r = file_write_atomic(path, span_str(text), 0600);
	explicit_bzero(text, sizeof(text));
	return r < 0 ? log_ret(r, "cannot write %s", path) : 0;
}

/* "privkey:<hex>", as Headscale keeps it; made if there is none. */
static int load_key(const char *path, struct machine_priv *ret)
{
	AUTO_DONE(buf) struct buf text = { .secret = true };
	int r = file_read(path, KEY_FILE_MAX, &text);

	if (r == -ENOENT)
		return make_key(path, ret);
	if (r >= 0)
		r = machine_priv_parse(span_trim(buf_span(&text)), ret);
	return r < 0 ? log_ret(r, "cannot read the key in %s", path) : 0;
}

/* ---- names ---- */

static int set_names(struct coord *co)
{
	AUTO_DONE(buf) struct buf extra = { 0 };
	AUTO_DONE(buf) struct buf json = { 0 };
	struct fault why = { 0 };
	int r = 0;

	if (*co->cfg->extra_records_path)
		r = file_read(co->cfg->extra_records_path, DNS_RECORDS_FILE_MAX, &extra);
	if (r >= 0)
		r = dnsmap_json(co->cfg, buf_span(&extra), &json, &why);
	if (r < 0)
		return log_ret(r, "extra records %s line %u: %s", co->cfg->extra_records_path,
		               why.line, why.message);
	maphub_set_dns(co->hub, buf_span(&json));
	state_announce(co->st, CHANGE_DNS);
	return 0;
}

/* ---- the policy ---- */

static bool policy_in_database(const struct coord *co)
{
	return strcmp(co->cfg->policy_mode, "database") == 0;
}

/* The text in force: of the file or the database; empty for none. */
static int read_policy(struct coord *co, struct buf *ret)
{
	struct store *s = state_store(co->st);
	char *text = NULL;
	wall at;
	int r;

	if (!policy_in_database(co))
		return *co->cfg->policy_path ? file_read(co->cfg->policy_path, POLICY_TEXT_MAX, ret)
		                             : 0;
	r = s->ops->get_policy(s, &text, &at);
	if (r >= 0 && text)
		buf_add_str(ret, text);
	free(text);
	return r;
}

static int load_policy(struct coord *co, enum policy_strictness how)
{
	AUTO_DONE(buf) struct buf text = { .max = POLICY_TEXT_MAX };
	struct policy_issues issues = { 0 };
	struct fault why = { 0 };
	int r = read_policy(co, &text);

	if (r >= 0 && !span_trim(buf_span(&text)).n) {
		/* As Headscale 0.29: an editor that truncates before it writes opens nothing. */
		if (how == POLICY_ON_WRITE)
			log_warn("%s is empty: the policy in force stays", co->cfg->policy_path);
		return 0;
	}
	if (r >= 0)
		r = tailnet_policy_set(co->policy, buf_span(&text), how, ev_wall(co->ev), &issues);
	tailnet_policy_explain(&issues, &why);
	policy_issues_done(&issues);
	return r < 0 ? log_ret(r, "policy %s: %s", co->cfg->policy_path, why.message) : 0;
}

int coord_set_policy(struct coord *co, struct span text, const char *actor, struct fault *reterr)
{
	struct policy_issues issues = { 0 };
	wall now = ev_wall(co->ev);
	int r;

	if (!policy_in_database(co))
		return fault_set(reterr, ERR_DENIED, 0, 0,
		                 "the policy is a file (policy.mode): change it there");
	r = tailnet_policy_check(co->policy, text, &issues);
	if (r < 0)
		tailnet_policy_explain(&issues, reterr);
	/* Kept first: what is in force is never ahead of what is stored. */
	if (r >= 0)
		r = state_policy_save(co->st, text, now, actor);
	if (r >= 0)
		r = tailnet_policy_set(co->policy, text, POLICY_ON_WRITE, now, &issues);
	if (r >= 0)
		relaymap_reload(co->relaymap);
	policy_issues_done(&issues);
	return r;
}

/* What is wrong is logged by those who read it; what was in force stays. */

void coord_reload_policy(struct coord *co)
{
	if (!policy_in_database(co) && load_policy(co, POLICY_ON_WRITE) >= 0)
		relaymap_reload(co->relaymap);
}

void coord_reload_names(struct coord *co)
{
	(void)set_names(co);
}

void coord_reload(struct coord *co)
{
	coord_reload_policy(co);
	coord_reload_names(co);
	relaymap_reload(co->relaymap);
	site_cert_reload(co->cert);
	log_info("files were read again");
}

static void on_signal(struct ev_signal *s, int signo)
{
	struct coord *co = CONTAINER_OF(s, struct coord, signals);

	if (signo == SIGHUP) {
		coord_reload(co);
		return;
	}
	log_info("ending on signal %d", signo);
	ev_stop(co->ev, 0);
}

/* ---- the whole ---- */

int coord_lock(const char *db_path, int *ret_fd)
{
	AUTO_FREE char *path = str_fmt("%s.lock", db_path);
	int r = file_lock(path, ret_fd);

	if (r == -EWOULDBLOCK)
		log_error("%s is in use by another server", db_path);
	else if (r < 0)
		return log_ret(r, "cannot lock %s", path);
	return r < 0 ? ERR_BADSTATE : 0;
}

static int open_state(struct coord *co)
{
	const struct config *cfg = co->cfg;
	struct state_cfg scfg = {
		.v4 = cfg->v4,
		.v6 = cfg->v6,
		.order = strcmp(cfg->allocation, "random") == 0 ? IPAM_RANDOM : IPAM_SEQUENTIAL,
		.node_expiry_us = cfg->node_expiry_us,
		.device_approval = cfg->device_approval,
	};
	struct state_env env = {
		.rand = &co->rand,
		.changed = on_change,
		.may_tag = may_tag,
		.tag_known = tag_known,
		.auto_approves = auto_approves,
		.ip_pools = ip_pools,
		.arg = co,
	};
	AUTO(store_close) struct store *store = NULL;
	int r = make_folder_of(cfg->db_path, 0700);

	if (r < 0)
		return log_ret(r, "cannot make the folder of %s", cfg->db_path);
	if (import_is_headscale(cfg->db_path)) {
		log_error("%s is Headscale's: take it over with `import headscale` first",
		          cfg->db_path);
		return ERR_VERSION;
	}
	r = coord_lock(cfg->db_path, &co->lock);
	if (r < 0)
		return r;
	r = store_sqlite_open(cfg->db_path, &store);
	if (r >= 0)
		r = state_new(&scfg, &env, store, &co->st);
	if (r < 0)
		return log_ret(r, "cannot open the database %s", cfg->db_path);
	store = NULL; /* the state's now */
	return 0;
}

static void read_trusted(struct coord *co)
{
	const struct texts *t = &co->cfg->trusted_proxies;

	co->trusted = mem_new_n(struct prefix, t->n + 1);
	for (size_t i = 0; i < t->n; i++)
		if (prefix_parse(span_str(t->v[i]), &co->trusted[co->n_trusted]) >= 0)
			co->n_trusted++;
		else
			log_warn("trusted_proxies: \"%s\" is no prefix", t->v[i]);
}

static void make_doors(struct coord *co)
{
	co->doors = mem_new_n(struct coord_door, DOORS);
	for (enum coord_door_kind k = 0; k < DOORS; k++) {
		struct http_server_cfg cfg = {
			.ev = co->ev,
			.request = on_request,
			.owner = &co->doors[k],
			.conns_max = 200000,
			.conns_from_max = 200000,
			.trusted = co->trusted,
			.n_trusted = co->n_trusted,
		};

		co->doors[k].co = co;
		co->doors[k].kind = k;
		co->doors[k].http = http_server_new(&cfg);
	}
	co->http = co->doors[DOOR_NET].http;
}

/*
 * Clients need a relay to come up. Where none is configured ours serves: nothing is
 * asked of strangers by default.
 */
static void ensure_relay(struct config *cfg)
{
	if (cfg->derp_enabled || cfg->derp_paths.n || cfg->derp_urls.n)
		return;
	cfg->derp_enabled = cfg->derp_auto_region = true;
	log_info("no relay is configured (derp.urls, derp.paths, derp.server): the embedded one "
	         "serves");
}

static int open_relay(struct coord *co)
{
	AUTO_WIPE(machine_priv) text;
	AUTO_WIPE(node_priv) key;
	int r;

	if (!co->cfg->derp_enabled)
		return 0;
	r = load_key(co->cfg->derp_key_path, &text);
	if (r < 0)
		return r;
	memcpy(key.b, text.b, KEY_LEN);
	return embed_new(co, &key, &co->embed);
}

/* Clients leave Noise for what is not https; over it any host will do. */
static const char *url_over_noise(const struct config *cfg)
{
	return span_starts(span_str(cfg->server_url), "https://") ? cfg->server_url
	                                                          : "https://unused";
}

static int start(struct coord *co)
{
	static const int signos[] = { SIGHUP, SIGINT, SIGTERM };
	int r = load_key(co->cfg->noise_key_path, &co->noise_key);

	co->policy = tailnet_policy_new(url_over_noise(co->cfg));
	if (r >= 0)
		r = open_state(co);
	if (r >= 0)
		r = site_cert_new(co->ev, co->cfg,
		                  inherited_take(co->inherited, co->n_inherited, "http"),
		                  &co->cert);
	if (r >= 0)
		r = outbound_new(co->ev, &co->outbound);
	if (r >= 0)
		r = idtoken_new(co, &co->idtoken);
	if (r < 0)
		return r;
	machine_priv_public(&co->noise_key, &co->noise_pub);
	tailnet_policy_attach(co->policy, co->st);
	tailnet_policy_judge(co->policy, &co->judge);
	r = load_policy(co, POLICY_ON_START);
	if (r < 0)
		return r;
	co->hub = maphub_new(co->st, &co->judge, &co->settings);
	co->streams = streams_new(co);
	co->logins = logins_new(co);
	co->sshchecks = sshchecks_new(co);
	co->rpc = node_rpc_new();
	co->setdns = setdns_new(co);
	co->c2n = c2n_new(co);
	co->probe = probe_new(co);
	read_trusted(co);
	make_doors(co);
	r = front_new(co, &co->front);
	if (r >= 0)
		ensure_relay(co->cfg);
	r = open_relay(co);
	if (r >= 0)
		r = relaymap_new(co, &co->relaymap);
	if (r >= 0)
		r = set_names(co);
	co->watches = watches_new(co);
	if (r >= 0)
		r = ev_signal_start(co->ev, &co->signals, signos, ARRAY_LEN(signos));
	ev_timer_after(co->ev, &co->tick, TICK_US);
	return r;
}

int coord_new(struct ev *ev, struct config *cfg, struct coord **ret)
{
	AUTO(coord_free) struct coord *co = mem_new(struct coord);
	int r;

	co->ev = ev;
	co->cfg = cfg;
	co->lock = -1;
	co->n_inherited = listen_inherited(co->inherited);
	co->started = ev_wall(ev);
	co->tick.fn = on_tick;
	co->flush.fn = on_flush;
	co->signals.fn = on_signal;
	rand_system(&co->rand);
	co->settings = (struct map_settings){
		.base_domain = cfg->magic_dns ? cfg->base_domain : "",
		.domain = cfg->base_domain,
		.taildrop = cfg->taildrop,
		.auto_update = cfg->auto_update,
		.logtail = cfg->logtail,
		.certificates = setdns_offered(cfg),
	};
	r = start(co);
	if (r < 0)
		return r;
	*ret = TAKE(co);
	return 0;
}

void coord_free(struct coord *co)
{
	if (!co)
		return;
	if (co->st && state_flush(co->st) < 0)
		log_warn("what nodes reported last was not written");
	watches_free(co->watches);
	c2n_free(co->c2n);
	probe_free(co->probe);
	streams_free(co->streams);
	logins_free(co->logins);
	sshchecks_free(co->sshchecks);
	for (size_t i = 0; co->doors && i < DOORS; i++) {
		listener_free(co->doors[i].listener);
		http_server_free(co->doors[i].http);
	}
	free(co->doors);
	front_free(co->front);
	embed_free(co->embed);
	node_rpc_free(co->rpc);
	setdns_free(co->setdns);
	idtoken_free(co->idtoken);
	relaymap_free(co->relaymap);
	outbound_free(co->outbound);
	ev_timer_stop(co->ev, &co->tick);
	ev_timer_stop(co->ev, &co->flush);
	if (co->signals.io.active)
		ev_signal_stop(co->ev, &co->signals);
	maphub_free(co->hub);
	co->hub = NULL;
	state_free(co->st);
	fd_close(co->lock);
	tailnet_policy_free(co->policy);
	site_cert_free(co->cert);
	machine_priv_wipe(&co->noise_key);
	free(co->trusted);
	free(co);
}

/* ---- listening ---- */

static void on_accept(void *owner, struct listener *l, int fd, const struct addr *peer)
{
	struct coord_door *door = owner;

	(void)l;
	http_server_accept(door->http, fd, peer,
	                   door->kind == DOOR_NET ? site_cert_tls(door->co->cert) : NULL);
}

/* "1.2.3.4:80", "[::1]:80", ":80" */
static int parse_listen(const char *text, struct addr *ret)
{
	AUTO_FREE char *any = str_fmt("[::]%s", text);

	return addr_parse(span_str(*text == ':' ? any : text), ret);
}

static int listen_tcp(struct coord *co, enum coord_door_kind kind, const char *name, const char *at)
{
	struct listen_cfg cfg = { .accepted = on_accept, .owner = &co->doors[kind] };
	int passed = inherited_take(co->inherited, co->n_inherited, name);
	struct addr addr;
	int r;

	if (passed >= 0)
		return listener_from_fd(co->ev, passed, &cfg, &co->doors[kind].listener);
	if (!*at)
		return 0;
	r = parse_listen(at, &addr);
	if (r >= 0)
		r = listener_tcp(co->ev, &addr, &cfg, &co->doors[kind].listener);
	return r < 0 ? log_ret(r, "cannot listen on %s", at) : 0;
}

static int listen_local(struct coord *co)
{
	struct listen_cfg cfg = { .accepted = on_accept, .owner = &co->doors[DOOR_LOCAL] };
	int r = make_folder_of(co->cfg->unix_socket, 0755);

	if (r >= 0)
		r = listener_unix(co->ev, co->cfg->unix_socket, (mode_t)co->cfg->unix_socket_mode,
		                  &cfg, &co->doors[DOOR_LOCAL].listener);
	return r < 0 ? log_ret(r, "cannot listen on %s", co->cfg->unix_socket) : 0;
}

int coord_listen(struct coord *co)
{
	int r = listen_tcp(co, DOOR_NET, "net", co->cfg->listen_addr);

	if (r >= 0)
		r = listen_tcp(co, DOOR_METRICS, "metrics", co->cfg->metrics_listen_addr);
	if (r >= 0)
		r = listen_local(co);
	if (r >= 0)
		log_info("serving %s on %s", co->cfg->server_url, co->cfg->listen_addr);
	return r;
}
