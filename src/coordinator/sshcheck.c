#include "coordinator/sshcheck.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "coordinator/kept.h"
#include "coordinator/noise_link.h"
#include "coordinator/secret.h"
#include "coordinator/tailnet_policy.h"
#include "http/form.h"

enum {
	CHECKS_MAX = 1024,
	CHECKS_PER_SOURCE = 8,
	PASSES_MAX = 65536,
	LOGIN_NAME_MAX = 128,
	CHECK_LIFE_US = 15 * 60 * 1000 * 1000,
};

/* The longest period a policy may have. */
static const int64_t pass_life_us = 168 * 3600 * US_PER_S;

enum verdict { UNDECIDED, YES, NO };

struct check {
	struct link link; /* oldest first */
	char id[AUTH_ID_TEXT_MAX];
	uint64_t src, dst;
	char *login;
	mono until;
	enum verdict verdict;
	struct http_req *waiter; /* the daemon's request, held; NULL: none */
};

/* Who has shown that he is there, and when. */
struct pass {
	uint64_t src, dst;
	wall at;
};

struct sshchecks {
	struct coord *co;
	struct link list;
	size_t n;
	VEC(struct pass) passes; /* oldest first */
};

/* ---- answers ---- */

static void put_flag(struct js_wr *w, const char *name)
{
	js_wr_kv_bool(w, name, true);
}

static void answer_yes(struct http_req *req)
{
	struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	js_wr_open(&w, JS_OBJECT);
	put_flag(&w, "accept");
	put_flag(&w, "allowAgentForwarding");
	put_flag(&w, "allowLocalPortForwarding");
	put_flag(&w, "allowRemotePortForwarding");
	js_wr_close(&w, JS_OBJECT);
	coord_answer_json(req, 200, buf_span(&out));
	buf_done(&out);
}

static void answer_no(struct http_req *req, const char *why)
{
	struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	js_wr_open(&w, JS_OBJECT);
	put_flag(&w, "reject");
	js_wr_kv_str(&w, "message", why);
	js_wr_close(&w, JS_OBJECT);
	coord_answer_json(req, 200, buf_span(&out));
	buf_done(&out);
}

/* The link for the person, and where to ask on: there the request is held. */
static void answer_link(struct coord_call *c, const struct check *k)
{
	AUTO_DONE(buf) struct buf out = { 0 };
	AUTO_DONE(buf) struct buf next = { 0 };
	AUTO_FREE char *message = str_fmt(
		"# This session needs a check.\r\n# To authenticate, visit:\r\n#\r\n"
		"#\t%s/auth/%s\r\n#\r\n",
		c->co->cfg->server_url, k->id);
	struct js_wr w = js_wr_of(&out);

	/* Over Noise whatever the host; http would leave it. */
	buf_fmt(&next, "https://unused/machine/ssh/action/%llu/to/%llu?auth_id=%s",
	        (unsigned long long)k->src, (unsigned long long)k->dst, k->id);
	form_add(&next, "local_user", span_str(k->login));
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "message", message);
	js_wr_kv_str(&w, "holdAndDelegate", buf_text(&next));
	js_wr_close(&w, JS_OBJECT);
	coord_answer_json(c->req, 200, buf_span(&out));
}

/* ---- checks ---- */

static void decide(struct check *k, enum verdict verdict)
{
	struct http_req *req = k->waiter;

	k->verdict = verdict;
	k->waiter = NULL;
	if (req && verdict == YES)
		answer_yes(req);
	else if (req)
		answer_no(req, "The check was refused, or nobody answered it in time.\r\n");
}

static void check_free(struct sshchecks *s, struct check *k)
{
	decide(k, NO);
	list_remove(&k->link);
	s->n--;
	free(k->login);
	free(k);
}

static struct check *find(struct sshchecks *s, struct span id)
{
	struct check *k;

	list_each(k, &s->list, link)
		if (span_is(id, k->id))
			return k;
	return NULL;
}

/* One source's many checks push out its own; all together, the oldest. */
static void make_room(struct sshchecks *s, uint64_t src)
{
	struct check *k, *oldest = NULL;
	size_t own = 0;

	list_each(k, &s->list, link)
		if (k->src == src) {
			own++;
			oldest = oldest ? oldest : k;
		}
	if (own < CHECKS_PER_SOURCE && s->n < CHECKS_MAX)
		return;
	k = oldest ? oldest : list_first(&s->list, struct check, link);
	if (k)
		check_free(s, k);
}

static struct check *check_new(struct sshchecks *s, uint64_t src, uint64_t dst, struct span login)
{
	struct check *k = mem_new(struct check);

	make_room(s, src);
	auth_id_new(&s->co->rand, k->id);
	k->src = src;
	k->dst = dst;
	k->login = span_dup(login);
	k->until = mono_after(ev_now(s->co->ev), CHECK_LIFE_US);
	list_append(&s->list, &k->link);
	s->n++;
	return k;
}

/* ---- passes ---- */

enum { PASS_ID_MAX = 48 };

static const char *pass_id(const struct pass *p, char dst[static PASS_ID_MAX])
{
	(void)snprintf(dst, PASS_ID_MAX, "%llu-%llu", (unsigned long long)p->src,
	               (unsigned long long)p->dst);
	return dst;
}

static void keep_pass(struct sshchecks *s, const struct pass *p)
{
	AUTO_DONE(buf) struct buf json = { 0 };
	struct js_wr w = js_wr_of(&json);
	char id[PASS_ID_MAX];

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_int(&w, "src", (int64_t)p->src);
	js_wr_kv_int(&w, "dst", (int64_t)p->dst);
	js_wr_kv_int(&w, "at", p->at.us);
	js_wr_close(&w, JS_OBJECT);
	kept_put(state_store(s->co->st), KEPT_SSH_PASS, pass_id(p, id),
	         (wall){ p->at.us + pass_life_us }, buf_span(&json));
}

static void drop_pass(struct sshchecks *s, size_t i)
{
	char id[PASS_ID_MAX];

	kept_drop(state_store(s->co->st), KEPT_SSH_PASS, pass_id(&s->passes.v[i], id));
	vec_remove(&s->passes, i);
}

/* Ends are in the order of the times they were given. */
static void load_pass(void *arg, const char *id, wall until, const struct js *record)
{
	struct sshchecks *s = arg;
	struct pass p = { (uint64_t)js_int(js_get(record, "src"), 0),
		          (uint64_t)js_int(js_get(record, "dst"), 0),
		          { js_int(js_get(record, "at"), 0) } };

	(void)id;
	(void)until;
	if (s->passes.n < PASSES_MAX)
		vec_push(&s->passes, p);
}

static void remember(struct sshchecks *s, uint64_t src, uint64_t dst)
{
	struct pass p = { src, dst, ev_wall(s->co->ev) };

	for (size_t i = 0; i < s->passes.n; i++)
		if (s->passes.v[i].src == src && s->passes.v[i].dst == dst) {
			vec_remove(&s->passes, i);
			break;
		}
	if (s->passes.n >= PASSES_MAX)
		drop_pass(s, 0);
	vec_push(&s->passes, p);
	keep_pass(s, &p);
}

static bool has_passed(const struct sshchecks *s, uint64_t src, uint64_t dst, bool pair_alone,
                       int64_t period_us)
{
	wall now = ev_wall(s->co->ev);

	for (size_t i = s->passes.n; i--;) {
		const struct pass *p = &s->passes.v[i];

		if (now.us - p->at.us >= period_us)
			return false;
		if (p->src == src && (p->dst == dst || !pair_alone))
			return true;
	}
	return false;
}

/* ---- the daemon asks ---- */

static void on_gone(struct http_req *req, void *arg)
{
	struct sshchecks *s = arg;
	struct check *k;

	list_each(k, &s->list, link)
		if (k->waiter == req)
			k->waiter = NULL;
}

static void hold(struct coord_call *c, struct check *k)
{
	struct sshchecks *s = c->co->sshchecks;
	struct http_later later = { .gone = on_gone, .arg = s };
	enum verdict verdict = k->verdict;

	if (k->waiter)
		answer_no(TAKE(k->waiter), "Another request took this one's place.\r\n");
	k->waiter = c->req;
	http_answer_later(c->req, &later);
	if (verdict != UNDECIDED)
		decide(k, verdict);
}

static bool param_id(const struct coord_call *c, const char *name, uint64_t *ret)
{
	return span_u64(span_str(route_param(c->match, name)), INT64_MAX, ret) >= 0;
}

struct asked {
	uint64_t src, dst;
	struct span login, auth_id;
};

static bool read_asked(struct coord_call *c, struct asked *ret)
{
	struct form query;
	const char *login, *id;

	if (!param_id(c, "src", &ret->src) || !param_id(c, "dst", &ret->dst) ||
	    form_parse(&c->req->arena, c->req->query, &query) < 0)
		return false;
	login = form_get(&query, "local_user");
	id = form_get(&query, "auth_id");
	ret->login = span_str(login ? login : "");
	ret->auth_id = span_str(id ? id : "");
	return ret->login.n && ret->login.n <= LOGIN_NAME_MAX;
}

static void judge(struct coord_call *c, const struct asked *q)
{
	struct sshchecks *s = c->co->sshchecks;
	struct check *k = find(s, q->auth_id);
	int64_t period_us = 0;
	bool pair_alone = false;

	if (!pol_ssh_check_period(tailnet_policy_engine(c->co->policy), q->src, q->dst, q->login,
	                          &period_us, &pair_alone))
		answer_no(c->req, "The policy does not allow this session any more.\r\n");
	else if (k && k->src == q->src && k->dst == q->dst && span_is(q->login, k->login))
		hold(c, k);
	else if (has_passed(s, q->src, q->dst, pair_alone, period_us))
		answer_yes(c->req);
	else
		answer_link(c, check_new(s, q->src, q->dst, q->login));
}

void sshchecks_action(struct coord_call *c)
{
	struct asked q = { 0 };
	const struct node *dst;

	if (!read_asked(c, &q)) {
		http_answer_text(c->req, 400, "malformed request");
		return;
	}
	dst = state_node(c->co->st, q.dst);
	/* Only the node that was asked for the session hears about it. */
	if (!dst || !machine_pub_eq(&dst->machine, noise_link_machine(c->link)))
		http_answer_text(c->req, 401, "not your session");
	else if (!state_node(c->co->st, q.src))
		http_answer_text(c->req, 404, "node not found");
	else
		judge(c, &q);
}

/* ---- people decide ---- */

bool sshchecks_find(struct sshchecks *s, struct span auth_id, struct sshcheck_info *ret)
{
	const struct check *k = find(s, auth_id);

	if (!k || k->verdict != UNDECIDED)
		return false;
	*ret = (struct sshcheck_info){ state_node(s->co->st, k->src), state_node(s->co->st, k->dst),
		                       k->login };
	return ret->src && ret->dst;
}

int sshchecks_approve(struct sshchecks *s, struct span auth_id, uint64_t user_id,
                      struct fault *reterr)
{
	struct check *k = find(s, auth_id);
	struct sshcheck_info info;

	if (!sshchecks_find(s, auth_id, &info))
		return fault_set(reterr, ERR_UNKNOWN, 0, 0, "no session waits under this id");
	if (user_id && (node_is_tagged(info.src) || info.src->user_id != user_id))
		return fault_set(reterr, ERR_DENIED, 0, 0,
		                 "the session comes from a device of somebody else");
	remember(s, k->src, k->dst);
	decide(k, YES);
	return 0;
}

int sshchecks_reject(struct sshchecks *s, struct span auth_id)
{
	struct check *k = find(s, auth_id);

	if (!k || k->verdict != UNDECIDED)
		return ERR_UNKNOWN;
	decide(k, NO);
	return 0;
}

/* ---- the whole ---- */

void sshchecks_tick(struct sshchecks *s, mono now)
{
	struct check *k;
	wall long_ago = { ev_wall(s->co->ev).us - pass_life_us };

	while ((k = list_first(&s->list, struct check, link)) && mono_reached(k->until, now))
		check_free(s, k);
	while (s->passes.n && s->passes.v[0].at.us < long_ago.us)
		drop_pass(s, 0);
}

struct sshchecks *sshchecks_new(struct coord *co)
{
	struct sshchecks *s = mem_new(struct sshchecks);

	s->co = co;
	list_init(&s->list);
	kept_load(state_store(co->st), KEPT_SSH_PASS, ev_wall(co->ev), load_pass, s);
	return s;
}

void sshchecks_free(struct sshchecks *s)
{
	struct check *k;

	if (!s)
		return;
	while ((k = list_first(&s->list, struct check, link)))
		check_free(s, k);
	vec_done(&s->passes);
	free(s);
}
