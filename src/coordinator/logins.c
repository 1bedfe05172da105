#include "coordinator/logins.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "control/capver.h"
#include "coordinator/crowd.h"
#include "coordinator/hostinfo.h"
#include "coordinator/kept.h"
#include "coordinator/noise_link.h"
#include "coordinator/secret.h"
#include "coordinator/streams.h"
#include "coordinator/throttle.h"

enum {
	LOGINS_PER_MACHINE = 8, /* a newer one takes the place of the oldest */
	LOGINS_SHARE = 4,       /* one source has at most this part of all there may be */
	LOGINS_SAFE = 32,       /* so many of a source are never lost to others */
	WAITERS_MAX = 4,
	NEW_BURST = 60, /* logins that a source may begin at once, then one a second */
	NEW_US = US_PER_S,
	WRONG_KEYS = 200, /* pre-auth keys that are none; a fleet with an old key tries often */
	WRONG_KEY_US = US_PER_S,
};

struct login {
	struct link link; /* oldest first */
	char id[AUTH_ID_TEXT_MAX];
	mono until;
	struct node_claim claim; /* its Hostinfo is ours */
	struct ip source;
	char *hostinfo, *hostname, *os;
	struct link waiters;
};

struct waiter {
	struct link link;
	struct coord *co;
	struct http_req *req;
};

static const char no_room[] = "too many logins wait for somebody: try again in some minutes";

struct logins {
	struct coord *co;
	struct link list;
	size_t n;
	struct crowd *crowd; /* who has how many of them */
	uint64_t no_room;
	struct throttle *begun, *wrong_keys;
};

/* ---- answers ---- */

static void put_user(struct js_wr *w, const struct state *st, const struct node *n)
{
	const struct user *u = n && !node_is_tagged(n) ? state_user(st, n->user_id) : NULL;
	const char *tagged = n ? "tagged-devices" : "";
	int64_t id = !n ? 0 : (int64_t)(u ? u->id : USER_TAGGED_ID);
	char text[24];
	const char *login = u ? user_login(u, text) : tagged;
	const char *shown = u && *u->display_name ? u->display_name
	                    : u                   ? login
	                    : n                   ? "Tagged Devices"
	                                          : "";

	js_wr_key(w, "User");
	js_wr_open(w, JS_OBJECT);
	js_wr_kv_int(w, "ID", id);
	js_wr_kv_str(w, "DisplayName", shown);
	js_wr_close(w, JS_OBJECT);
	js_wr_key(w, "Login");
	js_wr_open(w, JS_OBJECT);
	js_wr_kv_int(w, "ID", id);
	js_wr_kv_str(w, "Provider", u ? u->provider : "");
	js_wr_kv_str(w, "LoginName", login);
	js_wr_kv_str(w, "DisplayName", shown);
	if (u && *u->picture_url)
		js_wr_kv_str(w, "ProfilePicURL", u->picture_url);
	js_wr_close(w, JS_OBJECT);
}

struct verdict {
	const struct node *node; /* NULL: not registered */
	bool expired;
	const char *auth_url, *error;
};

static void respond(struct coord *co, struct http_req *req, const struct verdict *v)
{
	struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	js_wr_open(&w, JS_OBJECT);
	put_user(&w, co->st, v->node);
	js_wr_kv_bool(&w, "NodeKeyExpired", v->expired);
	js_wr_kv_bool(&w, "MachineAuthorized", v->node && v->node->authorized && !v->expired);
	js_wr_kv_str(&w, "AuthURL", v->auth_url);
	js_wr_key(&w, "NodeKeySignature");
	js_wr_null(&w);
	js_wr_kv_str(&w, "Error", v->error);
	js_wr_close(&w, JS_OBJECT);
	coord_answer_json(req, 200, buf_span(&out));
	buf_done(&out);
}

static void respond_error(struct coord *co, struct http_req *req, const char *error)
{
	respond(co, req, &(struct verdict){ .error = error });
}

/* ---- pending logins ---- */

static struct login *find(struct logins *l, struct span id)
{
	struct login *g;

	list_each(g, &l->list, link)
		if (span_is(id, g->id))
			return g;
	return NULL;
}

static void answer_waiters(struct logins *l, struct login *g, const struct verdict *v)
{
	struct waiter *w;

	while ((w = list_first(&g->waiters, struct waiter, link))) {
		list_remove(&w->link);
		respond(l->co, w->req, v);
		free(w);
	}
}

static char *url_of(const struct coord *co, const char *id)
{
	return str_fmt("%s/register/%s", co->cfg->server_url, id);
}

static void login_free(struct login *g)
{
	free(g->hostinfo);
	free(g->hostname);
	free(g->os);
	free(g);
}

static void take_out(struct logins *l, struct login *g)
{
	list_remove(&g->link);
	crowd_remove(l->crowd, &g->source);
	l->n--;
	kept_drop(state_store(l->co->st), KEPT_LOGIN, g->id);
}

/* It is decided, or nobody came in time. */
static void login_over(struct logins *l, struct login *g)
{
	take_out(l, g);
	login_free(g);
}

static void push_out(struct logins *l, struct login *g)
{
	answer_waiters(l, g, &(struct verdict){ .error = "login timed out; try again" });
	login_over(l, g);
}

static struct login *oldest_of_source(struct logins *l, const struct ip *source)
{
	struct login *g;

	list_each(g, &l->list, link)
		if (ip_eq(&g->source, source))
			return g;
	return NULL;
}

/* The machine's oldest login, once it has as many as it may. */
static struct login *oldest_of_machine(struct logins *l, const struct machine_pub *machine)
{
	struct login *g, *oldest = NULL;
	size_t n = 0;

	list_each(g, &l->list, link) {
		if (!machine_pub_eq(&g->claim.machine, machine))
			continue;
		oldest = oldest ? oldest : g;
		n++;
	}
	return n >= LOGINS_PER_MACHINE ? oldest : NULL;
}

static bool make_room(struct logins *l, const struct machine_pub *machine, const struct ip *source)
{
	struct login *g = oldest_of_machine(l, machine);
	struct ip whose = { 0 };

	if (g)
		push_out(l, g);
	switch (crowd_ask(l->crowd, source, &whose)) {
	case CROWD_ROOM:
		return true;
	case CROWD_PUSH:
		g = oldest_of_source(l, &whose);
		if (g)
			push_out(l, g);
		return true;
	case CROWD_FULL:
		break;
	}
	l->no_room++;
	return false;
}

/* Enters it in the table, under an id. The Hostinfo is copied. */
static struct login *login_add(struct logins *l, const struct node_claim *claim,
                               const struct ip *source, mono until, struct span id)
{
	AUTO(node_unref) struct node *probe = node_record_new();
	struct login *g = mem_new(struct login);

	memcpy(g->id, id.p, id.n);
	g->source = *source;
	g->until = until;
	g->claim = *claim;
	g->hostinfo = span_dup(claim->hostinfo);
	g->claim.hostinfo = span_str(g->hostinfo);
	if (hostinfo_apply(probe, claim->hostinfo) < 0)
		log_debug("a pending login has a Hostinfo we cannot read");
	g->hostname = str_dup(probe->hostname);
	g->os = str_dup(probe->os);
	list_init(&g->waiters);
	list_append(&l->list, &g->link);
	crowd_add(l->crowd, source);
	l->n++;
	return g;
}

static void keep(struct logins *l, const struct login *g)
{
	AUTO_DONE(buf) struct buf json = { 0 };
	struct js_wr w = js_wr_of(&json);
	char text[KEY_TEXT_MAX], ip[IP_TEXT_MAX];
	int64_t left = mono_since(ev_now(l->co->ev), g->until);

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "machine", machine_pub_text(&g->claim.machine, text));
	js_wr_kv_str(&w, "key", node_pub_text(&g->claim.key, text));
	js_wr_kv_str(&w, "old_key", node_pub_text(&g->claim.old_key, text));
	js_wr_kv_int(&w, "capver", g->claim.capver);
	js_wr_kv_int(&w, "expiry", g->claim.expiry.us);
	js_wr_kv_bool(&w, "ephemeral", g->claim.ephemeral);
	js_wr_kv_str(&w, "source", ip_text(&g->source, ip));
	js_wr_kv_span(&w, "hostinfo", g->claim.hostinfo);
	js_wr_close(&w, JS_OBJECT);
	kept_put(state_store(l->co->st), KEPT_LOGIN, g->id, (wall){ ev_wall(l->co->ev).us + left },
	         buf_span(&json));
}

static void load_one(void *arg, const char *id, wall until, const struct js *record)
{
	struct logins *l = arg;
	int64_t left = until.us - ev_wall(l->co->ev).us;
	struct node_claim claim = {
		.capver = (unsigned)js_int(js_get(record, "capver"), 0),
		.hostinfo = js_text(js_get(record, "hostinfo")),
		.expiry = { js_int(js_get(record, "expiry"), 0) },
		.ephemeral = js_truth(js_get(record, "ephemeral"), false),
	};
	struct ip source;

	if (!auth_id_valid(span_str(id)) ||
	    machine_pub_parse(js_text(js_get(record, "machine")), &claim.machine) < 0 ||
	    node_pub_parse(js_text(js_get(record, "key")), &claim.key) < 0 ||
	    node_pub_parse(js_text(js_get(record, "old_key")), &claim.old_key) < 0 ||
	    ip_parse(js_text(js_get(record, "source")), &source) < 0) {
		log_warn("a stored login cannot be read");
		return;
	}
	if (make_room(l, &claim.machine, &source))
		(void)login_add(l, &claim, &source, mono_after(ev_now(l->co->ev), left),
		                span_str(id));
}

/* NULL: there is no room that could be had without pushing others out. */
static struct login *login_new(struct logins *l, const struct node_claim *claim,
                               const struct ip *source, struct span id)
{
	mono until = mono_after(ev_now(l->co->ev), l->co->cfg->login_timeout_us);
	struct login *g;

	if (!make_room(l, &claim->machine, source))
		return NULL;
	g = login_add(l, claim, source, until, id);
	keep(l, g);
	return g;
}

static struct login *login_begin(struct logins *l, const struct node_claim *claim,
                                 const struct ip *source)
{
	char id[AUTH_ID_TEXT_MAX];

	auth_id_new(&l->co->rand, id);
	return login_new(l, claim, source, span_str(id));
}

/* Whoever waits gets another URL: the client shows it and asks again. */
static void restart_waiters(struct logins *l, struct login *g)
{
	struct verdict v = { .error = no_room };
	AUTO_FREE char *url = NULL;

	take_out(l, g); /* so that room is not made at its cost */
	if (!list_empty(&g->waiters)) {
		const struct login *fresh = login_begin(l, &g->claim, &g->source);

		if (fresh) {
			url = url_of(l->co, fresh->id);
			v = (struct verdict){ .auth_url = url };
		}
		answer_waiters(l, g, &v);
	}
	login_free(g);
}

static void plant_hostinfo(struct span name, const struct js *routes, struct buf *ret)
{
	struct js_wr w = js_wr_of(ret);

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "OS", "TestOS");
	js_wr_kv_span(&w, "Hostname", name);
	if (routes) {
		js_wr_key(&w, "RoutableIPs");
		js_wr_tree(&w, routes);
	}
	js_wr_close(&w, JS_OBJECT);
}

int logins_plant(struct logins *l, struct span auth_id, struct span name, const struct js *routes,
                 struct node **ret)
{
	AUTO_DONE(buf) struct buf hostinfo = { 0 };
	AUTO(node_unref) struct node *n = node_record_new();
	struct node_claim claim = { .capver = CAPVER_MIN };

	plant_hostinfo(name, routes, &hostinfo);
	claim.hostinfo = buf_span(&hostinfo);
	if (!auth_id_valid(auth_id) || hostinfo_apply(n, claim.hostinfo) < 0)
		return ERR_MALFORMED;
	if (find(l, auth_id))
		return ERR_EXISTS;
	rand_fill(&l->co->rand, claim.machine.b, KEY_LEN);
	rand_fill(&l->co->rand, claim.key.b, KEY_LEN);
	n->machine = claim.machine;
	n->key = claim.key;
	if (!login_new(l, &claim, &(struct ip){ 0 }, auth_id))
		return ERR_LIMIT;
	*ret = TAKE(n);
	return 0;
}

static void on_waiter_gone(struct http_req *req, void *arg)
{
	struct waiter *w = arg;

	(void)req;
	list_remove(&w->link);
	free(w);
}

static void wait_for(struct coord_call *c, struct login *g)
{
	struct waiter *w = mem_new(struct waiter);
	struct http_later later = { .gone = on_waiter_gone, .arg = w };
	size_t waiting = 0;
	struct waiter *other;

	list_each(other, &g->waiters, link)
		waiting++;
	other = waiting >= WAITERS_MAX ? list_first(&g->waiters, struct waiter, link) : NULL;
	if (other) {
		list_remove(&other->link);
		respond_error(c->co, other->req, "superseded by another request");
		free(other);
	}
	w->co = c->co;
	w->req = c->req;
	list_append(&g->waiters, &w->link);
	http_answer_later(c->req, &later);
}

/* ---- deciding ---- */

bool logins_find(struct logins *l, struct span auth_id, struct login_info *ret)
{
	const struct login *g = find(l, auth_id);

	if (!g)
		return false;
	*ret = (struct login_info){ g->hostname, g->os, g->claim.machine, g->claim.key };
	return true;
}

/* The node of this machine whose key the claim replaces; 0: none. */
static uint64_t rotates(const struct coord *co, const struct node_claim *claim)
{
	const struct node *n = state_node_by_key(co->st, &claim->old_key);

	return n && machine_pub_eq(&n->machine, &claim->machine) ? n->id : 0;
}

int logins_approve(struct logins *l, struct span auth_id, uint64_t user_id,
                   enum register_method method, wall expiry, const char *actor,
                   const struct node **ret, struct fault *reterr)
{
	struct login *g = find(l, auth_id);
	uint64_t rotated;
	int r;

	if (!g)
		return fault_set(reterr, ERR_UNKNOWN, 0, 0,
		                 "registration not found: it may have expired");
	rotated = rotates(l->co, &g->claim);
	r = state_register_for_user(l->co->st, &g->claim, user_id, method, expiry,
	                            ev_wall(l->co->ev), actor, ret, reterr);
	if (r < 0)
		return r;
	streams_end(l->co->streams, rotated); /* the poll of the old key */
	answer_waiters(l, g, &(struct verdict){ .node = *ret });
	login_over(l, g);
	return 0;
}

int logins_reject(struct logins *l, struct span auth_id)
{
	struct login *g = find(l, auth_id);

	if (!g)
		return ERR_UNKNOWN;
	restart_waiters(l, g);
	return 0;
}

uint64_t logins_refused(const struct logins *l)
{
	return l->no_room + throttle_refused(l->begun) + throttle_refused(l->wrong_keys);
}

size_t logins_count(const struct logins *l)
{
	return l->n;
}

void logins_tick(struct logins *l, mono now)
{
	struct login *g, *next;

	list_each_safe(g, next, &l->list, link) {
		if (!mono_reached(g->until, now))
			break;
		restart_waiters(l, g);
	}
}

/* ---- register requests ---- */

static void log_out(struct coord_call *c, const struct node *n, wall now)
{
	int r = n->ephemeral ? state_node_delete(c->co->st, n->id, now, "node")
	                     : state_node_expire(c->co->st, n->id, now, now, "node");

	if (r < 0)
		respond_error(c->co, c->req, "cannot log out now");
	else
		respond(c->co, c->req, &(struct verdict){ .expired = true });
}

/* The client's own wish for the end of its key: sooner is fine, later is not. */
static void shorten(struct coord_call *c, const struct node *n, wall at, wall now)
{
	uint64_t id = n->id; /* the record is replaced */

	if (n->expiry.us && at.us > n->expiry.us) {
		respond_error(c->co, c->req, "extending key is not allowed");
		return;
	}
	if (state_node_expire(c->co->st, id, at, now, "node") < 0)
		respond_error(c->co, c->req, "cannot set the expiry now");
	else
		respond(c->co, c->req, &(struct verdict){ .node = state_node(c->co->st, id) });
}

static void register_with_key(struct coord_call *c, const struct node_claim *claim, struct span key,
                              wall now)
{
	const struct node *n = NULL;
	struct fault why = { .message = "registration failed" };
	struct throttle *wrong = c->co->logins->wrong_keys;
	uint64_t rotated = rotates(c->co, claim);
	struct addr from;

	noise_link_address(c->link, &from);
	if (!throttle_has(wrong, &from.ip, now)) {
		respond_error(c->co, c->req,
		              "too many wrong keys from this address: wait a minute");
		return;
	}
	if (state_register_with_key(c->co->st, claim, key, now, &n, &why) < 0) {
		log_info("registration refused: %s", why.message);
		(void)throttle_take(wrong, &from.ip, now);
		respond_error(c->co, c->req, why.message);
		return;
	}
	streams_end(c->co->streams, rotated);
	log_info("registered: node=%llu name=%s", (unsigned long long)n->id, n->given_name);
	respond(c->co, c->req, &(struct verdict){ .node = n });
}

/* The id at the end of ".../register/<id>". */
static struct span id_of_followup(struct span url)
{
	size_t at = url.n;

	while (at && url.p[at - 1] != '/')
		at--;
	return span_from(url, at);
}

static void interactive(struct coord_call *c, const struct node_claim *claim)
{
	struct logins *l = c->co->logins;
	struct addr from;
	struct ip source;
	const struct login *g;

	noise_link_address(c->link, &from);
	if (!throttle_take(l->begun, &from.ip, ev_wall(c->co->ev))) {
		respond_error(c->co, c->req, "too many logins from this address: wait a moment");
		return;
	}
	source = throttle_source(&from.ip);
	g = login_begin(l, claim, &source);
	if (!g) {
		respond_error(c->co, c->req, no_room);
		return;
	}

	AUTO_FREE char *url = url_of(c->co, g->id);

	respond(c->co, c->req, &(struct verdict){ .auth_url = url });
}

static void follow_up(struct coord_call *c, const struct node_claim *claim, struct span url)
{
	struct login *g = find(c->co->logins, id_of_followup(url));

	/* A login is continued by the machine that began it, for the same key. */
	if (g && machine_pub_eq(&g->claim.machine, &claim->machine) &&
	    node_pub_eq(&g->claim.key, &claim->key))
		wait_for(c, g);
	else
		interactive(c, claim);
}

static void decide(struct coord_call *c, const struct register_request *q)
{
	struct coord *co = c->co;
	wall now = ev_wall(co->ev);
	const struct node *n = state_node_by_key(co->st, &q->key);
	struct node_claim claim = {
		.machine = *noise_link_machine(c->link),
		.key = q->key,
		.old_key = q->old_key,
		.capver = (unsigned)q->version,
		.hostinfo = q->hostinfo,
		.expiry = q->expiry,
		.ephemeral = q->ephemeral,
	};

	if (n && !machine_pub_eq(&n->machine, &claim.machine))
		respond_error(co, c->req, "node exists with a different machine key");
	else if (n && q->expiry.us && q->expiry.us <= now.us)
		log_out(c, n, now);
	else if (n && q->expiry.us && !node_expired(n, now))
		shorten(c, n, q->expiry, now);
	else if (q->auth_key.n)
		register_with_key(c, &claim, q->auth_key, now);
	else if (n && node_expired(n, now) && !q->followup.n)
		respond(co, c->req, &(struct verdict){ .node = n, .expired = true });
	else if (n && !node_expired(n, now))
		respond(co, c->req, &(struct verdict){ .node = n });
	else if (q->followup.n)
		follow_up(c, &claim, q->followup);
	else
		interactive(c, &claim);
}

void logins_register(struct coord_call *c, struct span body)
{
	struct register_request q;

	if (register_request_read(&c->req->arena, body, &q) < 0 || q.version < CAPVER_MIN)
		http_answer_text(c->req, 400, "unsupported client version or malformed request");
	else
		decide(c, &q);
}

/* ---- the whole ---- */

struct logins *logins_new(struct coord *co)
{
	struct logins *l = mem_new(struct logins);
	size_t max = (size_t)co->cfg->login_max, share = max / LOGINS_SHARE;

	l->co = co;
	list_init(&l->list);
	l->crowd = crowd_new(max, share ? share : 1, LOGINS_SAFE < share ? LOGINS_SAFE : share);
	l->begun = throttle_new(NEW_BURST, NEW_US);
	l->wrong_keys = throttle_new(WRONG_KEYS, WRONG_KEY_US);
	kept_load(state_store(co->st), KEPT_LOGIN, ev_wall(co->ev), load_one, l);
	return l;
}

/* Those who wait are not answered: they come back, and find their logins in the store. */
void logins_free(struct logins *l)
{
	struct login *g;
	struct waiter *w;

	if (!l)
		return;
	while ((g = list_first(&l->list, struct login, link))) {
		while ((w = list_first(&g->waiters, struct waiter, link)))
			list_remove(&w->link); /* freed when its connection closes */
		list_remove(&g->link);
		login_free(g);
	}
	crowd_free(l->crowd);
	throttle_free(l->begun);
	throttle_free(l->wrong_keys);
	free(l);
}
