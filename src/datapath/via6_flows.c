#include "datapath/via6_flows.h"

#include <stdlib.h>
#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/wire.h"
#include "protocol/ippkt.h"

enum { WAYS = 8, BUCKETS = VIA6_FLOWS / WAYS };

struct via6_flows {
	uint64_t key[2];
	struct via6_flow v[VIA6_FLOWS];
};

_Static_assert(VIA6_PORT_FIRST + VIA6_FLOWS <= UINT16_MAX, "each has a port");

struct via6_flows *via6_flows_new(const uint64_t key[static 2])
{
	struct via6_flows *t = mem_new(struct via6_flows);

	memcpy(t->key, key, sizeof(t->key));
	return t;
}

void via6_flows_free(struct via6_flows *t)
{
	free(t);
}

static struct via6_flow *bucket_of(struct via6_flows *t, const struct via6_key *k)
{
	uint8_t tuple[37] = { k->proto };

	memcpy(tuple + 1, k->client.b, 16);
	memcpy(tuple + 17, k->site.b, 16);
	put_be16(tuple + 33, k->client_port);
	put_be16(tuple + 35, k->port);
	return &t->v[siphash(t->key, tuple, sizeof(tuple)) % BUCKETS * WAYS];
}

static bool is_used(const struct via6_flow *f)
{
	return f->until.us != 0;
}

static bool has_key(const struct via6_flow *f, const struct via6_key *k)
{
	return is_used(f) && f->key.proto == k->proto && f->key.client_port == k->client_port &&
	       f->key.port == k->port && ip_eq(&f->key.client, &k->client) &&
	       ip_eq(&f->key.site, &k->site);
}

static struct via6_flow *find(struct via6_flow *bucket, const struct via6_key *k)
{
	for (unsigned i = 0; i < WAYS; i++)
		if (has_key(&bucket[i], k))
			return &bucket[i];
	return NULL;
}

struct via6_flow *via6_flow_find(struct via6_flows *t, const struct via6_key *key)
{
	return find(bucket_of(t, key), key);
}

struct via6_flow *via6_flow_get(struct via6_flows *t, const struct via6_key *key)
{
	struct via6_flow *bucket = bucket_of(t, key), *f = find(bucket, key);

	if (f)
		return f;
	f = &bucket[0];
	for (unsigned i = 1; i < WAYS; i++)
		if (mono_before(bucket[i].until, f->until))
			f = &bucket[i];
	*f = (struct via6_flow){ .key = *key };
	return f;
}

struct via6_flow *via6_flow_at(struct via6_flows *t, uint16_t port)
{
	size_t i = (size_t)port - VIA6_PORT_FIRST;

	return port >= VIA6_PORT_FIRST && i < VIA6_FLOWS && is_used(&t->v[i]) ? &t->v[i] : NULL;
}

uint16_t via6_flow_port(const struct via6_flows *t, const struct via6_flow *f)
{
	return (uint16_t)(VIA6_PORT_FIRST + (f - t->v));
}

static int64_t life(const struct via6_flow *f)
{
	if (f->key.proto == IPPKT_TCP)
		return f->ending ? VIA6_TCP_ENDING_S : VIA6_TCP_S;
	return f->key.proto == IPPKT_UDP ? VIA6_UDP_S : VIA6_ECHO_S;
}

void via6_flow_touch(struct via6_flow *f, mono now, uint8_t tcp_flags)
{
	f->ending = tcp_flags & TCP_SYN ? false : f->ending || tcp_flags & (TCP_FIN | TCP_RST);
	f->until = mono_after(now, life(f) * US_PER_S);
}
