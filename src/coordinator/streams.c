#include "coordinator/streams.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "base/wire.h"
#include "control/capver.h"
#include "coordinator/noise_link.h"

enum {
	KEEPALIVE_US = 50 * 1000 * 1000,
	KEEPALIVE_JITTER_US = 8 * 1000 * 1000,
	GRACE_US = 10 * 1000 * 1000, /* from the end of the last poll to being offline */
	FLUSH_US = 10 * 1000,        /* changes are gathered this long */
	FLUSH_SHARE = 3,             /* a flush that took t is followed by a pause of 3 t */
	FLUSH_MAX_US = 3000 * 1000,  /* but not of more than this */
	CROWD = 256,                 /* so many streams opened leave memory worth giving back */
};

struct map_stream {
	struct link link;
	struct map_node by_node;
	struct streams *all;
	struct http_req *req; /* NULL: the other side has gone */
	struct mapsess *sess;
	enum piece_form form;
	bool full; /* waits for `drained` */
	struct ev_timer keepalive;
};

/* A node that lost its last poll and may come back. */
struct leaver {
	struct link link;
	uint64_t node;
	mono at;
};

struct streams {
	struct coord *co;
	struct map by_node;
	struct link list, leavers; /* leavers in the order of their times */
	struct ev_timer flush, leave;
	mono next_flush;
	size_t opened, opened_before; /* since memory was given back; and a tick ago */
	struct buf scratch;
};

static uint64_t node_hash(const struct streams *s, uint64_t id)
{
	return map_hash(&s->by_node, &id, sizeof(id));
}

static struct map_stream *find(const struct streams *s, uint64_t node)
{
	for (struct map_node *n = map_find(&s->by_node, node_hash(s, node)); n; n = map_again(n)) {
		struct map_stream *m = CONTAINER_OF(n, struct map_stream, by_node);

		if (mapsess_node(m->sess) == node)
			return m;
	}
	return NULL;
}

/* ---- writing ---- */

static void arm_keepalive(struct map_stream *m)
{
	int64_t jitter = (int64_t)rand_src_below(&m->all->co->rand, KEEPALIVE_JITTER_US);

	ev_timer_after(m->all->co->ev, &m->keepalive, KEEPALIVE_US + jitter);
}

static void drop(struct map_stream *m)
{
	struct streams *s = m->all;

	ev_timer_stop(s->co->ev, &m->keepalive);
	list_remove(&m->link);
	map_remove(&s->by_node, &m->by_node);
	mapsess_free(m->sess);
	free(m);
}

static void frame(struct buf *out, const struct mapmsg *msg)
{
	uint8_t head[4];

	put_le32(head, (uint32_t)msg->n);
	buf_add(out, head, sizeof(head));
	for (size_t i = 0; i < msg->pieces.n; i++)
		buf_add(out, msg->pieces.v[i]->bytes, msg->pieces.v[i]->n);
}

static int send_msg(struct map_stream *m, const struct mapmsg *msg)
{
	struct buf *out = &m->all->scratch;
	int r;

	buf_clear(out);
	frame(out, msg);
	r = http_send(m->req, buf_span(out));
	m->full = r == STREAM_FULL;
	arm_keepalive(m);
	return r;
}

/* Says all there is to say, as far as the client takes it. False: the stream has ended. */
static bool push(struct map_stream *m)
{
	wall now = ev_wall(m->all->co->ev);
	int r = 1;

	while (!m->full && r > 0) {
		struct mapmsg msg = { 0 };

		r = mapsess_next(m->sess, now, &msg);
		if (r > 0 && send_msg(m, &msg) < 0)
			r = 0; /* `gone` follows */
		mapmsg_done(&msg);
	}
	if (r >= 0)
		return true;
	http_finish(m->req);
	drop(m);
	return false;
}

static void on_keepalive(struct ev_timer *t, mono now)
{
	struct map_stream *m = CONTAINER_OF(t, struct map_stream, keepalive);
	struct mapmsg msg = { 0 };

	(void)now;
	if (m->full) {
		arm_keepalive(m);
		return;
	}
	mapmsg_add(&msg, maphub_keepalive(m->all->co->hub, m->form));
	(void)send_msg(m, &msg);
	mapmsg_done(&msg);
}

static void on_flush(struct ev_timer *t, mono began)
{
	struct streams *s = CONTAINER_OF(t, struct streams, flush);
	struct map_stream *m, *next;
	mono ended;
	int64_t pause;

	list_each_safe(m, next, &s->list, link)
		if (!m->full)
			(void)push(m);
	ended = mono_now();
	pause = FLUSH_SHARE * mono_since(began, ended);
	s->next_flush = mono_after(ended, pause > FLUSH_MAX_US ? FLUSH_MAX_US : pause);
}

void streams_wake(struct streams *s)
{
	mono soon = mono_after(ev_now(s->co->ev), FLUSH_US);

	if (ev_timer_active(&s->flush) || list_empty(&s->list))
		return;
	ev_timer_set(s->co->ev, &s->flush, mono_before(soon, s->next_flush) ? s->next_flush : soon);
}

/* ---- presence ---- */

static void arm_leave(struct streams *s)
{
	struct leaver *first = list_first(&s->leavers, struct leaver, link);

	ev_timer_set(s->co->ev, &s->leave, first ? first->at : MONO_NEVER);
}

static void on_leave(struct ev_timer *t, mono now)
{
	struct streams *s = CONTAINER_OF(t, struct streams, leave);
	struct leaver *l;

	while ((l = list_first(&s->leavers, struct leaver, link)) && mono_reached(l->at, now)) {
		if (!find(s, l->node))
			state_node_online(s->co->st, l->node, false, ev_wall(s->co->ev));
		list_remove(&l->link);
		free(l);
	}
	arm_leave(s);
}

static void left(struct streams *s, uint64_t node)
{
	struct leaver *l = mem_new(struct leaver);

	l->node = node;
	l->at = mono_after(ev_now(s->co->ev), GRACE_US);
	list_append(&s->leavers, &l->link);
	if (!ev_timer_active(&s->leave))
		arm_leave(s);
}

static void on_gone(struct http_req *req, void *arg)
{
	struct map_stream *m = arg;
	struct streams *s = m->all;
	uint64_t node = mapsess_node(m->sess);

	(void)req;
	drop(m);
	if (!find(s, node))
		left(s, node);
}

static void on_drained(struct http_req *req, void *arg)
{
	struct map_stream *m = arg;

	(void)req;
	m->full = false;
	(void)push(m);
}

void streams_end(struct streams *s, uint64_t node)
{
	struct map_stream *m = find(s, node);

	if (!m)
		return;
	http_finish(m->req);
	drop(m);
}

int streams_ping(struct streams *s, uint64_t node, struct span ping_request)
{
	struct map_stream *m = find(s, node);

	if (!m)
		return ERR_UNKNOWN;
	mapsess_ping(m->sess, ping_request);
	if (!m->full)
		(void)push(m);
	return 0;
}

size_t streams_count(const struct streams *s)
{
	return s->by_node.n;
}

/* ---- requests ---- */

/* Since it registered it had a stream: then it was seen again. */
static bool was_here(const struct state *st, uint64_t id)
{
	const struct node *n = state_node(st, id);

	return n && n->last_seen.us > n->created.us;
}

static void open_stream(struct coord_call *c, const struct map_request *q, uint64_t node)
{
	struct streams *s = c->co->streams;
	struct map_stream *m = mem_new(struct map_stream);
	struct http_later later = { on_gone, on_drained, m };

	streams_end(s, node);
	m->all = s;
	m->req = c->req;
	m->form = q->zstd ? PIECE_ZSTD : PIECE_PLAIN;
	m->sess = mapsess_new(c->co->hub, node, m->form, false);
	if (was_here(c->co->st, node))
		mapsess_returns(m->sess);
	m->keepalive.fn = on_keepalive;
	list_append(&s->list, &m->link);
	map_insert(&s->by_node, &m->by_node, node_hash(s, node));
	http_answer_later(c->req, &later);
	http_begin(c->req, 200, "application/json");
	http_settle(c->req); /* the call goes with what was asked */
	s->opened++;
	state_node_online(s->co->st, node, true, ev_wall(s->co->ev));
	(void)push(m);
}

/* The whole map once: for tests and tools. */
static void answer_once(struct coord_call *c, const struct map_request *q, uint64_t node)
{
	struct mapsess *sess = mapsess_new(c->co->hub, node, q->zstd ? PIECE_ZSTD : PIECE_PLAIN,
	                                   true);
	struct mapmsg msg = { 0 };
	struct buf out = { 0 };

	if (mapsess_next(sess, ev_wall(c->co->ev), &msg) > 0)
		frame(&out, &msg);
	http_answer(c->req, 200, "application/json", buf_span(&out));
	buf_done(&out);
	mapmsg_done(&msg);
	mapsess_free(sess);
}

/*
 * From capability version 68 on a stream's request is not meant to be stored,
 * but clients put true values into it; after a restart of ours they may be all
 * we get. What is empty there says nothing.
 */
static int store_report(struct coord *co, const struct map_request *q, uint64_t node)
{
	struct node_report report = {
		.disco = &q->disco,
		.endpoints = q->has_endpoints && (!q->stream || q->endpoints.n) ? &q->endpoints
		                                                                : NULL,
		.hostinfo = q->hostinfo,
		.capver = (unsigned)q->version,
	};

	return q->read_only ? 0 : state_node_report(co->st, node, &report);
}

void streams_map(struct coord_call *c, struct span body)
{
	struct map_request q;
	const struct node *n;
	uint64_t id;

	if (map_request_read(&c->req->arena, body, &q) < 0 || q.version < CAPVER_MIN) {
		http_answer_text(c->req, 400, "unsupported client version or malformed request");
		return;
	}
	n = state_node_by_key(c->co->st, &q.key);
	if (!n || !machine_pub_eq(&n->machine, noise_link_machine(c->link))) {
		http_answer_text(c->req, 404, "node not found");
		return;
	}
	id = n->id;
	if (store_report(c->co, &q, id) < 0) {
		http_answer_text(c->req, 400, "malformed Hostinfo");
		return;
	}
	if (q.stream)
		open_stream(c, &q, id);
	else if (q.omit_peers && !q.read_only)
		http_answer(c->req, 200, NULL, (struct span){ 0 });
	else
		answer_once(c, &q, id);
}

/* ---- the whole ---- */

void streams_tick(struct streams *s)
{
	if (s->opened >= CROWD && s->opened == s->opened_before) {
		mem_trim();
		s->opened = 0;
	}
	s->opened_before = s->opened;
}

struct streams *streams_new(struct coord *co)
{
	struct streams *s = mem_new(struct streams);

	s->co = co;
	map_init(&s->by_node);
	list_init(&s->list);
	list_init(&s->leavers);
	s->flush.fn = on_flush;
	s->leave.fn = on_leave;
	s->scratch.max = 256 << 20;
	return s;
}

void streams_free(struct streams *s)
{
	struct map_stream *m;
	struct leaver *l;

	if (!s)
		return;
	while ((m = list_first(&s->list, struct map_stream, link))) {
		http_finish(m->req);
		drop(m);
	}
	while ((l = list_first(&s->leavers, struct leaver, link))) {
		list_remove(&l->link);
		free(l);
	}
	ev_timer_stop(s->co->ev, &s->flush);
	ev_timer_stop(s->co->ev, &s->leave);
	map_done(&s->by_node);
	buf_done(&s->scratch);
	free(s);
}
