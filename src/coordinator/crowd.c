#include "coordinator/crowd.h"

#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"

struct holder {
	struct map_node node;
	struct ip source;
	size_t n;
};

struct crowd {
	struct map holders;
	size_t n, max, share, safe;
};

struct crowd *crowd_new(size_t max, size_t share, size_t safe)
{
	struct crowd *c = mem_new(struct crowd);

	map_init(&c->holders);
	c->max = max;
	c->share = share;
	c->safe = safe;
	return c;
}

static void forget(struct crowd *c, struct holder *h)
{
	map_remove(&c->holders, &h->node);
	free(h);
}

void crowd_free(struct crowd *c)
{
	struct map_node *n;

	if (!c)
		return;
	while ((n = map_first(&c->holders)))
		forget(c, CONTAINER_OF(n, struct holder, node));
	map_done(&c->holders);
	free(c);
}

static uint64_t hash_of(const struct crowd *c, const struct ip *source)
{
	return map_hash(&c->holders, source->b, sizeof(source->b));
}

static struct holder *find(const struct crowd *c, const struct ip *source)
{
	for (struct map_node *n = map_find(&c->holders, hash_of(c, source)); n; n = map_again(n)) {
		struct holder *h = CONTAINER_OF(n, struct holder, node);

		if (ip_eq(&h->source, source))
			return h;
	}
	return NULL;
}

static const struct holder *largest(const struct crowd *c)
{
	const struct holder *most = NULL;

	for (struct map_node *n = map_first(&c->holders); n; n = map_next(&c->holders, n)) {
		const struct holder *h = CONTAINER_OF(n, struct holder, node);

		if (!most || h->n > most->n)
			most = h;
	}
	return most;
}

enum crowd_answer crowd_ask(const struct crowd *c, const struct ip *source, struct ip *ret_whose)
{
	const struct holder *own = find(c, source), *most;
	bool is_here = ip_is_loopback(source) || ip_is_zero(source);

	if (own && own->n >= c->share && !is_here)
		return CROWD_FULL;
	if (c->n < c->max)
		return CROWD_ROOM;
	most = largest(c);
	if (!most || most->n <= c->safe)
		return CROWD_FULL;
	*ret_whose = most->source;
	return CROWD_PUSH;
}

void crowd_add(struct crowd *c, const struct ip *source)
{
	struct holder *h = find(c, source);

	if (!h) {
		h = mem_new(struct holder);
		h->source = *source;
		map_insert(&c->holders, &h->node, hash_of(c, source));
	}
	h->n++;
	c->n++;
}

void crowd_remove(struct crowd *c, const struct ip *source)
{
	struct holder *h = find(c, source);

	if (!h)
		return;
	c->n--;
	if (--h->n == 0)
		forget(c, h);
}
