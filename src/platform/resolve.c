#include "platform/resolve.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "platform/sockaddr.h"

/*
 * What the loop and its threads share. It lives until the last of them lets go,
 * so that a thread stuck in getaddrinfo can outlive the resolver.
 */
struct box {
	pthread_mutex_t lock; /* protects refs, closed, done */
	unsigned refs;
	bool closed;
	int wake; /* eventfd */
	struct link done;
};

struct job {
	struct link link; /* waiting, or done */
	struct box *box;
	char host[RESOLVE_NAME_MAX + 1];
	int r;
	struct resolved found;
	struct resolve *req; /* NULL once cancelled; the loop's */
};

struct resolve {
	struct resolver *resolver;
	struct job *job;
	struct ev_defer now; /* for answers that need no thread */
	struct link link;
	int r;
	struct resolved found;
	void (*done)(void *owner, int r, const struct resolved *found);
	void *owner;
};

struct resolver {
	struct ev *ev;
	struct resolver_cfg cfg;
	struct box *box;
	struct ev_io io;
	struct link waiting;  /* jobs without a thread yet */
	struct link requests; /* all that are not answered */
	unsigned running, n_waiting;
};

/* ---- the box ---- */

static void box_unlock_unref(struct box *b)
{
	bool last = --b->refs == 0;

	(void)pthread_mutex_unlock(&b->lock);
	if (!last)
		return;
	(void)pthread_mutex_destroy(&b->lock);
	fd_close(b->wake);
	free(b);
}

static void box_ref(struct box *b)
{
	(void)pthread_mutex_lock(&b->lock);
	b->refs++;
	(void)pthread_mutex_unlock(&b->lock);
}

static struct job *box_take(struct box *b)
{
	(void)pthread_mutex_lock(&b->lock);

	struct job *j = list_first(&b->done, struct job, link);

	if (j)
		list_remove(&j->link);
	(void)pthread_mutex_unlock(&b->lock);
	return j;
}

/* ---- the thread ---- */

static int from_gai(int e)
{
	switch (e) {
	case 0:
		return 0;
	case EAI_AGAIN:
		return -EAGAIN;
	case EAI_MEMORY:
		return -ENOMEM;
	default:
		return ERR_UNKNOWN;
	}
}

static void collect(const struct addrinfo *ai, struct resolved *ret)
{
	for (; ai && ret->n < RESOLVE_ADDRS_MAX; ai = ai->ai_next) {
		struct addr a;

		if (sockaddr_to(ai->ai_addr, ai->ai_addrlen, &a) == 0)
			ret->ip[ret->n++] = a.ip;
	}
}

static void *look_up(void *arg)
{
	static const struct addrinfo hints = { .ai_socktype = SOCK_STREAM,
		                               .ai_flags = AI_ADDRCONFIG };
	struct job *j = arg;
	struct box *b = j->box;
	struct addrinfo *ai = NULL;
	uint64_t one = 1;

	j->r = from_gai(getaddrinfo(j->host, NULL, &hints, &ai));
	if (j->r == 0) {
		collect(ai, &j->found);
		freeaddrinfo(ai);
	}
	if (j->r == 0 && j->found.n == 0)
		j->r = ERR_UNKNOWN;
	(void)pthread_mutex_lock(&b->lock);
	if (b->closed) {
		free(j);
	} else {
		list_append(&b->done, &j->link);
		(void)!write(b->wake, &one, sizeof(one));
	}
	box_unlock_unref(b);
	return NULL;
}

static int spawn(struct job *j)
{
	pthread_attr_t attr;
	pthread_t t;

	(void)pthread_attr_init(&attr);
	(void)pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	box_ref(j->box);

	int e = pthread_create(&t, &attr, look_up, j);

	(void)pthread_attr_destroy(&attr);
	if (e != 0) {
		(void)pthread_mutex_lock(&j->box->lock);
		box_unlock_unref(j->box);
	}
	return -e;
}

/* ---- the loop ---- */

/* The owner may free the resolver in its callback: nothing is touched after. */
static void answer(struct resolve *q, int r, const struct resolved *found)
{
	void (*done)(void *, int, const struct resolved *) = q->done;
	void *owner = q->owner;
	struct resolved copy = *found;

	list_remove(&q->link);
	ev_defer_stop(&q->now);
	free(q);
	done(owner, r, &copy);
}

static void answer_soon(struct resolve *q, int r)
{
	q->r = r;
	ev_defer(q->resolver->ev, &q->now);
}

static void start_waiting(struct resolver *r)
{
	while (r->running < RESOLVE_THREADS && !list_empty(&r->waiting)) {
		struct job *j = list_first(&r->waiting, struct job, link);
		int e;

		list_remove(&j->link);
		r->n_waiting--;
		e = j->req ? spawn(j) : ERR_CLOSED;
		if (e == 0) {
			r->running++;
			continue;
		}
		if (j->req) {
			j->req->job = NULL;
			answer_soon(j->req, e);
		}
		free(j);
	}
}

static void on_wake(struct ev_io *io, unsigned events)
{
	struct resolver *r = CONTAINER_OF(io, struct resolver, io);
	uint64_t n;
	struct job *j;

	(void)events;
	(void)!read(io->fd, &n, sizeof(n));
	while ((j = box_take(r->box))) {
		r->running--;
		if (j->req) {
			j->req->job = NULL;
			j->req->found = j->found;
			answer_soon(j->req, j->r);
		}
		free(j);
	}
	start_waiting(r);
}

static void on_now(struct ev_defer *d)
{
	struct resolve *q = CONTAINER_OF(d, struct resolve, now);

	answer(q, q->r, &q->found);
}

int resolver_new(struct ev *ev, const struct resolver_cfg *cfg, struct resolver **ret)
{
	AUTO(fd_close) int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);

	if (fd < 0)
		return -errno;

	struct resolver *r = mem_new(struct resolver);

	r->ev = ev;
	if (cfg)
		r->cfg = *cfg;
	list_init(&r->waiting);
	list_init(&r->requests);
	r->io.fn = on_wake;

	int e = ev_io_start(ev, &r->io, fd, EV_READ);

	if (e < 0) {
		free(r);
		return e;
	}
	r->box = mem_new(struct box);
	r->box->refs = 1;
	r->box->wake = TAKE_FD(fd);
	list_init(&r->box->done);
	(void)pthread_mutex_init(&r->box->lock, NULL);
	*ret = r;
	return 0;
}

static void close_box(struct box *b)
{
	struct job *j;

	while ((j = box_take(b)))
		free(j);
	(void)pthread_mutex_lock(&b->lock);
	b->closed = true;
	/* One that came in between the two. */
	while ((j = list_first(&b->done, struct job, link))) {
		list_remove(&j->link);
		free(j);
	}
	box_unlock_unref(b);
}

void resolver_free(struct resolver *r)
{
	struct resolve *q, *qn;
	struct job *j, *jn;

	if (!r)
		return;
	list_each_safe(q, qn, &r->requests, link)
		resolve_cancel(q);
	list_each_safe(j, jn, &r->waiting, link)
		free(j);
	ev_io_stop(r->ev, &r->io);
	close_box(r->box);
	free(r);
}

static bool is_literal(struct span host, struct resolved *ret)
{
	if (host.n > 2 && host.p[0] == '[' && host.p[host.n - 1] == ']')
		host = span(host.p + 1, host.n - 2);
	if (ip_parse(host, &ret->ip[0]) < 0)
		return false;
	ret->n = 1;
	return true;
}

static int queue_job(struct resolver *r, struct resolve *q, const char *host)
{
	size_t n = strlen(host);

	if (n == 0 || n > RESOLVE_NAME_MAX)
		return ERR_MALFORMED;
	if (r->n_waiting >= RESOLVE_WAITING_MAX)
		return ERR_LIMIT;
	q->job = mem_new(struct job);
	q->job->box = r->box;
	q->job->req = q;
	memcpy(q->job->host, host, n + 1);
	list_append(&r->waiting, &q->job->link);
	r->n_waiting++;
	return 0;
}

struct resolve *resolve_start(struct resolver *r, const char *host,
                              void (*done)(void *owner, int r, const struct resolved *found),
                              void *owner)
{
	struct resolve *q = mem_new(struct resolve);

	*q = (struct resolve){ .resolver = r, .now.fn = on_now, .done = done, .owner = owner };
	list_append(&r->requests, &q->link);
	if (is_literal(span_str(host), &q->found) ||
	    (r->cfg.known && r->cfg.known(r->cfg.owner, host, &q->found))) {
		answer_soon(q, q->found.n ? 0 : ERR_UNKNOWN);
		return q;
	}

	int e = queue_job(r, q, host);

	if (e < 0)
		answer_soon(q, e);
	else
		start_waiting(r);
	return q;
}

void resolve_cancel(struct resolve *q)
{
	if (!q)
		return;
	if (q->job)
		q->job->req = NULL;
	list_remove(&q->link);
	ev_defer_stop(&q->now);
	free(q);
}
