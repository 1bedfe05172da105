#include "dns/forward.h"

#include "base/err.h"
#include "base/heap.h"
#include "base/list.h"
#include "dns/cache.h"
#include "dns/public.h"

enum {
	TOTAL_US = 10000000,
	TCP_RACE_US = 2000000,
	TCP_LIMIT_US = 5000000,
	SECOND_US = 200000,
	HTTPS_HEAD_START_US = 500000,
	FLAG_TC_BYTE = 2, /* offset of the header byte with TC, and the bit in it */
	FLAG_TC_BIT = 0x02,
	ANSWER_MAX = DNS_TCP_MAX,
};

/* One way of asking one upstream. */
enum way { WAY_UDP, WAY_TCP, WAY_HTTP, WAYS };

struct attempt {
	uint32_t number; /* 0: not under way */
	uint16_t id;
	bool spent; /* sent once and over */
};

struct target {
	struct dns_upstream up;
	const char *https; /* of a plain upstream that is asked over HTTPS first */
	mono start;        /* when to ask it first */
	mono plain, tcp;   /* when to go on to the next way; MONO_NEVER: not by time */
	struct attempt attempts[WAYS];
	enum dns_rcode soft; /* SERVFAIL or REFUSED, if it said so */
	bool failed;
};

/* One who asked, with the question as that one wrote it. */
struct client {
	struct link link;
	uint64_t client;
	struct dns_query q;
};

struct job {
	struct link link;
	struct heap_node timer;
	struct link clients;
	bool by_tcp;
	bool apart; /* of others' upstreams: the answer is not for everybody */
	struct dns_query q;
	mono give_up;
	size_t n_targets;
	struct target *targets;
	struct buf soft; /* an answer of the soft kind or a cut one, in case nothing better comes */
	struct buf query;
};

struct out {
	struct link link;
	struct dns_forward_out out;
	uint8_t *bytes;
};

struct dns_forward {
	struct dns_forward_env env;
	const struct dns_config *config;
	struct link jobs;
	size_t n_jobs, n_clients;
	struct heap timers;
	struct link outs;
	struct out *given; /* freed at the next call of next */
	uint32_t last_attempt;
	struct dns_cache cache;
	struct dns_forward_stats stats;
};

struct dns_forward *dns_forward_new(const struct dns_forward_env *env)
{
	struct dns_forward *f = mem_new(struct dns_forward);

	f->env = *env;
	list_init(&f->jobs);
	list_init(&f->outs);
	dns_cache_init(&f->cache, DNS_CACHE_ENTRIES_MAX, DNS_CACHE_BYTES_MAX);
	return f;
}

static void job_free(struct dns_forward *f, struct job *j)
{
	struct client *c, *next;

	list_each_safe(c, next, &j->clients, link) {
		list_remove(&c->link);
		f->n_clients--;
		free(c);
	}
	heap_remove(&f->timers, &j->timer);
	list_remove(&j->link);
	f->n_jobs--;
	buf_done(&j->soft);
	buf_done(&j->query);
	free(j->targets);
	free(j);
}

static void out_free(struct out *o)
{
	if (!o)
		return;
	free(o->bytes);
	free(o);
}

void dns_forward_free(struct dns_forward *f)
{
	struct job *j, *next_job;
	struct out *o, *next_out;

	if (!f)
		return;
	list_each_safe(j, next_job, &f->jobs, link)
		job_free(f, j);
	list_each_safe(o, next_out, &f->outs, link)
		out_free(o);
	out_free(f->given);
	heap_done(&f->timers);
	dns_cache_done(&f->cache);
	free(f);
}

void dns_forward_config(struct dns_forward *f, const struct dns_config *c)
{
	f->config = c;
	dns_cache_flush(&f->cache);
}

void dns_forward_flush(struct dns_forward *f)
{
	dns_cache_flush(&f->cache);
}

static struct out *put_out(struct dns_forward *f, enum dns_forward_act act, struct span msg)
{
	struct out *o = mem_new(struct out);

	o->bytes = mem_dup(msg.p, msg.n);
	o->out.act = act;
	o->out.msg = span(o->bytes, msg.n);
	list_append(&f->outs, &o->link);
	return o;
}

bool dns_forward_next(struct dns_forward *f, struct dns_forward_out *out)
{
	out_free(TAKE(f->given));
	if (list_empty(&f->outs))
		return false;

	struct out *o = list_first(&f->outs, struct out, link);

	list_remove(&o->link);
	f->given = o;
	*out = o->out;
	return true;
}

/* The answer, cut to what the client takes. */
static void answer_client(struct dns_forward *f, const struct job *j, const struct client *c,
                          struct span msg)
{
	uint8_t cut[DNS_UDP_MAX];
	size_t max = j->by_tcp ? ANSWER_MAX : c->q.udp_size;
	struct out *o;

	if (msg.n > max) {
		/* Header and question with TC: a part of a record helps nobody. */
		size_t n = c->q.question_end < max ? c->q.question_end : DNS_HEADER;

		memcpy(cut, msg.p, n);
		cut[FLAG_TC_BYTE] |= FLAG_TC_BIT;
		put_be16(cut + 4, n > DNS_HEADER);
		memset(cut + 6, 0, 6);
		msg = span(cut, n);
	}
	o = put_out(f, DNS_ANSWER, msg);
	dns_answer_to(o->bytes, msg.n, &c->q);
	o->out.client = c->client;
	f->stats.answers++;
}

/* All who wait have the answer, and the job ends. */
static void answer(struct dns_forward *f, struct job *j, struct span msg)
{
	struct client *c;

	list_each(c, &j->clients, link)
		answer_client(f, j, c, msg);
	for (size_t t = 0; t < j->n_targets; t++) {
		for (size_t w = 0; w < WAYS; w++) {
			struct attempt *a = &j->targets[t].attempts[w];

			if (a->number)
				put_out(f, DNS_GIVE_UP, span(NULL, 0))->out.attempt = a->number;
		}
	}
	job_free(f, j);
}

static void answer_servfail(struct dns_forward *f, struct job *j)
{
	uint8_t bytes[DNS_UDP_PLAIN];
	struct dns_answer a;

	f->stats.servfail++;
	if (j->soft.n) {
		/* Taken out first: answering frees the job. */
		struct buf soft = j->soft;

		j->soft = (struct buf){ 0 };
		answer(f, j, buf_span(&soft));
		buf_done(&soft);
		return;
	}
	/* A name of a private suffix that nobody serves says nothing of the upstreams. */
	f->stats.unanswered += j->n_targets > 0;
	dns_answer_start(&a, &j->q, bytes, sizeof(bytes), DNS_SERVFAIL, false);
	answer(f, j, span(bytes, dns_answer_end(&a)));
}

static void send_way(struct dns_forward *f, struct job *j, struct target *t, enum way way)
{
	static const enum dns_forward_act acts[WAYS] = { DNS_SEND_UDP, DNS_SEND_TCP,
		                                         DNS_SEND_HTTP };
	struct attempt *a = &t->attempts[way];
	uint16_t id = 0;

	if (a->number || a->spent)
		return;
	/* Over HTTPS the id is 0, so that caches on the way can serve (RFC 8484 s.4.1). */
	if (way != WAY_HTTP)
		rand_fill(&f->env.rand, &id, sizeof(id));
	if (++f->last_attempt == 0)
		f->last_attempt = 1;
	a->number = f->last_attempt;
	a->id = id;

	struct out *o = put_out(f, acts[way], buf_span(&j->query));

	put_be16(o->bytes, id);
	o->out.attempt = a->number;
	o->out.addr = t->up.addr;
	o->out.url = way == WAY_HTTP ? (t->https ? t->https : t->up.url) : NULL;
	if (way == WAY_HTTP && t->https)
		o->out.addr.port = 443;
}

static void start_plain(struct dns_forward *f, struct job *j, struct target *t, mono now)
{
	t->plain = MONO_NEVER;
	send_way(f, j, t, WAY_UDP);
	/* A client that came by TCP wants a whole answer: both ways at once. */
	t->tcp = j->by_tcp ? now : mono_after(now, TCP_RACE_US);
}

static void start_target(struct dns_forward *f, struct job *j, struct target *t, mono now)
{
	t->start = MONO_NEVER;
	if (t->up.kind == DNS_UPSTREAM_HTTP) {
		send_way(f, j, t, WAY_HTTP);
		return;
	}
	if (!t->https) {
		start_plain(f, j, t, now);
		return;
	}
	send_way(f, j, t, WAY_HTTP);
	t->plain = mono_after(now, HTTPS_HEAD_START_US);
}

static bool under_way(const struct target *t)
{
	if (t->start.us != MONO_NEVER.us || t->plain.us != MONO_NEVER.us)
		return true;
	for (size_t w = 0; w < WAYS; w++) {
		if (t->attempts[w].number)
			return true;
	}
	return false;
}

/* After anything happened: does what is due, ends the job if nobody is left to wait for. */
static void advance(struct dns_forward *f, struct job *j, mono now)
{
	mono next = j->give_up;
	bool waiting = false;

	if (mono_reached(j->give_up, now)) {
		answer_servfail(f, j);
		return;
	}
	for (size_t i = 0; i < j->n_targets; i++) {
		struct target *t = &j->targets[i];

		if (mono_reached(t->start, now))
			start_target(f, j, t, now);
		if (mono_reached(t->plain, now))
			start_plain(f, j, t, now);
		if (mono_reached(t->tcp, now)) {
			t->tcp = MONO_NEVER;
			send_way(f, j, t, WAY_TCP);
		}
		waiting = waiting || under_way(t);
		next = mono_min(next, mono_min(t->start, mono_min(t->plain, t->tcp)));
	}
	if (!waiting) {
		answer_servfail(f, j);
		return;
	}
	heap_set(&f->timers, &j->timer, next);
}

static void add_targets(struct dns_forward *f, struct job *j, const struct dns_upstream *v,
                        size_t n, mono now)
{
	j->targets = mem_new_n(struct target, n);
	j->n_targets = n;
	for (size_t i = 0; i < n; i++) {
		struct target *t = &j->targets[i];

		t->up = v[i];
		if (f->env.upgrade_https && t->up.kind == DNS_UPSTREAM_PLAIN &&
		    t->up.addr.port == 53)
			t->https = dns_public_https(&t->up.addr.ip);
		t->start = mono_after(now, i ? SECOND_US + t->up.delay_us : t->up.delay_us);
		t->plain = t->tcp = MONO_NEVER;
	}
}

static bool answer_from_cache(struct dns_forward *f, mono now, uint64_t client, bool by_tcp,
                              const struct dns_query *q)
{
	struct buf kept = { 0 };

	if (!dns_cache_get(&f->cache, now, q, &kept))
		return false;
	if (kept.n > (by_tcp ? (size_t)ANSWER_MAX : q->udp_size)) {
		buf_done(&kept);
		return false;
	}
	put_out(f, DNS_ANSWER, buf_span(&kept))->out.client = client;
	buf_done(&kept);
	f->stats.hits++;
	f->stats.answers++;
	return true;
}

/* Reads the query and sees whether one more is allowed. */
static int admit(struct dns_forward *f, struct span msg, struct dns_query *ret)
{
	int r = dns_query_read(msg, ret);

	if (r < 0)
		return r;
	if (f->n_jobs >= DNS_FORWARD_JOBS_MAX || f->n_clients >= DNS_FORWARD_CLIENTS_MAX ||
	    msg.n > DNS_FORWARD_QUERY_MAX) {
		f->stats.refused_limit++;
		return ERR_LIMIT;
	}
	f->stats.queries++;
	return 0;
}

static void add_client(struct dns_forward *f, struct job *j, uint64_t client,
                       const struct dns_query *q)
{
	struct client *c = mem_new(struct client);

	c->client = client;
	c->q = *q;
	list_append(&j->clients, &c->link);
	f->n_clients++;
}

static bool same_question(const struct dns_query *a, const struct dns_query *b)
{
	return a->type == b->type && a->class == b->class && a->flags == b->flags &&
	       a->edns == b->edns && a->dnssec_ok == b->dnssec_ok && a->udp_size == b->udp_size &&
	       dns_name_eq(&a->name, &b->name);
}

static bool join(struct dns_forward *f, uint64_t client, bool by_tcp, const struct dns_query *q)
{
	struct job *j;

	list_each(j, &f->jobs, link) {
		if (!j->apart && j->by_tcp == by_tcp && same_question(&j->q, q)) {
			add_client(f, j, client, q);
			f->stats.joined++;
			return true;
		}
	}
	return false;
}

static struct job *job_new(struct dns_forward *f, mono now, uint64_t client,
                           const struct dns_query *q, struct span msg)
{
	struct job *j = mem_new(struct job);

	list_init(&j->clients);
	add_client(f, j, client, q);
	j->q = *q;
	j->give_up = mono_after(now, TOTAL_US);
	buf_add_span(&j->query, msg);
	list_append(&f->jobs, &j->link);
	f->n_jobs++;
	return j;
}

static const struct dns_route *route_of(const struct dns_forward *f, const struct dns_query *q)
{
	static const struct dns_route none;
	const struct dns_route *r = f->config ? dns_config_route_of(f->config, &q->name) : NULL;

	return r ? r : &none;
}

int dns_forward_query(struct dns_forward *f, mono now, uint64_t client, bool by_tcp,
                      struct span msg)
{
	struct dns_query q;
	int r = admit(f, msg, &q);

	if (r < 0 || answer_from_cache(f, now, client, by_tcp, &q) || join(f, client, by_tcp, &q))
		return r;

	const struct dns_route *route = route_of(f, &q);
	struct job *j = job_new(f, now, client, &q, msg);

	j->by_tcp = by_tcp;
	add_targets(f, j, route->upstreams, route->n_upstreams, now);
	advance(f, j, now);
	return 0;
}

int dns_forward_query_of(struct dns_forward *f, mono now, uint64_t client, struct span msg,
                         const struct dns_upstream *v, size_t n)
{
	struct dns_query q;
	int r = admit(f, msg, &q);

	if (r < 0)
		return r;

	const struct dns_route *route = route_of(f, &q);
	struct job *j = job_new(f, now, client, &q, msg);

	j->by_tcp = true;
	j->apart = true;
	add_targets(f, j, n ? v : route->upstreams, n ? n : route->n_upstreams, now);
	advance(f, j, now);
	return 0;
}

static struct attempt *find_attempt(struct dns_forward *f, uint32_t number, struct job **ret_job,
                                    struct target **ret_target)
{
	struct job *j;

	if (number == 0)
		return NULL;
	list_each(j, &f->jobs, link) {
		for (size_t t = 0; t < j->n_targets; t++) {
			for (size_t w = 0; w < WAYS; w++) {
				if (j->targets[t].attempts[w].number == number) {
					*ret_job = j;
					*ret_target = &j->targets[t];
					return &j->targets[t].attempts[w];
				}
			}
		}
	}
	return NULL;
}

static void end_attempt(struct attempt *a)
{
	a->number = 0;
	a->spent = true;
}

static void keep_soft(struct job *j, struct span msg, enum dns_rcode rcode)
{
	/* SERVFAIL says more than REFUSED; a cut answer says more than both. */
	if (j->soft.n && rcode == DNS_REFUSED)
		return;
	buf_clear(&j->soft);
	buf_add_span(&j->soft, msg);
}

void dns_forward_reply(struct dns_forward *f, mono now, uint32_t attempt, struct span msg)
{
	struct job *j;
	struct target *t;
	struct attempt *a = find_attempt(f, attempt, &j, &t);
	struct dns_result res;

	if (!a)
		return;

	enum way way = (enum way)(a - t->attempts);
	struct dns_query expect = j->q;

	expect.id = a->id;
	if (msg.n > ANSWER_MAX || dns_result_read(msg, &expect, &res) < 0) {
		/*
		 * By UDP anybody could have sent it: wait on for the true one. A stream
		 * that speaks nonsense goes on doing so.
		 */
		f->stats.mismatched++;
		if (way != WAY_UDP)
			dns_forward_failed(f, now, attempt);
		return;
	}
	end_attempt(a);
	if (res.rcode == DNS_SERVFAIL || res.rcode == DNS_REFUSED) {
		keep_soft(j, msg, res.rcode);
		t->tcp = t->plain = MONO_NEVER;
		advance(f, j, now);
		return;
	}
	if (res.truncated && way == WAY_UDP && j->by_tcp) {
		keep_soft(j, msg, DNS_NOERROR);
		t->tcp = now;
		advance(f, j, now);
		return;
	}
	if (!res.truncated && !j->apart)
		dns_cache_put(&f->cache, now, &j->q, msg,
		              res.ttl_s < DNS_CACHE_TTL_MAX_S ? res.ttl_s : DNS_CACHE_TTL_MAX_S);
	answer(f, j, msg);
}

void dns_forward_failed(struct dns_forward *f, mono now, uint32_t attempt)
{
	struct job *j;
	struct target *t;
	struct attempt *a = find_attempt(f, attempt, &j, &t);

	if (!a)
		return;

	enum way way = (enum way)(a - t->attempts);

	end_attempt(a);
	/* What the failed way was a head start for begins now. */
	if (way == WAY_HTTP && t->plain.us != MONO_NEVER.us)
		t->plain = now;
	if (way == WAY_UDP && t->tcp.us != MONO_NEVER.us)
		t->tcp = now;
	advance(f, j, now);
}

void dns_forward_timeout(struct dns_forward *f, mono now)
{
	struct heap_node *n;

	while ((n = heap_first(&f->timers)) && mono_reached(n->at, now)) {
		struct job *j = CONTAINER_OF(n, struct job, timer);

		heap_remove(&f->timers, n);
		advance(f, j, now);
	}
}

mono dns_forward_deadline(const struct dns_forward *f)
{
	return heap_deadline(&f->timers);
}

void dns_forward_stats(const struct dns_forward *f, struct dns_forward_stats *ret)
{
	*ret = f->stats;
	ret->jobs = f->n_jobs;
	ret->clients = f->n_clients;
	ret->cached = f->cache.entries.n;
	ret->cached_bytes = f->cache.bytes;
}
