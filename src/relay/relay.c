#include "relay/relay.h"

#include "base/mem.h"
#include "relay/relay_priv.h"

enum { STALL_CHECK_US = 250 * 1000 };

static void close_doomed(struct relay *r)
{
	struct hub_client *c;

	while ((c = hub_next_doomed(&r->hub))) {
		struct relay_session *s = CONTAINER_OF(c, struct relay_session, hub);

		/* A link is its owner's to close: it finds out from its stream. */
		if (c->role == HUB_LINK)
			continue;
		if (c->doomed == ERR_CLOSED)
			session_close(s, RELAY_CLOSE_KICKED);
		else if (c->doomed == ERR_TIMEOUT)
			session_close(s, RELAY_CLOSE_UNFINISHED);
		else if (c->doomed == ERR_LIMIT)
			session_close(s, RELAY_CLOSE_MEMORY);
		else
			session_close(s, RELAY_CLOSE_NETWORK);
	}
}

static void on_flush(struct ev_defer *d)
{
	struct relay *r = CONTAINER_OF(d, struct relay, flush);

	r->hub.now = ev_now(r->env.ev);
	hub_flush(&r->hub);
	close_doomed(r);
	if ((hub_longest_blocked(&r->hub) || hub_has_unfinished(&r->hub)) &&
	    !ev_timer_active(&r->stalls))
		ev_timer_after(r->env.ev, &r->stalls, STALL_CHECK_US);
}

static bool is_excused(struct hub_client *c)
{
	return c->role == HUB_LINK || session_is_held(CONTAINER_OF(c, struct relay_session, hub));
}

static void on_stalls(struct ev_timer *t, mono now)
{
	struct relay *r = CONTAINER_OF(t, struct relay, stalls);
	struct hub_client *c, *tmp;

	r->hub.now = now;
	hub_doom_unfinished(&r->hub, mono_after(now, -(int64_t)RELAY_UNFINISHED_US), is_excused);
	list_each_safe(c, tmp, &r->hub.blocked, in_blocked) {
		if (c->role != HUB_LINK)
			session_check_stall(CONTAINER_OF(c, struct relay_session, hub), now);
	}
	relay_kick(r);
}

void relay_kick(struct relay *r)
{
	ev_defer(r->env.ev, &r->flush);
}

static void set_defaults(struct relay_env *e)
{
	if (!e->pool_max)
		e->pool_max = HUB_POOL_DEFAULT;
	if (!e->client_queue_max)
		e->client_queue_max = HUB_CLIENT_DEFAULT;
	if (!e->clients_max)
		e->clients_max = SIZE_MAX;
	if (!e->write_timeout_us)
		e->write_timeout_us = RELAY_WRITE_TIMEOUT_US;
	if (!e->keepalive_s)
		e->keepalive_s = RELAY_TCP_KEEPALIVE_S;
	if (!e->user_timeout_ms)
		e->user_timeout_ms = RELAY_TCP_USER_TIMEOUT_MS;
	if (e->rate_burst < RELAY_BURST_MIN)
		e->rate_burst = RELAY_BURST_MIN;
}

static ssize_t hub_write(struct hub_client *c, const struct iovec *iov, size_t n)
{
	return c->link_write ? c->link_write(c, iov, n) : session_write(c, iov, n);
}

struct relay *relay_new(const struct relay_env *env)
{
	struct relay *r = mem_new(struct relay);

	r->env = *env;
	r->key = *env->key;
	r->env.key = &r->key;
	node_priv_public(&r->key, &r->pub);
	if (env->mesh_key) {
		memcpy(r->mesh_key, env->mesh_key, DERP_MESH_KEY);
		r->env.mesh_key = r->mesh_key;
	}
	set_defaults(&r->env);

	struct hub_cfg cfg = {
		.pool_max = r->env.pool_max,
		.client_max = r->env.client_queue_max,
		.link_max = HUB_LINK_DEFAULT,
		.write = hub_write,
	};

	hub_init(&r->hub, &cfg, &r->pub);
	list_init(&r->sessions);
	r->flush.fn = on_flush;
	r->stalls.fn = on_stalls;
	return r;
}

void relay_close_all(struct relay *r)
{
	while (!list_empty(&r->sessions))
		session_close(list_first(&r->sessions, struct relay_session, all),
		              RELAY_CLOSE_SHUTDOWN);
}

void relay_free(struct relay *r)
{
	if (!r)
		return;
	relay_close_all(r);
	ev_defer_stop(&r->flush);
	ev_timer_stop(r->env.ev, &r->stalls);
	hub_done(&r->hub);
	node_priv_wipe(&r->key);
	explicit_bzero(r->mesh_key, sizeof(r->mesh_key));
	free(r);
}

void relay_accept(struct relay *r, struct stream *take, const struct relay_upgrade *up)
{
	r->counts.accepted++;
	r->counts.fast_starts += up->way == RELAY_WAY_FAST;
	r->counts.websockets += up->way == RELAY_WAY_WEBSOCKET;
	relay_session_new(r, take, up);
}

void relay_answer(struct relay_ask *ask, bool allow)
{
	if (ask->session)
		session_answer(ask->session, allow);
	free(ask);
}

void relay_recheck(struct relay *r, bool (*allowed)(void *arg, const struct node_pub *key),
                   void *arg)
{
	struct relay_session *s, *tmp;

	list_each_safe(s, tmp, &r->sessions, all) {
		const struct node_pub *key = hub_key(&s->hub);

		if (s->state == SESSION_OPEN && s->hub.role == HUB_NODE && !allowed(arg, key))
			session_close(s, RELAY_CLOSE_DENIED);
	}
}

void relay_set_rate(struct relay *r, uint64_t bytes_per_s, uint64_t burst)
{
	struct relay_session *s;

	r->env.rate_bytes_per_s = bytes_per_s;
	r->env.rate_burst = burst < RELAY_BURST_MIN ? RELAY_BURST_MIN : burst;
	list_each(s, &r->sessions, all)
		session_unthrottle(s);
}

struct hub *relay_hub(struct relay *r)
{
	return &r->hub;
}

const struct relay_counts *relay_counts(const struct relay *r)
{
	return &r->counts;
}

const struct node_pub *relay_public(const struct relay *r)
{
	return &r->pub;
}

size_t relay_pending(const struct relay *r)
{
	return r->n_pending;
}
