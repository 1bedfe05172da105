#include "protocol/disco.h"

#include <string.h>

#include "base/mem.h"
#include "base/wire.h"

static const uint8_t magic[DISCO_MAGIC] = { 0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac };

enum { VERSION = 0, NS_PER_US = 1000, PLAIN_MAX = DISCO_PING_MAX };

bool disco_sender(struct span datagram, struct disco_pub *ret)
{
	if (datagram.n < DISCO_MIN || memcmp(datagram.p, magic, DISCO_MAGIC) != 0)
		return false;
	memcpy(ret->b, datagram.p + DISCO_MAGIC, KEY_LEN);
	return true;
}

static void read_addr(struct rd *r, struct addr *ret)
{
	*ret = (struct addr){ 0 };
	rd_copy(r, ret->ip.b, sizeof(ret->ip.b));
	ret->port = rd_be16(r);
}

static size_t read_addrs(struct rd *r, struct addr ret[static DISCO_ENDPOINTS_MAX])
{
	size_t n = 0;

	while (n < DISCO_ENDPOINTS_MAX && rd_left(r) >= DISCO_ENDPOINT)
		read_addr(r, &ret[n++]);
	return n;
}

static void read_ping(struct rd *r, struct disco_msg *m)
{
	rd_copy(r, m->txid.b, DISCO_TXID);
	/* Clients of old send no node key; padding alone has the same place. */
	if (rd_left(r) >= KEY_LEN)
		rd_copy(r, m->node.b, KEY_LEN);
	m->padding = rd_left(r);
}

/* Nanoseconds on the wire; what is out of range is as good as for ever. */
static int64_t read_lifetime(struct rd *r)
{
	uint64_t ns = rd_be64(r);

	return ns > INT64_MAX ? INT64_MAX / NS_PER_US : (int64_t)(ns / NS_PER_US);
}

static void read_relay(struct rd *r, struct disco_relay_endpoint *e)
{
	rd_copy(r, e->server.b, KEY_LEN);
	rd_copy(r, e->clients[0].b, KEY_LEN);
	rd_copy(r, e->clients[1].b, KEY_LEN);
	e->lamport_id = rd_be64(r);
	e->vni = rd_be32(r);
	e->bind_us = read_lifetime(r);
	e->steady_us = read_lifetime(r);
	e->n_addrs = read_addrs(r, e->addrs);
	/* An endpoint nobody can reach is none. */
	if (e->n_addrs == 0)
		r->bad = true;
}

static void read_bind(struct rd *r, struct disco_bind *b)
{
	b->vni = rd_be32(r);
	b->generation = rd_be32(r);
	rd_copy(r, b->remote.b, KEY_LEN);
	rd_copy(r, b->challenge, DISCO_CHALLENGE);
}

int disco_read(struct span plain, struct disco_msg *ret)
{
	struct rd r = rd_span(plain);
	uint8_t type = rd_u8(&r);
	uint8_t version = rd_u8(&r);

	if (r.bad)
		return ERR_SHORT;
	memset(ret, 0, sizeof(*ret));
	ret->type = (enum disco_type)type;
	switch (type) {
	case DISCO_PING:
		read_ping(&r, ret);
		break;
	case DISCO_PONG:
		rd_copy(&r, ret->txid.b, DISCO_TXID);
		read_addr(&r, &ret->source);
		break;
	case DISCO_CALL_ME_MAYBE:
		if (version == VERSION && rd_left(&r) % DISCO_ENDPOINT == 0)
			ret->n_endpoints = read_addrs(&r, ret->endpoints);
		break;
	case DISCO_BIND:
	case DISCO_BIND_CHALLENGE:
	case DISCO_BIND_ANSWER:
		read_bind(&r, &ret->bind);
		break;
	case DISCO_CALL_ME_MAYBE_VIA:
		if (version == VERSION)
			read_relay(&r, &ret->relay);
		break;
	case DISCO_ALLOCATE:
		rd_copy(&r, ret->clients[0].b, KEY_LEN);
		rd_copy(&r, ret->clients[1].b, KEY_LEN);
		ret->generation = rd_be32(&r);
		break;
	case DISCO_ALLOCATED:
		ret->generation = rd_be32(&r);
		read_relay(&r, &ret->relay);
		break;
	default:
		return ERR_VERSION;
	}
	return r.bad ? ERR_MALFORMED : 0;
}

int disco_open(struct span datagram, const struct box_shared *key, struct disco_msg *ret)
{
	uint8_t plain[PLAIN_MAX];

	if (datagram.n < DISCO_MIN)
		return ERR_SHORT;
	if (datagram.n - DISCO_OVERHEAD > sizeof(plain))
		return ERR_MALFORMED;

	int r = box_open(plain, key, span_from(datagram, DISCO_HEADER));

	return r < 0 ? r : disco_read(span(plain, datagram.n - DISCO_OVERHEAD), ret);
}

static void write_addr(struct wr *w, const struct addr *a)
{
	wr_bytes(w, a->ip.b, sizeof(a->ip.b));
	wr_be16(w, a->port);
}

static void write_addrs(struct wr *w, const struct addr *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		write_addr(w, &v[i]);
}

static void write_relay(struct wr *w, const struct disco_relay_endpoint *e)
{
	wr_bytes(w, e->server.b, KEY_LEN);
	wr_bytes(w, e->clients[0].b, KEY_LEN);
	wr_bytes(w, e->clients[1].b, KEY_LEN);
	wr_be64(w, e->lamport_id);
	wr_be32(w, e->vni);
	wr_be64(w, (uint64_t)e->bind_us * NS_PER_US);
	wr_be64(w, (uint64_t)e->steady_us * NS_PER_US);
	write_addrs(w, e->addrs, e->n_addrs);
}

static void write_body(struct wr *w, const struct disco_msg *m)
{
	switch (m->type) {
	case DISCO_PING:
		wr_bytes(w, m->txid.b, DISCO_TXID);
		wr_bytes(w, m->node.b, KEY_LEN);
		wr_zero(w, m->padding);
		break;
	case DISCO_PONG:
		wr_bytes(w, m->txid.b, DISCO_TXID);
		write_addr(w, &m->source);
		break;
	case DISCO_CALL_ME_MAYBE:
		write_addrs(w, m->endpoints, m->n_endpoints);
		break;
	case DISCO_BIND:
	case DISCO_BIND_CHALLENGE:
	case DISCO_BIND_ANSWER:
		wr_be32(w, m->bind.vni);
		wr_be32(w, m->bind.generation);
		wr_bytes(w, m->bind.remote.b, KEY_LEN);
		wr_bytes(w, m->bind.challenge, DISCO_CHALLENGE);
		break;
	case DISCO_CALL_ME_MAYBE_VIA:
		write_relay(w, &m->relay);
		break;
	case DISCO_ALLOCATE:
		wr_bytes(w, m->clients[0].b, KEY_LEN);
		wr_bytes(w, m->clients[1].b, KEY_LEN);
		wr_be32(w, m->generation);
		break;
	case DISCO_ALLOCATED:
		wr_be32(w, m->generation);
		write_relay(w, &m->relay);
		break;
	}
}

int disco_write(uint8_t *dst, size_t cap, const struct disco_msg *m, size_t *ret_n)
{
	struct wr w = wr_of(dst, cap);

	wr_u8(&w, (uint8_t)m->type);
	wr_u8(&w, VERSION);
	write_body(&w, m);
	return wr_end(&w, ret_n);
}

int disco_seal(uint8_t *dst, size_t cap, const struct disco_msg *m, const struct disco_pub *self,
               const struct box_shared *key, struct rand_src *rand, size_t *ret_n)
{
	uint8_t plain[PLAIN_MAX];
	size_t n = 0;
	int r = disco_write(plain, sizeof(plain), m, &n);

	if (r < 0)
		return r;
	if (cap < n + DISCO_OVERHEAD)
		return ERR_LIMIT;
	memcpy(dst, magic, DISCO_MAGIC);
	memcpy(dst + DISCO_MAGIC, self->b, KEY_LEN);
	box_seal(dst + DISCO_HEADER, key, rand, span(plain, n));
	*ret_n = n + DISCO_OVERHEAD;
	return 0;
}

size_t disco_padding_for(size_t datagram)
{
	size_t bare = DISCO_OVERHEAD + 2 + DISCO_TXID + KEY_LEN;

	return datagram > bare ? datagram - bare : 0;
}

const char *disco_type_text(enum disco_type type)
{
	static const char *const texts[] = {
		[DISCO_PING] = "ping",
		[DISCO_PONG] = "pong",
		[DISCO_CALL_ME_MAYBE] = "call-me-maybe",
		[DISCO_BIND] = "bind-udp-relay-endpoint",
		[DISCO_BIND_CHALLENGE] = "bind-udp-relay-endpoint-challenge",
		[DISCO_BIND_ANSWER] = "bind-udp-relay-endpoint-answer",
		[DISCO_CALL_ME_MAYBE_VIA] = "call-me-maybe-via",
		[DISCO_ALLOCATE] = "allocate-udp-relay-endpoint-request",
		[DISCO_ALLOCATED] = "allocate-udp-relay-endpoint-response",
	};

	return (size_t)type < ARRAY_LEN(texts) && texts[type] ? texts[type] : "unknown";
}
