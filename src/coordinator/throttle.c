#include "coordinator/throttle.h"

#include <stdlib.h>

#include "base/list.h"
#include "base/map.h"
#include "base/mem.h"

struct bucket {
	struct map_node node;
	struct link link; /* the one used longest ago first */
	struct ip source;
	int64_t full_at; /* when it will be full again, microseconds */
};

struct throttle {
	unsigned burst;
	int64_t every_us;
	struct map sources;
	struct link list;
	uint64_t refused;
};

struct throttle *throttle_new(unsigned burst, int64_t every_us)
{
	struct throttle *t = mem_new(struct throttle);

	t->burst = burst;
	t->every_us = every_us;
	map_init(&t->sources);
	list_init(&t->list);
	return t;
}

static void forget(struct throttle *t, struct bucket *b)
{
	map_remove(&t->sources, &b->node);
	list_remove(&b->link);
	free(b);
}

void throttle_free(struct throttle *t)
{
	struct bucket *b;

	if (!t)
		return;
	while ((b = list_first(&t->list, struct bucket, link)))
		forget(t, b);
	map_done(&t->sources);
	free(t);
}

struct ip throttle_source(const struct ip *from)
{
	struct ip ip = *from;

	if (!ip_is4(from))
		memset(ip.b + 8, 0, 8);
	return ip;
}

static struct bucket *find(struct throttle *t, const struct ip *source)
{
	uint64_t hash = map_hash(&t->sources, source, sizeof(*source));

	for (struct map_node *n = map_find(&t->sources, hash); n; n = map_again(n)) {
		struct bucket *b = CONTAINER_OF(n, struct bucket, node);

		if (ip_eq(&b->source, source))
			return b;
	}
	return NULL;
}

/* Those that are full again say nothing. */
static void make_room(struct throttle *t, wall now)
{
	struct bucket *b, *next;

	list_each_safe(b, next, &t->list, link)
		if (b->full_at <= now.us)
			forget(t, b);
}

static struct bucket *bucket_of(struct throttle *t, const struct ip *source, wall now)
{
	struct bucket *b = find(t, source);

	if (b)
		return b;
	if (t->sources.n >= THROTTLE_SOURCES)
		make_room(t, now);
	if (t->sources.n >= THROTTLE_SOURCES)
		return NULL;
	b = mem_new(struct bucket);
	b->source = *source;
	list_append(&t->list, &b->link);
	map_insert(&t->sources, &b->node, map_hash(&t->sources, source, sizeof(*source)));
	return b;
}

static bool is_free(const struct throttle *t, const struct ip *from)
{
	return !t || ip_is_loopback(from) || ip_is_zero(from);
}

/* A clock that was set back makes nobody wait longer than a bucket takes to fill. */
static bool has_one(const struct throttle *t, struct bucket *b, wall now)
{
	int64_t most = now.us + (int64_t)t->burst * t->every_us;

	if (b->full_at > most)
		b->full_at = most;
	return b->full_at <= most - t->every_us;
}

bool throttle_has(struct throttle *t, const struct ip *from, wall now)
{
	struct ip source = throttle_source(from);
	struct bucket *b = is_free(t, from) ? NULL : find(t, &source);

	if (!b || has_one(t, b, now))
		return true;
	t->refused++;
	return false;
}

bool throttle_take(struct throttle *t, const struct ip *from, wall now)
{
	struct ip source = throttle_source(from);
	struct bucket *b;

	if (is_free(t, from))
		return true;
	b = bucket_of(t, &source, now);
	if (!b || !has_one(t, b, now)) {
		t->refused++;
		return false;
	}
	b->full_at = (b->full_at > now.us ? b->full_at : now.us) + t->every_us;
	return true;
}

uint64_t throttle_refused(const struct throttle *t)
{
	return t ? t->refused : 0;
}
