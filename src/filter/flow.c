#include "filter/flow.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/wire.h"

enum { WAYS = 4, TICK_US = 65536, TUPLE_LEN = 40 };

struct flow {
	_Atomic uint64_t tag;  /* 0: empty */
	_Atomic uint32_t used; /* tick of the last packet; wraps after nine years */
};

struct flow_table {
	uint64_t key[2];
	size_t buckets; /* a power of two */
	struct flow flows[];
};

struct flow_table *flow_table_new(size_t n, const uint64_t key[static 2])
{
	size_t buckets = 1;

	while (buckets * WAYS < n && buckets * WAYS < FLOW_TABLE_MAX)
		buckets *= 2;
	struct flow_table *t = mem_zalloc(1, sizeof(*t) + buckets * WAYS * sizeof(t->flows[0]));

	memcpy(t->key, key, sizeof(t->key));
	t->buckets = buckets;
	return t;
}

void flow_table_free(struct flow_table *t)
{
	free(t);
}

static uint32_t tick(mono now)
{
	return (uint32_t)(now.us / TICK_US);
}

/* The flow as its answers have it: far is their source, near their destination. */
static uint64_t tag_of(const struct flow_table *t, uint8_t proto, const struct ip *far,
                       uint16_t far_port, const struct ip *near, uint16_t near_port)
{
	uint8_t tuple[TUPLE_LEN] = { proto };

	memcpy(tuple + 4, far->b, 16);
	memcpy(tuple + 20, near->b, 16);
	put_be16(tuple + 36, far_port);
	put_be16(tuple + 38, near_port);
	return siphash(t->key, tuple, sizeof(tuple)) | 1;
}

static struct flow *bucket_of(struct flow_table *t, uint64_t tag)
{
	return &t->flows[(tag >> 32 & (t->buckets - 1)) * WAYS];
}

static struct flow *find(struct flow *bucket, uint64_t tag)
{
	for (unsigned i = 0; i < WAYS; i++)
		if (atomic_load_explicit(&bucket[i].tag, memory_order_relaxed) == tag)
			return &bucket[i];
	return NULL;
}

/* Writes only when the tick has changed, so that busy flows do not fight over the line. */
static void touch(struct flow *f, uint32_t now)
{
	if (atomic_load_explicit(&f->used, memory_order_relaxed) != now)
		atomic_store_explicit(&f->used, now, memory_order_relaxed);
}

static struct flow *victim(struct flow *bucket, uint32_t now)
{
	struct flow *oldest = &bucket[0];
	uint32_t most = 0;

	for (unsigned i = 0; i < WAYS; i++) {
		uint32_t age = now - atomic_load_explicit(&bucket[i].used, memory_order_relaxed);

		if (atomic_load_explicit(&bucket[i].tag, memory_order_relaxed) == 0)
			return &bucket[i];
		if (age > most) {
			most = age;
			oldest = &bucket[i];
		}
	}
	return oldest;
}

void flow_note(struct flow_table *t, const struct ippkt *p, mono now)
{
	uint64_t tag = tag_of(t, p->proto, &p->dst, p->dst_port, &p->src, p->src_port);
	struct flow *bucket = bucket_of(t, tag);
	struct flow *f = find(bucket, tag);

	if (!f) {
		f = victim(bucket, tick(now));
		atomic_store_explicit(&f->tag, tag, memory_order_relaxed);
	}
	touch(f, tick(now));
}

bool flow_known(struct flow_table *t, const struct ippkt *p, mono now)
{
	uint64_t tag = tag_of(t, p->proto, &p->src, p->src_port, &p->dst, p->dst_port);
	struct flow *f = find(bucket_of(t, tag), tag);

	if (f)
		touch(f, tick(now));
	return f != NULL;
}

void flow_table_clear(struct flow_table *t)
{
	for (size_t i = 0; i < t->buckets * WAYS; i++)
		atomic_store_explicit(&t->flows[i].tag, 0, memory_order_relaxed);
}
