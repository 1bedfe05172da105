#include "base/map.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/rand.h"
#include "base/wire.h"

enum { SLOTS_MIN = 8 };

static uint64_t rotl(uint64_t x, int k)
{
	return x << k | x >> (64 - k);
}

static void sip_round(uint64_t v[static 4])
{
	v[0] += v[1];
	v[1] = rotl(v[1], 13) ^ v[0];
	v[0] = rotl(v[0], 32);
	v[2] += v[3];
	v[3] = rotl(v[3], 16) ^ v[2];
	v[0] += v[3];
	v[3] = rotl(v[3], 21) ^ v[0];
	v[2] += v[1];
	v[1] = rotl(v[1], 17) ^ v[2];
	v[2] = rotl(v[2], 32);
}

uint64_t siphash(const uint64_t key[static 2], const void *p, size_t n)
{
	const uint8_t *b = p;
	uint64_t v[4] = {
		UINT64_C(0x736f6d6570736575) ^ key[0],
		UINT64_C(0x646f72616e646f6d) ^ key[1],
		UINT64_C(0x6c7967656e657261) ^ key[0],
		UINT64_C(0x7465646279746573) ^ key[1],
	};
	uint64_t last = (uint64_t)n << 56;

	for (; n >= 8; n -= 8, b += 8) {
		uint64_t m = le64_at(b);

		v[3] ^= m;
		sip_round(v);
		v[0] ^= m;
	}
	for (size_t i = 0; i < n; i++)
		last |= (uint64_t)b[i] << (8 * i);
	v[3] ^= last;
	sip_round(v);
	v[0] ^= last;
	v[2] ^= 0xff;
	sip_round(v);
	sip_round(v);
	sip_round(v);
	return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *m)
{
	*m = (struct map){ .slots = mem_new_n(struct map_node *, SLOTS_MIN),
		           .mask = SLOTS_MIN - 1 };
	rand_bytes(m->key, sizeof(m->key));
}

void map_done(struct map *m)
{
	free(m->slots);
	*m = (struct map){ 0 };
}

static void resize(struct map *m, size_t slots)
{
	struct map_node **old = m->slots;
	size_t old_slots = m->mask + 1;

	m->slots = mem_new_n(struct map_node *, slots);
	m->mask = slots - 1;
	for (size_t i = 0; i < old_slots; i++) {
		for (struct map_node *n = old[i], *next; n; n = next) {
			next = n->next;
			n->next = m->slots[n->hash & m->mask];
			m->slots[n->hash & m->mask] = n;
		}
	}
	free(old);
}

struct map_node *map_find(const struct map *m, uint64_t hash)
{
	struct map_node *n = m->slots[hash & m->mask];

	while (n && n->hash != hash)
		n = n->next;
	return n;
}

struct map_node *map_again(const struct map_node *n)
{
	struct map_node *next = n->next;

	while (next && next->hash != n->hash)
		next = next->next;
	return next;
}

void map_insert(struct map *m, struct map_node *n, uint64_t hash)
{
	/* Here and not in map_remove, so that a walk may remove what it passes. */
	if (m->n > m->mask)
		resize(m, (m->mask + 1) * 2);
	else if (m->mask + 1 > SLOTS_MIN && m->n < (m->mask + 1) / 8)
		resize(m, (m->mask + 1) / 2);
	n->hash = hash;
	n->next = m->slots[hash & m->mask];
	m->slots[hash & m->mask] = n;
	m->n++;
}

void map_remove(struct map *m, struct map_node *n)
{
	struct map_node **at = &m->slots[n->hash & m->mask];

	while (*at && *at != n)
		at = &(*at)->next;
	assert(*at == n);
	*at = n->next;
	n->next = NULL;
	m->n--;
}

static struct map_node *first_from(const struct map *m, size_t slot)
{
	for (; slot <= m->mask; slot++) {
		if (m->slots[slot])
			return m->slots[slot];
	}
	return NULL;
}

struct map_node *map_first(const struct map *m)
{
	return m->slots ? first_from(m, 0) : NULL;
}

struct map_node *map_next(const struct map *m, const struct map_node *n)
{
	return n->next ? n->next : first_from(m, (n->hash & m->mask) + 1);
}
