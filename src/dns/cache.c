#include "dns/cache.h"

#include "base/mem.h"

struct entry {
	struct map_node node;
	struct link link;
	struct dns_name name;
	uint16_t type, class;
	uint8_t kind;
	mono kept, until;
	size_t n;
	uint8_t msg[];
};

void dns_cache_init(struct dns_cache *c, size_t entries_max, size_t bytes_max)
{
	*c = (struct dns_cache){ .entries_max = entries_max, .bytes_max = bytes_max };
	map_init(&c->entries);
	list_init(&c->recent);
}

static void drop(struct dns_cache *c, struct entry *e)
{
	map_remove(&c->entries, &e->node);
	list_remove(&e->link);
	c->bytes -= sizeof(*e) + e->n;
	free(e);
}

void dns_cache_flush(struct dns_cache *c)
{
	while (!list_empty(&c->recent))
		drop(c, list_first(&c->recent, struct entry, link));
}

void dns_cache_done(struct dns_cache *c)
{
	dns_cache_flush(c);
	map_done(&c->entries);
}

/* What an answer depends on besides the question, as one byte. */
static uint8_t kind_of(const struct dns_query *q)
{
	return (uint8_t)(q->edns | q->dnssec_ok << 1 | q->checking_off << 2 | q->authentic_ok << 3);
}

static uint64_t hash_of(const struct dns_cache *c, const struct dns_query *q)
{
	uint8_t key[DNS_NAME_MAX + 5];

	memcpy(key, q->name.wire, q->name.n);
	put_be16(key + q->name.n, q->type);
	put_be16(key + q->name.n + 2, q->class);
	key[q->name.n + 4] = kind_of(q);
	return map_hash(&c->entries, key, q->name.n + 5u);
}

static struct entry *find(const struct dns_cache *c, const struct dns_query *q)
{
	for (struct map_node *n = map_find(&c->entries, hash_of(c, q)); n; n = map_again(n)) {
		struct entry *e = CONTAINER_OF(n, struct entry, node);

		if (dns_name_eq(&e->name, &q->name) && e->type == q->type && e->class == q->class &&
		    e->kind == kind_of(q))
			return e;
	}
	return NULL;
}

void dns_cache_put(struct dns_cache *c, mono now, const struct dns_query *q, struct span msg,
                   uint32_t ttl_s)
{
	struct entry *e = find(c, q);

	if (e)
		drop(c, e);
	if (ttl_s == 0 || sizeof(*e) + msg.n > c->bytes_max / 8)
		return;
	e = mem_zalloc(1, sizeof(*e) + msg.n);
	e->name = q->name;
	e->type = q->type;
	e->class = q->class;
	e->kind = kind_of(q);
	e->kept = now;
	e->until = mono_after(now, ttl_s * US_PER_S);
	e->n = msg.n;
	memcpy(e->msg, msg.p, msg.n);
	map_insert(&c->entries, &e->node, hash_of(c, q));
	list_prepend(&c->recent, &e->link);
	c->bytes += sizeof(*e) + e->n;
	while (c->entries.n > c->entries_max || c->bytes > c->bytes_max)
		drop(c, CONTAINER_OF(c->recent.prev, struct entry, link));
}

bool dns_cache_get(struct dns_cache *c, mono now, const struct dns_query *q, struct buf *ret)
{
	struct entry *e = find(c, q);

	if (!e)
		return false;
	if (mono_reached(e->until, now)) {
		drop(c, e);
		return false;
	}
	list_remove(&e->link);
	list_prepend(&c->recent, &e->link);
	buf_clear(ret);
	buf_add(ret, e->msg, e->n);
	if (ret->n != e->n)
		return false;
	dns_answer_to(ret->p, ret->n, q);
	dns_age(ret->p, ret->n, (uint32_t)(mono_since(e->kept, now) / US_PER_S));
	return true;
}
