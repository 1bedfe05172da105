#include "coordinator/node_rpc.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/json.h"
#include "base/log.h"
#include "coordinator/idtoken.h"
#include "coordinator/noise_link.h"
#include "coordinator/setdns.h"
#include "coordinator/tailnet_policy.h"

enum {
	AUDIENCE_MAX = 512,
	ACTION_MAX = 64,
	DETAILS_MAX = 1024,
	/* Entries that nodes write into the audit log: this many at once, and one a second. */
	NOTES_BURST = 100,
	HEALTH_TEXT_MAX = 200,
};

struct node_rpc {
	int64_t notes_us; /* credit for entries of the audit log */
	mono notes_at;
	struct log_limit health;
};

struct node_rpc *node_rpc_new(void)
{
	struct node_rpc *r = mem_new(struct node_rpc);

	r->notes_us = NOTES_BURST * US_PER_S;
	r->health = (struct log_limit){ .every_us = US_PER_S, .burst = 60 };
	return r;
}

void node_rpc_free(struct node_rpc *r)
{
	free(r);
}

/* The node that asks, proven by its machine; NULL: refused, and answered. */
static const struct node *who(struct coord_call *c, struct span body, const struct js **ret)
{
	struct js *tree = NULL;
	struct node_pub key;
	const struct node *n = NULL;

	if (js_parse(&c->req->arena, body, false, &tree, NULL) < 0 ||
	    node_pub_parse(js_text(js_get(tree, "NodeKey")), &key) < 0) {
		http_answer_text(c->req, 400, "malformed request");
		return NULL;
	}
	n = state_node_by_key(c->co->st, &key);
	if (!n || !machine_pub_eq(&n->machine, noise_link_machine(c->link))) {
		http_answer_text(c->req, 404, "node not found");
		return NULL;
	}
	if (node_expired(n, ev_wall(c->co->ev)) || !n->authorized) {
		http_answer_text(c->req, 403, "the node has to log in, or to be approved");
		return NULL;
	}
	*ret = tree;
	return n;
}

static const char *actor_of(struct coord_call *c, const struct node *n)
{
	return arena_fmt(&c->req->arena, "node:%llu", (unsigned long long)n->id);
}

/* ---- names and tokens ---- */

void node_rpc_set_dns(struct coord_call *c, struct span body)
{
	const struct js *q;
	const struct node *n = who(c, body, &q);

	if (n)
		setdns_write(c, n, js_text(js_get(q, "Type")), js_text(js_get(q, "Name")),
		             js_text(js_get(q, "Value")));
}

void node_rpc_id_token(struct coord_call *c, struct span body)
{
	const struct js *q;
	const struct node *n = who(c, body, &q);
	struct span audience;
	AUTO_DONE(buf) struct buf token = { 0 };
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	if (!n)
		return;
	audience = js_text(js_get(q, "Audience"));
	if (!audience.n || audience.n > AUDIENCE_MAX) {
		http_answer_text(c->req, 400, "an audience is needed");
		return;
	}
	if (idtoken_issue(c->co->idtoken, n, audience, &token) < 0) {
		http_answer_text(c->req, 500, "the token cannot be signed");
		return;
	}
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "id_token", buf_text(&token));
	js_wr_close(&w, JS_OBJECT);
	coord_answer_json(c->req, 200, buf_span(&out));
}

/* ---- what a node says of itself ---- */

static bool may_set(const struct coord *co, const struct js *update, struct span *ret_not)
{
	const struct policy *p = pol_engine_policy(tailnet_policy_engine(co->policy));

	for (const struct js *m = js_first(update); m; m = m->next)
		if (!policy_attr_by_node(p, m->key)) {
			*ret_not = span_first(m->key, 64);
			return false;
		}
	return true;
}

void node_rpc_attributes(struct coord_call *c, struct span body)
{
	const struct js *q;
	const struct node *n = who(c, body, &q);
	struct fault why = { 0 };
	struct span not_this;

	if (!n)
		return;
	if (!may_set(c->co, js_get(q, "Update"), &not_this)) {
		http_answer_text(c->req, 403,
		                 "the policy (attrConfig, allowSetByNode) does not let a node set "
		                 "%.*s itself",
		                 SPAN_FMT(not_this));
		return;
	}
	if (state_node_set_attrs(c->co->st, n->id, js_get(q, "Update"), (wall){ 0 },
	                         ev_wall(c->co->ev), actor_of(c, n), &why) < 0)
		http_answer_text(c->req, 400, "%s", why.message);
	else
		http_answer(c->req, 200, NULL, (struct span){ 0 });
}

/* Old clients tell what ails them; a line in the log is all we make of it. */
void node_rpc_health(struct coord_call *c, struct span body)
{
	const struct js *q;
	const struct node *n = who(c, body, &q);
	struct span error;

	if (!n)
		return;
	error = span_first(js_text(js_get(q, "Error")), HEALTH_TEXT_MAX);
	log_limited(&c->co->rpc->health, ev_now(c->co->ev), LOG_INFO,
	            "a node says how it is: node=%llu subsystem=%.*s error=\"%.*s\"",
	            (unsigned long long)n->id,
	            SPAN_FMT(span_first(js_text(js_get(q, "Subsys")), 60)), SPAN_FMT(error));
	http_answer(c->req, 204, NULL, (struct span){ 0 });
}

static bool may_note(struct node_rpc *r, mono now)
{
	r->notes_us += mono_since(r->notes_at, now);
	r->notes_at = now;
	if (r->notes_us > NOTES_BURST * US_PER_S)
		r->notes_us = NOTES_BURST * US_PER_S;
	if (r->notes_us < US_PER_S)
		return false;
	r->notes_us -= US_PER_S;
	return true;
}

static bool is_action(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!(s.p[i] >= 'A' && s.p[i] <= 'Z') && s.p[i] != '_')
			return false;
	return s.n && s.n <= ACTION_MAX;
}

void node_rpc_audit(struct coord_call *c, struct span body)
{
	const struct js *q;
	const struct node *n = who(c, body, &q);
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);
	struct span action;

	if (!n)
		return;
	action = js_text(js_get(q, "Action"));
	if (!is_action(action)) {
		http_answer_text(c->req, 400, "malformed request");
		return;
	}
	if (!may_note(c->co->rpc, ev_now(c->co->ev))) {
		http_put_field(c->req, "Retry-After", "60");
		http_answer_text(c->req, 429, "too many entries");
		return;
	}
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_span(&w, "details", span_first(js_text(js_get(q, "Details")), DETAILS_MAX));
	js_wr_kv_span(&w, "timestamp", span_first(js_text(js_get(q, "Timestamp")), TIME_TEXT_MAX));
	js_wr_close(&w, JS_OBJECT);

	const char *actor = actor_of(c, n);
	const char *what = arena_fmt(&c->req->arena, "client.%.*s", SPAN_FMT(action));

	if (state_note(c->co->st, actor, what, actor, buf_text(&out), ev_wall(c->co->ev)) < 0)
		http_answer_text(c->req, 500, "the entry cannot be kept");
	else
		http_answer(c->req, 200, NULL, (struct span){ 0 });
}

/* What `serve` and `funnel` ask before they begin: the text is for the person at the terminal. */
void node_rpc_feature(struct coord_call *c, struct span body)
{
	const struct js *q;
	const struct node *n = who(c, body, &q);
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);
	bool serve;

	if (!n)
		return;
	serve = span_is(js_text(js_get(q, "Feature")), "serve") && setdns_offered(c->co->cfg);
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_bool(&w, "Complete", serve);
	if (!serve)
		js_wr_kv_str(&w, "Text", "This coordination server does not offer that feature.\n");
	js_wr_close(&w, JS_OBJECT);
	coord_answer_json(c->req, 200, buf_span(&out));
}
