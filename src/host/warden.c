#include "host/warden.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "base/err.h"
#include "base/list.h"
#include "base/log.h"
#include "base/mem.h"
#include "host/warden_msg.h"
#include "host/warden_part.h"
#include "platform/channel.h"

/* A run of nft or resolvconf may take seconds on a slow machine, no more. */
enum { ANSWER_LIMIT_MS = 60000 };

struct warden {
	int fd;
	pid_t pid;
	struct ev *ev;
	struct ev_io io;
	struct ev_defer tell_routed;
	struct ev_defer tell; /* the resolver's news that came while we waited for an answer */
	void (*lost)(void *arg);
	void *lost_arg;
	bool gone;
	bool routing; /* a plan is being put into effect */
	void (*routed)(void *arg);
	void *routed_arg;
	struct buf next_plan; /* the one after it; empty: none */
	struct warden_dns *dns;
};

struct warden_dns {
	struct warden *w;
	struct warden_dns_facts facts;
	void (*changed)(void *arg, bool lost);
	void *arg;
	bool news, news_lost;
};

static void lose(struct warden *w, int r)
{
	if (w->gone)
		return;
	w->gone = true;
	log_error("the privileged part is gone (%s)", err_text(r));
	if (w->ev)
		ev_io_stop(w->ev, &w->io);
	if (w->lost)
		w->lost(w->lost_arg);
}

static int post(struct warden *w, enum warden_kind kind, struct span body, int pass)
{
	int r = w->gone ? ERR_CLOSED : channel_send(w->fd, (uint8_t)kind, body, pass);

	if (r < 0)
		lose(w, r);
	return r;
}

/* ---- what comes -------------------------------------------------------------- */

static void dns_changed(struct warden *w, struct span body)
{
	struct warden_dns *d = w->dns;
	struct warden_dns_facts f = { 0 };

	if (!d || !body.n || warden_get_dns_facts(span_from(body, 1), &f) < 0)
		return;
	warden_dns_facts_done(&d->facts);
	d->facts = f;
	d->news = true;
	d->news_lost = body.p[0] != 0;
	if (w->ev)
		ev_defer(w->ev, &w->tell);
}

static void routed(struct warden *w, bool tell)
{
	AUTO_DONE(buf) struct buf next = w->next_plan;

	w->routing = false;
	w->next_plan = (struct buf){ 0 };
	if (next.n)
		w->routing = post(w, WARDEN_ROUTE, buf_span(&next), -1) == 0;
	if (tell && w->routed && w->ev)
		ev_defer(w->ev, &w->tell_routed);
}

/* What nobody waits for. */
static void take(struct warden *w, const struct channel_msg *m)
{
	if (m->kind == WARDEN_DNS_CHANGED)
		dns_changed(w, buf_span(&m->body));
	else if (m->kind == WARDEN_ROUTE + WARDEN_ANSWER)
		routed(w, true);
}

static void on_message(struct ev_io *io, unsigned events)
{
	struct warden *w = CONTAINER_OF(io, struct warden, io);
	struct channel_msg m;
	int r = channel_recv(w->fd, 0, &m);

	(void)events;
	if (r == ERR_TIMEOUT)
		return; /* somebody asked meanwhile, and took this along */
	if (r < 0) {
		lose(w, r);
		return;
	}
	take(w, &m);
	channel_msg_done(&m);
}

static void on_tell(struct ev_defer *e)
{
	struct warden_dns *d = CONTAINER_OF(e, struct warden, tell)->dns;

	if (!d || !d->news)
		return;
	d->news = false;
	if (d->changed)
		d->changed(d->arg, d->news_lost);
}

static void on_tell_routed(struct ev_defer *e)
{
	struct warden *w = CONTAINER_OF(e, struct warden, tell_routed);

	if (w->routed)
		w->routed(w->routed_arg);
}

/* Asks and waits. ret (may be NULL): the answer, its result taken off. */
static int ask(struct warden *w, enum warden_kind kind, struct span body, int pass,
               struct channel_msg *ret, struct span *ret_rest)
{
	int r = post(w, kind, body, pass), result = 0;

	while (r == 0) {
		r = channel_recv(w->fd, ANSWER_LIMIT_MS, ret);
		if (r < 0) {
			lose(w, r);
			return r;
		}
		if (ret->kind == kind + WARDEN_ANSWER)
			break;
		take(w, ret);
		channel_msg_done(ret);
	}
	if (r < 0)
		return r;
	*ret_rest = buf_span(&ret->body);
	r = warden_get_result(ret_rest, &result);
	if (r == 0)
		r = result;
	if (r < 0)
		channel_msg_done(ret);
	return r;
}

static int ask_simple(struct warden *w, enum warden_kind kind, struct span body, int pass)
{
	struct channel_msg m;
	struct span rest;
	int r = ask(w, kind, body, pass, &m, &rest);

	if (r == 0)
		channel_msg_done(&m);
	return r;
}

/* ---- life -------------------------------------------------------------------- */

int warden_start(const struct warden_cfg *cfg, struct warden **ret)
{
	int ends[2];
	int r = channel_pair(ends);
	pid_t pid = r == 0 ? fork() : -1;

	if (pid == 0) {
		fd_close(ends[0]);
		_exit(warden_part(ends[1], cfg));
	}
	if (r < 0)
		return r;
	r = pid < 0 ? -errno : 0;
	fd_close(ends[1]);
	if (r < 0) {
		fd_close(ends[0]);
		return r;
	}

	struct channel_msg m;

	r = channel_recv(ends[0], ANSWER_LIMIT_MS, &m);
	if (r < 0) {
		fd_close(ends[0]);
		return r;
	}
	channel_msg_done(&m);

	struct warden *w = mem_new(struct warden);

	w->fd = ends[0];
	w->pid = pid;
	w->io.fn = on_message;
	w->tell.fn = on_tell;
	w->tell_routed.fn = on_tell_routed;
	*ret = w;
	return 0;
}

int warden_watch(struct warden *w, struct ev *ev, void (*lost)(void *arg), void *arg)
{
	w->lost = lost;
	w->lost_arg = arg;
	w->ev = ev;
	return ev_io_start(ev, &w->io, w->fd, EV_READ);
}

void warden_free(struct warden *w)
{
	if (!w)
		return;
	w->lost = NULL;
	if (!w->gone)
		warden_unroute(w, false);
	if (w->ev)
		ev_io_stop(w->ev, &w->io);
	ev_defer_stop(&w->tell);
	ev_defer_stop(&w->tell_routed);
	fd_close(w->fd);
	while (waitpid(w->pid, NULL, 0) < 0 && errno == EINTR)
		;
	buf_done(&w->next_plan);
	free(w);
}

int warden_pid(const struct warden *w)
{
	return w->pid;
}

/* ---- interface, sockets, network ------------------------------------------------ */

int warden_tun(struct warden *w, struct tun **ret)
{
	struct channel_msg m;
	struct span rest;
	int r = ask(w, WARDEN_TUN, span(NULL, 0), -1, &m, &rest);

	if (r < 0)
		return r;
	r = m.fd < 0 ? ERR_MALFORMED : tun_adopt(TAKE_FD(m.fd), ret);
	channel_msg_done(&m);
	return r;
}

void warden_grow(void *w, int fd)
{
	(void)!ask_simple(w, WARDEN_GROW, span(NULL, 0), fd);
}

void warden_route(struct warden *w, const struct router_cfg *cfg, void (*done)(void *arg),
                  void *arg)
{
	w->routed = done;
	w->routed_arg = arg;
	buf_clear(&w->next_plan);
	warden_put_router(&w->next_plan, cfg);
	if (!w->routing)
		routed(w, false);
}

void warden_bypass(struct warden *w)
{
	int r = ask_simple(w, WARDEN_BYPASS, span(NULL, 0), -1);

	if (r < 0)
		(void)log_ret(r, "cannot lead our own packets past other routes");
}

void warden_unroute(struct warden *w, bool hold)
{
	uint8_t byte = hold;

	w->routed = NULL;
	buf_clear(&w->next_plan);
	(void)!ask_simple(w, WARDEN_UNROUTE, span(&byte, 1), -1);
}

/* ---- the resolver ---------------------------------------------------------------- */

int warden_dns_new(struct warden *w, void (*changed)(void *arg, bool lost), void *arg,
                   struct warden_dns **ret)
{
	struct warden_dns_facts facts = { 0 };
	struct channel_msg m;
	struct span rest;
	int r = w->dns ? ERR_BADSTATE : ask(w, WARDEN_DNS_OPEN, span(NULL, 0), -1, &m, &rest);

	if (r < 0)
		return r;
	r = warden_get_dns_facts(rest, &facts);
	channel_msg_done(&m);
	if (r < 0)
		return r;
	w->dns = mem_new(struct warden_dns);
	*w->dns = (struct warden_dns){ .w = w, .facts = facts, .changed = changed, .arg = arg };
	*ret = w->dns;
	return 0;
}

void warden_dns_free(struct warden_dns *d)
{
	if (!d)
		return;
	(void)!ask_simple(d->w, WARDEN_DNS_CLOSE, span(NULL, 0), -1);
	d->w->dns = NULL;
	warden_dns_facts_done(&d->facts);
	free(d);
}

int warden_dns_apply(struct warden_dns *d, const struct dns_os *want)
{
	AUTO_DONE(buf) struct buf body = { 0 };

	warden_put_dns(&body, want);
	return ask_simple(d->w, WARDEN_DNS_APPLY, buf_span(&body), -1);
}

enum dns_manager warden_dns_manager(const struct warden_dns *d)
{
	return d->facts.manager;
}

const char *warden_dns_why(const struct warden_dns *d)
{
	return d->facts.why;
}

const struct dns_resolv *warden_dns_base(const struct warden_dns *d)
{
	return &d->facts.base;
}
