#pragma once
/*
 * Kept answers of upstreams, bounded in number and bytes; the least recently
 * used goes first. A hit gives the message with its TTLs lowered by its age.
 * Pure; no threads.
 */
#include "base/buf.h"
#include "base/list.h"
#include "base/map.h"
#include "base/time.h"
#include "protocol/dnsmsg.h"

struct dns_cache {
	struct map entries;
	struct link recent; /* most recent first */
	size_t bytes;
	size_t entries_max, bytes_max;
};

void dns_cache_init(struct dns_cache *c, size_t entries_max, size_t bytes_max);
void dns_cache_done(struct dns_cache *c);
void dns_cache_flush(struct dns_cache *c);
/* Keeps a checked answer; ttl_s = 0 keeps nothing. */
void dns_cache_put(struct dns_cache *c, mono now, const struct dns_query *q, struct span msg,
                   uint32_t ttl_s);
/* Fills ret with the answer under the query's id; false if there is none. */
bool dns_cache_get(struct dns_cache *c, mono now, const struct dns_query *q, struct buf *ret);
