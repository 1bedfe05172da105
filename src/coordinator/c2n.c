#include "coordinator/c2n.h"

#include <stdlib.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/json.h"
#include "coordinator/noise_link.h"
#include "coordinator/streams.h"
#include "http/h1.h"

enum { ID_BYTES = 16, ID_TEXT = HEX_LEN(ID_BYTES) + 1, CALLS_MAX = 4096, CALLS_PER_NODE = 8 };

struct c2n_call {
	struct link link;
	struct c2n *all;
	uint64_t node;
	char id[ID_TEXT];
	struct ev_timer timer;
	void (*done)(void *owner, const struct c2n_answer *a);
	void *owner;
};

struct c2n {
	struct coord *co;
	struct link calls;
	size_t n;
};

static void call_free(struct c2n_call *k)
{
	ev_timer_stop(k->all->co->ev, &k->timer);
	list_remove(&k->link);
	k->all->n--;
	free(k);
}

static void finish(struct c2n_call *k, const struct c2n_answer *a)
{
	void (*done)(void *, const struct c2n_answer *) = k->done;
	void *owner = k->owner;

	call_free(k);
	done(owner, a);
}

static void on_timeout(struct ev_timer *t, mono now)
{
	(void)now;
	finish(CONTAINER_OF(t, struct c2n_call, timer),
	       &(struct c2n_answer){ .error = ERR_TIMEOUT });
}

void c2n_cancel(struct c2n_call *call)
{
	call_free(call);
}

/* ---- asking ---- */

static void put_payload(const char *method, const char *path, struct span body, struct buf *out)
{
	h1_write_request(out, span_str(method), span_str(path));
	h1_put(out, "Host", "c2n");
	if (body.n) {
		h1_put(out, "Content-Type", "application/json");
		h1_put_u64(out, "Content-Length", body.n);
	}
	h1_end_head(out);
	buf_add_span(out, body);
}

static int send_request(struct c2n_call *k, const char *method, const char *path, struct span body)
{
	AUTO_DONE(buf) struct buf payload = { 0 };
	AUTO_DONE(buf) struct buf json = { 0 };
	AUTO_FREE char *url = str_fmt("https://unused/machine/c2n/%s", k->id);
	struct js_wr w = js_wr_of(&json);

	put_payload(method, path, body, &payload);
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "URL", url);
	js_wr_kv_bool(&w, "URLIsNoise", true);
	js_wr_kv_str(&w, "Types", "c2n");
	js_wr_key(&w, "Payload");
	js_wr_base64(&w, buf_span(&payload));
	js_wr_close(&w, JS_OBJECT);
	return streams_ping(k->all->co->streams, k->node, buf_span(&json));
}

static size_t calls_of(const struct c2n *c, uint64_t node)
{
	struct c2n_call *k;
	size_t n = 0;

	list_each(k, &c->calls, link)
		n += k->node == node;
	return n;
}

static struct c2n_call *call_new(struct c2n *c, uint64_t node)
{
	struct c2n_call *k = mem_new(struct c2n_call);
	uint8_t raw[ID_BYTES];

	rand_fill(&c->co->rand, raw, sizeof(raw));
	hex_encode(k->id, raw, sizeof(raw));
	k->all = c;
	k->node = node;
	k->timer.fn = on_timeout;
	list_append(&c->calls, &k->link);
	c->n++;
	return k;
}

struct c2n_call *c2n_ask(struct c2n *c, uint64_t node, const char *method, const char *path,
                         struct span body, int64_t timeout_us,
                         void (*done)(void *owner, const struct c2n_answer *a), void *owner)
{
	struct c2n_answer failed = { .error = ERR_LIMIT };
	struct c2n_call *k;

	if (c->n >= CALLS_MAX || calls_of(c, node) >= CALLS_PER_NODE) {
		done(owner, &failed);
		return NULL;
	}
	k = call_new(c, node);
	k->done = done;
	k->owner = owner;
	failed.error = send_request(k, method, path, body);
	if (failed.error < 0) {
		finish(k, &failed);
		return NULL;
	}
	ev_timer_after(c->co->ev, &k->timer, timeout_us);
	return k;
}

/* ---- the answer ---- */

static int read_response(struct arena *a, struct span in, struct c2n_answer *ret)
{
	struct http_head *head = arena_new(a, struct http_head);
	struct h1_reader reader;
	struct h1_step step = { .event = H1_MORE };
	struct buf body = { .max = C2N_ANSWER_MAX };
	bool complete = false;
	int r = 0;

	h1_reader_init(&reader, H1_RESPONSE);
	while (r >= 0 && step.event != H1_END) {
		r = h1_read(&reader, in, head, &step);
		if (r < 0 || (step.event == H1_MORE && !step.used))
			break;
		if (step.event == H1_HEAD) {
			head = http_head_dup(a, head);
			ret->status = head->status;
			ret->type = http_find(head, "Content-Type");
			head = arena_new(a, struct http_head);
		}
		if (step.event == H1_BODY)
			buf_add_span(&body, step.body);
		in = span_from(in, step.used);
	}
	if (r >= 0 && step.event != H1_END)
		r = h1_end_of_input(&reader, &complete);
	if (r >= 0 && !ret->status)
		r = ERR_MALFORMED;
	ret->body = span(arena_dup(a, body.p, body.n), body.n);
	buf_done(&body);
	return r;
}

static struct c2n_call *find(struct c2n *c, const char *id)
{
	struct c2n_call *k;

	list_each(k, &c->calls, link)
		if (strcmp(k->id, id) == 0)
			return k;
	return NULL;
}

struct answering {
	struct coord *co;
	const char *id;
	struct machine_pub machine;
};

static void on_body(struct http_req *req, void *arg, struct span body)
{
	const struct answering *x = arg;
	struct c2n_call *k = find(x->co->c2n, x->id);
	const struct node *n = k ? state_node(x->co->st, k->node) : NULL;
	struct c2n_answer answer = { 0 };
	struct arena a = { 0 };

	if (!n || !machine_pub_eq(&n->machine, &x->machine)) {
		http_answer_text(req, 404, "nobody asked");
		return;
	}
	answer.error = read_response(&a, body, &answer);
	http_answer(req, 204, NULL, (struct span){ 0 });
	finish(k, &answer);
	arena_done(&a);
}

void c2n_answered(struct coord_call *c)
{
	struct answering *x = arena_new(&c->req->arena, struct answering);

	x->co = c->co;
	x->id = route_param(c->match, "id");
	x->machine = *noise_link_machine(c->link);
	http_read_body(c->req, C2N_ANSWER_MAX, on_body, x);
}

/* ---- the whole ---- */

struct c2n *c2n_new(struct coord *co)
{
	struct c2n *c = mem_new(struct c2n);

	c->co = co;
	list_init(&c->calls);
	return c;
}

void c2n_free(struct c2n *c)
{
	struct c2n_call *k;

	if (!c)
		return;
	while ((k = list_first(&c->calls, struct c2n_call, link)))
		finish(k, &(struct c2n_answer){ .error = ERR_CLOSED });
	free(c);
}
