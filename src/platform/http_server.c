#include "platform/http_server.h"

#include <stdlib.h>

#include "base/err.h"
#include "platform/http_priv.h"

enum {
	HEAD_US = 10 * 1000 * 1000,
	BODY_US = 30 * 1000 * 1000,
	IDLE_US = 120 * 1000 * 1000,
	STALL_US = 30 * 1000 * 1000,
};

static void set_default(int64_t *v, int64_t value)
{
	if (*v == 0)
		*v = value;
}

struct http_server *http_server_new(const struct http_server_cfg *cfg)
{
	struct http_server *s = mem_new(struct http_server);

	s->cfg = *cfg;
	s->cfg.conns_max = cfg->conns_max ? cfg->conns_max : HTTP_CONNS_MAX;
	s->cfg.conns_from_max = cfg->conns_from_max ? cfg->conns_from_max : HTTP_CONNS_FROM_MAX;
	set_default(&s->cfg.head_us, HEAD_US);
	set_default(&s->cfg.body_us, BODY_US);
	set_default(&s->cfg.idle_us, IDLE_US);
	set_default(&s->cfg.stall_us, STALL_US);
	list_init(&s->conns);
	map_init(&s->sources);
	return s;
}

void http_server_free(struct http_server *s)
{
	if (!s)
		return;
	while (!list_empty(&s->conns))
		conn_close(list_first(&s->conns, struct http_conn, link), false);
	map_done(&s->sources);
	free(s);
}

/* ---- who may come in ---- */

static struct source *source_find(struct http_server *s, const struct ip *ip, uint64_t hash)
{
	for (struct map_node *n = map_find(&s->sources, hash); n; n = map_again(n)) {
		struct source *src = CONTAINER_OF(n, struct source, node);

		if (ip_eq(&src->ip, ip))
			return src;
	}
	return NULL;
}

static struct source *source_of(struct http_server *s, const struct ip *ip)
{
	uint64_t hash = map_hash(&s->sources, ip, sizeof(*ip));
	struct source *src = source_find(s, ip, hash);

	if (src)
		return src;
	src = mem_new(struct source);
	src->ip = *ip;
	map_insert(&s->sources, &src->node, hash);
	return src;
}

static void source_drop(struct http_server *s, struct source *src)
{
	if (src->n > 0)
		return;
	map_remove(&s->sources, &src->node);
	free(src);
}

bool server_trusts(const struct http_server *s, const struct http_conn *c, const struct ip *ip)
{
	if (ip == &c->peer.ip && !addr_is_set(&c->peer))
		return s->cfg.trust_unix;
	for (size_t i = 0; i < s->cfg.n_trusted; i++) {
		if (prefix_contains(&s->cfg.trusted[i], ip))
			return true;
	}
	return false;
}

static bool is_exempt(const struct http_server *s, const struct http_conn *c)
{
	return !addr_is_set(&c->peer) || server_trusts(s, c, &c->peer.ip);
}

int server_admit(struct http_server *s, struct http_conn *c)
{
	s->stats.accepted++;
	if (s->stopping)
		return ERR_CLOSED;
	if (s->stats.open >= s->cfg.conns_max) {
		s->stats.drops[HTTP_DROP_TOO_MANY]++;
		return ERR_LIMIT;
	}
	if (!is_exempt(s, c)) {
		c->source = source_of(s, &c->peer.ip);
		if (c->source->n >= s->cfg.conns_from_max) {
			s->stats.drops[HTTP_DROP_TOO_MANY_FROM]++;
			return ERR_LIMIT;
		}
		c->source->n++;
	}
	s->stats.open++;
	list_append(&s->conns, &c->link);
	return 0;
}

void server_forget(struct http_server *s, struct http_conn *c)
{
	if (!link_in_list(&c->link))
		return;
	list_remove(&c->link);
	s->stats.open--;
	if (c->source) {
		c->source->n--;
		source_drop(s, c->source);
	}
}

void http_server_accept(struct http_server *s, int fd, const struct addr *peer,
                        struct tls_server *tls)
{
	conn_accept(s, fd, peer, tls);
}

static void retire(struct http_conn *c)
{
	if (c->h2) {
		h2_shutdown(c->h2);
		ev_defer(c->srv->cfg.ev, &c->pump);
	} else if (!c->cur) {
		conn_close(c, true);
	}
}

void http_server_shutdown(struct http_server *s)
{
	struct http_conn *c, *next;

	s->stopping = true;
	list_each_safe(c, next, &s->conns, link) {
		retire(c);
	}
}

const struct http_stats *http_server_stats(const struct http_server *s)
{
	return &s->stats;
}

const char *http_drop_name(enum http_drop d)
{
	/* clang-format off */
	static const char *const names[] = {
		[HTTP_DROP_TOO_MANY] = "too_many",
		[HTTP_DROP_TOO_MANY_FROM] = "too_many_from",
		[HTTP_DROP_SLOW_TLS] = "slow_tls",
		[HTTP_DROP_SLOW_HEAD] = "slow_head",
		[HTTP_DROP_SLOW_BODY] = "slow_body",
		[HTTP_DROP_IDLE] = "idle",
		[HTTP_DROP_SLOW_READER] = "slow_reader",
		[HTTP_DROP_BAD_TLS] = "bad_tls",
		[HTTP_DROP_BAD_REQUEST] = "bad_request",
	};
	/* clang-format on */

	return d < HTTP_DROP_MAX ? names[d] : "";
}
