#include "node/bus.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/rand.h"
#include "node/node_priv.h"

struct watcher {
	struct link link;
	struct node *n;
	struct http_req *req;
	unsigned mask;
	char session_id[17];
};

void bus_init(struct bus *b)
{
	list_init(&b->watchers);
	b->n = 0;
}

static void watcher_free(struct watcher *w)
{
	list_remove(&w->link);
	w->n->bus.n--;
	free(w);
}

void bus_done(struct bus *b)
{
	struct watcher *w, *tmp;

	list_each_safe(w, tmp, &b->watchers, link)
		watcher_free(w);
}

static void on_gone(struct http_req *req, void *arg)
{
	(void)req;
	watcher_free(arg);
}

/* ---- lines ---- */

static struct js_wr begin(struct buf *line)
{
	struct js_wr w = js_wr_of(line);

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "Version", FAIRLEAD_VERSION);
	return w;
}

static void finish(struct js_wr *w)
{
	js_wr_close(w, JS_OBJECT);
	buf_add_u8(w->out, '\n');
}

static void tell(struct watcher *w, struct buf *line)
{
	if (http_send(w->req, buf_span(line)) < 0)
		return; /* gone follows */
	if (w->req->stream && stream_queued(w->req->stream) > BUS_QUEUE_MAX) {
		struct http_req *req = w->req;

		watcher_free(w);
		http_abort(req);
	}
}

static void tell_all(struct node *n, struct buf *line, unsigned needs)
{
	struct watcher *w, *tmp;

	list_each_safe(w, tmp, &n->bus.watchers, link)
		if ((w->mask & needs) == needs)
			tell(w, line);
}

static void put_prefs(struct node *n, struct js_wr *w)
{
	AUTO_DONE(buf) struct buf text = { 0 };

	prefs_write_public(&text, node_prefs(n), NULL);
	js_wr_key(w, "Prefs");
	js_wr_raw(w, buf_span(&text));
}

static void put_self(struct node *n, struct js_wr *w)
{
	const struct netmap *m = node_map(n);

	if (!m)
		return;
	js_wr_key(w, "SelfChange");
	status_write_node(m, w, m->self);
}

static void put_health(struct node *n, struct js_wr *w)
{
	js_wr_key(w, "Health");
	health_write_state(n, w);
}

static void put_url(struct node *n, struct js_wr *w)
{
	const char *url = n->session ? session_status(n->session).auth_url : "";

	if (n->state == IPN_NEEDS_LOGIN && *url)
		js_wr_kv_str(w, "BrowseToURL", url);
}

static void put_initial(struct watcher *x, struct js_wr *w)
{
	struct node *n = x->n;

	if (x->mask & BUS_INITIAL_STATE) {
		js_wr_kv_str(w, "SessionID", x->session_id);
		js_wr_kv_int(w, "State", n->state);
		put_url(n, w);
	}
	if (x->mask & BUS_INITIAL_PREFS)
		put_prefs(n, w);
	if (x->mask & BUS_INITIAL_NETMAP) {
		if (node_map(n)) {
			js_wr_key(w, "NetMap");
			status_write_netmap(node_map(n), w);
		}
		put_self(n, w);
	}
	if (x->mask & BUS_INITIAL_HEALTH)
		put_health(n, w);
	if (x->mask & BUS_INITIAL_STATUS) {
		js_wr_key(w, "InitialStatus");
		status_write(n, w, true);
	}
}

enum {
	HAS_INITIAL = BUS_INITIAL_STATE | BUS_INITIAL_PREFS | BUS_INITIAL_NETMAP |
	              BUS_INITIAL_DRIVE_SHARES | BUS_INITIAL_SUGGESTED_EXIT |
	              BUS_INITIAL_CLIENT_VERSION | BUS_INITIAL_STATUS,
};

void bus_watch(struct node *n, struct http_req *req, unsigned mask)
{
	struct watcher *x = mem_new(struct watcher);
	struct http_later later = { .gone = on_gone, .arg = x };
	AUTO_DONE(buf) struct buf line = { 0 };

	x->n = n;
	x->req = req;
	x->mask = mask & BUS_PEER_PATCHES ? mask | BUS_PEER_CHANGES : mask;
	(void)snprintf(x->session_id, sizeof(x->session_id), "%016" PRIx64, rand_u64());
	list_append(&n->bus.watchers, &x->link);
	n->bus.n++;
	http_answer_later(req, &later);
	/* The head goes out at once, also when no first line follows: `up` waits for it. */
	http_begin(req, 200, "application/json");
	if (!(mask & HAS_INITIAL)) {
		(void)!http_send(req, span(NULL, 0));
		return;
	}

	struct js_wr w = begin(&line);

	put_initial(x, &w);
	finish(&w);
	tell(x, &line);
}

/* ---- events ---- */

#define EVENT(n, needs, ...)                             \
	do {                                             \
		AUTO_DONE(buf) struct buf line_ = { 0 }; \
		struct js_wr w = begin(&line_);          \
		__VA_ARGS__;                             \
		finish(&w);                              \
		tell_all((n), &line_, (needs));          \
	} while (0)

void bus_state(struct node *n)
{
	EVENT(n, 0, js_wr_kv_int(&w, "State", n->state));
}

void bus_prefs(struct node *n)
{
	EVENT(n, 0, put_prefs(n, &w));
}

void bus_browse(struct node *n, const char *url)
{
	EVENT(n, 0, js_wr_kv_str(&w, "BrowseToURL", url));
}

void bus_error(struct node *n, const char *text)
{
	EVENT(n, 0, js_wr_kv_str(&w, "ErrMessage", text));
}

void bus_login_finished(struct node *n)
{
	EVENT(n, 0, js_wr_key(&w, "LoginFinished"); js_wr_raw(&w, SPAN_LIT("{}")));
}

void bus_health(struct node *n)
{
	EVENT(n, 0, put_health(n, &w));
}

static void put_changed(const struct netmap *m, struct js_wr *w, const struct netmap_delta *d)
{
	bool open = false;

	for (size_t i = 0; i < d->peers.n; i++) {
		if (d->peers.v[i].removed)
			continue;
		if (!open) {
			js_wr_key(w, "PeersChanged");
			js_wr_open(w, JS_ARRAY);
		}
		open = true;
		status_write_node(m, w, d->peers.v[i].peer->node);
	}
	if (open)
		js_wr_close(w, JS_ARRAY);
}

static void put_removed(struct js_wr *w, const struct netmap_delta *d)
{
	bool open = false;

	for (size_t i = 0; i < d->peers.n; i++) {
		if (!d->peers.v[i].removed)
			continue;
		if (!open) {
			js_wr_key(w, "PeersRemoved");
			js_wr_open(w, JS_ARRAY);
		}
		open = true;
		js_wr_int(w, d->peers.v[i].peer->node->id);
	}
	if (open)
		js_wr_close(w, JS_ARRAY);
}

void bus_map(struct node *n, const struct netmap_delta *d)
{
	if (d->what & NETMAP_SELF)
		EVENT(n, 0, put_self(n, &w));
	if (d->peers.n)
		EVENT(n, BUS_PEER_CHANGES, put_changed(node_map(n), &w, d); put_removed(&w, d));
}
