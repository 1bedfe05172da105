#include "base/lpm.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"
#include "base/wire.h"

enum { V4, V6 };

/* An address as a 128-bit number; IPv4 stands in the top 32 bits. */
struct key {
	uint64_t hi, lo;
};

/*
 * A node without an owner only joins two others ("glue"). Index 0 is never a
 * node, so it means "none". A free node's child[0] is the next free one.
 */
struct lpm_node {
	struct key key; /* host bits are clear */
	struct lpm_owner *owner;
	uint32_t child[2];
	uint32_t prev, next; /* of the same owner */
	uint8_t bits;
	uint8_t family;
};

static struct key key_of(const struct ip *ip, unsigned family)
{
	if (family == V4)
		return (struct key){ (uint64_t)be32_at(ip->b + 12) << 32, 0 };
	return (struct key){ be64_at(ip->b), be64_at(ip->b + 8) };
}

static struct key key_masked(struct key k, unsigned bits)
{
	uint64_t hi = bits >= 64 ? UINT64_MAX : bits ? ~(UINT64_MAX >> bits) : 0;
	uint64_t lo = bits >= 128 ? UINT64_MAX : bits > 64 ? ~(UINT64_MAX >> (bits - 64)) : 0;

	return (struct key){ k.hi & hi, k.lo & lo };
}

static bool key_eq(struct key a, struct key b)
{
	return a.hi == b.hi && a.lo == b.lo;
}

/* Length of what two keys share at their front. */
static unsigned key_common(struct key a, struct key b)
{
	if (a.hi != b.hi)
		return (unsigned)__builtin_clzll(a.hi ^ b.hi);
	return a.lo != b.lo ? 64 + (unsigned)__builtin_clzll(a.lo ^ b.lo) : 128;
}

static unsigned key_bit(struct key k, unsigned at)
{
	return (unsigned)((at < 64 ? k.hi >> (63 - at) : k.lo >> (127 - at)) & 1);
}

static bool node_covers(const struct lpm_node *n, struct key k)
{
	return key_common(n->key, k) >= n->bits;
}

static uint32_t node_new(struct lpm *t, struct key key, unsigned bits, unsigned family)
{
	uint32_t at = t->free;

	if (at) {
		t->free = t->nodes[at].child[0];
	} else {
		if (t->used >= t->cap) {
			t->cap = t->cap ? t->cap * 2 : 8;
			t->nodes = mem_grow(t->nodes, t->cap, sizeof(*t->nodes));
			t->used = t->used ? t->used : 1;
		}
		at = t->used++;
	}
	t->nodes[at] = (struct lpm_node){ .key = key_masked(key, bits),
		                          .bits = (uint8_t)bits,
		                          .family = (uint8_t)family };
	return at;
}

static void node_drop(struct lpm *t, uint32_t at)
{
	t->nodes[at] = (struct lpm_node){ .child = { t->free } };
	t->free = at;
}

/* Into the owner's list, at its end. */
static void own(struct lpm *t, uint32_t at, struct lpm_owner *owner)
{
	struct lpm_node *n = &t->nodes[at];

	n->owner = owner;
	n->prev = owner->last;
	n->next = 0;
	if (owner->last)
		t->nodes[owner->last].next = at;
	else
		owner->first = at;
	owner->last = at;
	owner->n++;
	t->n++;
}

static void disown(struct lpm *t, uint32_t at)
{
	struct lpm_node *n = &t->nodes[at];
	struct lpm_owner *owner = n->owner;

	if (n->prev)
		t->nodes[n->prev].next = n->next;
	else
		owner->first = n->next;
	if (n->next)
		t->nodes[n->next].prev = n->prev;
	else
		owner->last = n->prev;
	n->owner = NULL;
	owner->n--;
	t->n--;
}

/* Where a node hangs: the link that holds it, and the node above (0: it is the root). */
struct place {
	uint32_t above, at;
};

static uint32_t *place_link(struct lpm *t, struct place p, unsigned family, struct key k)
{
	if (!p.above)
		return &t->root[family];
	return &t->nodes[p.above].child[key_bit(k, t->nodes[p.above].bits)];
}

/*
 * Descends as far as nodes cover the prefix. Ends at the node that is it, or at
 * the first one that does not cover it, or at 0 where a link is free.
 */
static struct place descend(const struct lpm *t, unsigned family, struct key k, unsigned bits,
                            uint32_t *ret_grand)
{
	struct place p = { 0, t->root[family] };

	*ret_grand = 0;
	while (p.at) {
		const struct lpm_node *n = &t->nodes[p.at];

		if (n->bits >= bits || !node_covers(n, k))
			break;
		*ret_grand = p.above;
		p = (struct place){ p.at, n->child[key_bit(k, n->bits)] };
	}
	return p;
}

/* A new node for the prefix at a place where another one is in the way. */
static uint32_t split(struct lpm *t, uint32_t down, unsigned family, struct key k, unsigned bits,
                      uint32_t *ret_top)
{
	uint32_t mine = node_new(t, k, bits, family);
	struct key other = t->nodes[down].key;
	unsigned common = key_common(other, k);

	if (common >= bits) {
		t->nodes[mine].child[key_bit(other, bits)] = down;
		*ret_top = mine;
		return mine;
	}

	uint32_t glue = node_new(t, k, common, family);

	t->nodes[glue].child[key_bit(k, common)] = mine;
	t->nodes[glue].child[key_bit(other, common)] = down;
	*ret_top = glue;
	return mine;
}

void lpm_insert(struct lpm *t, struct prefix p, struct lpm_owner *owner)
{
	unsigned family = prefix_is4(&p) ? V4 : V6;
	struct key k = key_masked(key_of(&p.ip, family), p.bits);
	uint32_t grand, mine, top;
	struct place at = descend(t, family, k, p.bits, &grand);

	assert(p.bits <= prefix_max_bits(&p));
	if (at.at && t->nodes[at.at].bits == p.bits && key_eq(t->nodes[at.at].key, k)) {
		if (t->nodes[at.at].owner)
			disown(t, at.at);
		own(t, at.at, owner);
		return;
	}
	if (at.at)
		mine = split(t, at.at, family, k, p.bits, &top);
	else
		mine = top = node_new(t, k, p.bits, family);
	*place_link(t, at, family, k) = top;
	own(t, mine, owner);
}

/* Looks the prefix up exactly; false if it has no owner. */
static bool find_exact(const struct lpm *t, const struct prefix *p, struct place *ret,
                       uint32_t *ret_grand)
{
	unsigned family = prefix_is4(p) ? V4 : V6;
	struct key k = key_masked(key_of(&p->ip, family), p->bits);
	const struct lpm_node *n;

	*ret = descend(t, family, k, p->bits, ret_grand);
	n = ret->at ? &t->nodes[ret->at] : NULL;
	return n && n->bits == p->bits && key_eq(n->key, k) && n->owner;
}

struct lpm_owner *lpm_get(const struct lpm *t, struct prefix p)
{
	struct place at;
	uint32_t grand;

	return find_exact(t, &p, &at, &grand) ? t->nodes[at.at].owner : NULL;
}

/* An ownerless node with fewer than two children is not needed: its child takes its place. */
static bool splice(struct lpm *t, struct place p)
{
	struct lpm_node *n = &t->nodes[p.at];

	if (n->owner || (n->child[0] && n->child[1]))
		return false;

	uint32_t child = n->child[0] ? n->child[0] : n->child[1];

	*place_link(t, p, n->family, n->key) = child;
	node_drop(t, p.at);
	return true;
}

static void take_out(struct lpm *t, struct place p, uint32_t grand)
{
	disown(t, p.at);
	if (splice(t, p) && p.above)
		(void)splice(t, (struct place){ grand, p.above });
}

bool lpm_remove(struct lpm *t, struct prefix p, struct lpm_owner *owner)
{
	struct place at;
	uint32_t grand;

	if (!find_exact(t, &p, &at, &grand) || t->nodes[at.at].owner != owner)
		return false;
	take_out(t, at, grand);
	return true;
}

void lpm_remove_all(struct lpm *t, struct lpm_owner *owner)
{
	while (owner->first) {
		const struct lpm_node *n = &t->nodes[owner->first];
		uint32_t grand;
		struct place p = descend(t, n->family, n->key, n->bits, &grand);

		assert(p.at == owner->first);
		take_out(t, p, grand);
	}
}

static struct lpm_owner *find(const struct lpm *t, unsigned family, struct key k)
{
	struct lpm_owner *best = NULL;

	for (uint32_t at = t->root[family]; at;) {
		const struct lpm_node *n = &t->nodes[at];

		if (!node_covers(n, k))
			break;
		if (n->owner)
			best = n->owner;
		if (n->bits >= (family == V4 ? 32 : 128))
			break;
		at = n->child[key_bit(k, n->bits)];
	}
	return best;
}

struct lpm_owner *lpm_find(const struct lpm *t, const struct ip *ip)
{
	unsigned family = ip_is4(ip) ? V4 : V6;

	return find(t, family, key_of(ip, family));
}

struct lpm_owner *lpm_find4(const struct lpm *t, const uint8_t addr[static 4])
{
	return find(t, V4, (struct key){ (uint64_t)be32_at(addr) << 32, 0 });
}

struct lpm_owner *lpm_find6(const struct lpm *t, const uint8_t addr[static 16])
{
	return find(t, V6, (struct key){ be64_at(addr), be64_at(addr + 8) });
}

bool lpm_each(const struct lpm *t, const struct lpm_owner *owner, uint32_t *at, struct prefix *ret)
{
	*at = *at ? t->nodes[*at].next : owner->first;
	if (!*at)
		return false;

	const struct lpm_node *n = &t->nodes[*at];
	uint8_t b[16];

	put_be64(b, n->key.hi);
	put_be64(b + 8, n->key.lo);
	*ret = (struct prefix){ n->family == V4 ? ip4_of(b) : ip6_of(b), n->bits };
	return true;
}

void lpm_done(struct lpm *t)
{
	free(t->nodes);
	*t = (struct lpm){ 0 };
}
