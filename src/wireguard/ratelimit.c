#include "wireguard/ratelimit.h"

#include <string.h>

#include "base/mem.h"

/* A bucket holds time: an event costs some of it, and it fills as time passes. */
struct source {
	struct map_node node;
	uint64_t net;
	int64_t held_us;
	mono seen;
};

void wg_ratelimit_init(struct wg_ratelimit *rl, unsigned per_second, unsigned burst, size_t max)
{
	*rl = (struct wg_ratelimit){ .cost_us = US_PER_S / per_second, .max = max };
	rl->cap_us = rl->cost_us * burst;
	map_init(&rl->sources);
}

static struct source *source_of(struct map_node *n)
{
	return CONTAINER_OF(n, struct source, node);
}

/* Forgets those that were quiet for longer than idle_us. */
static void sweep(struct wg_ratelimit *rl, mono now, int64_t idle_us)
{
	for (struct map_node *n = map_first(&rl->sources), *next; n; n = next) {
		struct source *s = source_of(n);

		next = map_next(&rl->sources, n);
		if (mono_since(s->seen, now) > idle_us) {
			map_remove(&rl->sources, n);
			free(s);
		}
	}
	rl->swept = now;
}

void wg_ratelimit_done(struct wg_ratelimit *rl)
{
	for (struct map_node *n; (n = map_first(&rl->sources));) {
		map_remove(&rl->sources, n);
		free(source_of(n));
	}
	map_done(&rl->sources);
}

/* The part of an address that counts; 0xffff... in front keeps IPv4 apart. */
static uint64_t net_of(const struct ip *ip)
{
	uint64_t net = 0;

	if (ip_is4(ip))
		memcpy(&net, ip->b + 10, 6);
	else
		memcpy(&net, ip->b, 8);
	return net;
}

static struct source *find(const struct wg_ratelimit *rl, uint64_t net, uint64_t hash)
{
	for (struct map_node *n = map_find(&rl->sources, hash); n; n = map_again(n)) {
		if (source_of(n)->net == net)
			return source_of(n);
	}
	return NULL;
}

static bool spend(struct wg_ratelimit *rl, struct source *s, mono now)
{
	int64_t passed = mono_since(s->seen, now);

	if (passed > 0) {
		s->held_us = passed > rl->cap_us - s->held_us ? rl->cap_us : s->held_us + passed;
		s->seen = now;
	}
	if (s->held_us < rl->cost_us)
		return false;
	s->held_us -= rl->cost_us;
	return true;
}

bool wg_ratelimit_allow(struct wg_ratelimit *rl, mono now, const struct ip *source)
{
	uint64_t net = net_of(source);
	uint64_t hash = map_hash(&rl->sources, &net, sizeof(net));
	struct source *s;

	if (mono_since(rl->swept, now) > US_PER_S)
		sweep(rl, now, rl->cap_us > US_PER_S ? rl->cap_us : US_PER_S);
	s = find(rl, net, hash);
	if (!s) {
		if (rl->sources.n >= rl->max)
			return false;
		s = mem_new(struct source);
		s->net = net;
		s->held_us = rl->cap_us;
		s->seen = now;
		map_insert(&rl->sources, &s->node, hash);
	}
	return spend(rl, s, now);
}
