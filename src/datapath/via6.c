#include "datapath/via6.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/map.h"
#include "base/mem.h"
#include "datapath/checksum.h"
#include "datapath/via6_flows.h"
#include "protocol/ippkt.h"

enum {
	HEAD4 = 20,
	HEAD6 = 40,
	FRAGMENT6 = 44, /* the header's number; it has 8 bytes */
	FRAGMENT_LEN = 8,
	ICMP = 8, /* its header, for all that is carried */
	MTU4_MIN = 68,
	MTU6_MIN = 1280,
	DONT_FRAGMENT = 0x4000,
	MORE_FRAGMENTS = 0x2000,
	OFFSET4 = 0x1fff,
	ECHO4 = 8,
	ECHO6 = 128,
	ECHO_REPLY6 = 129,
	FRAGMENTS_KEPT = 64,
};

/* A packet from a site whose first fragment has gone by. */
struct fragmented {
	uint8_t from[4];
	uint16_t id, port;
};

struct via6 {
	struct via6_flows *flows;
	uint64_t key[2];
	uint16_t next_id;
	unsigned next_fragmented;
	struct fragmented fragmented[FRAGMENTS_KEPT];
};

struct via6 *via6_new(const uint64_t key[static 2])
{
	struct via6 *v = mem_new(struct via6);

	v->flows = via6_flows_new(key);
	memcpy(v->key, key, sizeof(v->key));
	return v;
}

void via6_free(struct via6 *v)
{
	if (!v)
		return;
	via6_flows_free(v->flows);
	free(v);
}

static bool is_host(const uint8_t *v4)
{
	return memcmp(v4, ip_v4(&VIA6_HOST), 4) == 0;
}

bool via6_is_out(const uint8_t *p)
{
	return p[0] >> 4 == 6 && memcmp(p + 24, VIA6_SITES.ip.b, 8) == 0;
}

bool via6_is_back(const uint8_t *p)
{
	return p[0] >> 4 == 4 && is_host(p + 16);
}

/* ---- headers ---------------------------------------------------------------- */

/* What both families' headers say. */
struct head {
	uint8_t tos, ttl, proto; /* IPPKT_*, as IPv6 has it: ICMP is IPPKT_ICMP6 */
	size_t body;             /* bytes behind the IP headers */
	bool fragment;
	uint16_t offset; /* in units of 8 bytes */
	bool more;
	uint32_t id;
};

static void write4(uint8_t *p, const struct head *h, const uint8_t *src, const uint8_t *dst)
{
	uint8_t addrs[8];

	memcpy(addrs, src, 4);
	memcpy(addrs + 4, dst, 4);
	memset(p, 0, HEAD4);
	p[0] = 0x45;
	p[1] = h->tos;
	put_be16(p + 2, (uint16_t)(HEAD4 + h->body));
	put_be16(p + 4, (uint16_t)h->id);
	put_be16(p + 6, (uint16_t)(h->offset | (h->more ? MORE_FRAGMENTS : 0)));
	p[8] = h->ttl;
	p[9] = h->proto == IPPKT_ICMP6 ? IPPKT_ICMP : h->proto;
	memcpy(p + 12, addrs, sizeof(addrs));
	checksum_put(p + 10, checksum_add(0, p, HEAD4));
}

/* Its length. */
static size_t write6(uint8_t *p, const struct head *h, const struct ip *src, const struct ip *dst)
{
	size_t n = HEAD6 + (h->fragment ? FRAGMENT_LEN : 0);

	memset(p, 0, n);
	p[0] = (uint8_t)(0x60 | h->tos >> 4);
	p[1] = (uint8_t)(h->tos << 4);
	put_be16(p + 4, (uint16_t)(n - HEAD6 + h->body));
	p[6] = h->fragment ? FRAGMENT6 : h->proto;
	p[7] = h->ttl;
	memcpy(p + 8, src->b, 16);
	memcpy(p + 24, dst->b, 16);
	if (h->fragment) {
		p[HEAD6] = h->proto;
		put_be16(p + HEAD6 + 2, (uint16_t)(h->offset << 3 | h->more));
		put_be32(p + HEAD6 + 4, h->id);
	}
	return n;
}

/* ---- transport ---------------------------------------------------------------- */

static uint16_t word(const uint8_t *p)
{
	uint16_t w;

	memcpy(&w, p, sizeof(w));
	return w;
}

/* RFC 1624: a checksum where other words are covered now. */
static void exchange(uint8_t *sum, uint64_t gone, uint64_t come)
{
	checksum_put(sum, (uint16_t)~word(sum) + (uint64_t)(uint16_t)~checksum_fold(gone) + come);
}

static size_t sum_place(uint8_t proto)
{
	return proto == IPPKT_TCP ? 16 : proto == IPPKT_UDP ? 6 : 2;
}

/* Where a packet names the client's port: an echo has one for both ends. */
static size_t port_place(uint8_t proto, bool from_client)
{
	return proto == IPPKT_ICMP6 ? 4 : from_client ? 0 : 2;
}

static uint8_t other_echo(uint8_t type)
{
	static const uint8_t pairs[][2] = { { ECHO4, ECHO6 }, { 0, ECHO_REPLY6 } };

	for (size_t i = 0; i < ARRAY_LEN(pairs); i++)
		for (int k = 0; k < 2; k++)
			if (pairs[i][k] == type)
				return pairs[i][!k];
	return type;
}

/* A transport header of `n` bytes or more, before a body of `len` bytes in all. */
struct transport {
	uint8_t *p;
	size_t n, len;
	bool from_client; /* not from the site */
};

/* The header as the other family has it, with this port for the client's. */
static void turn(const struct transport *t, const struct via6_flow *f, uint16_t port, bool to4)
{
	uint8_t proto = f->key.proto, *at = t->p + port_place(proto, t->from_client);
	uint64_t four = checksum_add(checksum_add(0, ip_v4(&VIA6_HOST), 4), via6_v4(&f->key.site),
	                             4);
	uint64_t six = checksum_add(checksum_add(0, f->key.client.b, 16), f->key.site.b, 16);
	uint64_t gone = word(at), come;

	put_be16(at, port);
	come = word(at);
	if (proto == IPPKT_ICMP6) {
		/* Which covers no addresses in IPv4. */
		four = 0;
		six = checksum_u16(checksum_u16(six, (uint16_t)t->len), IPPKT_ICMP6);
		gone += word(t->p);
		t->p[0] = other_echo(t->p[0]);
		come += word(t->p);
	}

	uint8_t *sum = t->p + sum_place(proto);

	if (t->n < sum_place(proto) + 2 || (proto == IPPKT_UDP && word(sum) == 0))
		return;
	exchange(sum, gone + (to4 ? six : four), come + (to4 ? four : six));
	if (proto == IPPKT_UDP && word(sum) == 0)
		put_be16(sum, UINT16_MAX);
}

/* ---- errors ------------------------------------------------------------------- */

enum { ANY = 0xff };

/* RFC 7915 s.4.2, s.5.2; what is not here means nothing to the other side. */
struct error {
	uint8_t from_type, from_code, type, code;
};

/* clang-format off */
static const struct error errors_to4[] = {
	{ 1, 1, 3, 10 },	/* not allowed */
	{ 1, 4, 3, 3 },		/* port */
	{ 1, ANY, 3, 1 },	/* host */
	{ 2, ANY, 3, 4 },	/* too big */
	{ 3, ANY, 11, ANY },	/* time */
	{ 4, 1, 3, 2 },		/* protocol */
};
static const struct error errors_to6[] = {
	{ 3, 2, 4, 1 },
	{ 3, 3, 1, 4 },
	{ 3, 4, 2, 0 },
	{ 3, 9, 1, 1 },
	{ 3, 10, 1, 1 },
	{ 3, 13, 1, 1 },
	{ 3, ANY, 1, 0 },
	{ 11, ANY, 3, ANY },
};
/* clang-format on */

/* Type and code, and the word after the checksum; false: it is not told. */
static bool turn_error(uint8_t *icmp, const struct error *table, size_t n)
{
	enum { TOO_BIG6 = 2, PROBLEM6 = 4, NEXT_HEADER = 6 };
	bool to6 = table == errors_to6;
	uint32_t mtu = to6 ? be16_at(icmp + 6) + (uint32_t)VIA6_GROWTH
	                   : be32_at(icmp + 4) - VIA6_GROWTH;
	uint32_t least = to6 ? MTU6_MIN : MTU4_MIN, most = UINT16_MAX;
	size_t i = 0;

	while (i < n && !(table[i].from_type == icmp[0] &&
	                  (table[i].from_code == ANY || table[i].from_code == icmp[1])))
		i++;
	if (i == n)
		return false;

	bool too_big = (to6 ? table[i].type : table[i].from_type) == TOO_BIG6;

	icmp[0] = table[i].type;
	if (table[i].code != ANY)
		icmp[1] = table[i].code;
	put_be32(icmp + 4, too_big                      ? (mtu < least  ? least
	                                                   : mtu > most ? most
	                                                                : mtu)
	                   : to6 && icmp[0] == PROBLEM6 ? NEXT_HEADER
	                                                : 0);
	return true;
}

/* The flow of an answer that a client complains about. */
static struct via6_flow *complained(struct via6 *v, const uint8_t *q, size_t n)
{
	struct via6_key key = { .proto = q[6] };
	const uint8_t *t = q + HEAD6;

	if (n < HEAD6 + ICMP || q[0] >> 4 != 6)
		return NULL;
	key.site = ip6_of(q + 8);
	key.client = ip6_of(q + 24);
	if (key.proto == IPPKT_TCP || key.proto == IPPKT_UDP)
		key.port = be16_at(t);
	else if (key.proto != IPPKT_ICMP6 || t[0] != ECHO_REPLY6)
		return NULL;
	key.client_port = be16_at(t + port_place(key.proto, false));
	return via6_flow_find(v->flows, &key);
}

static int error_to_host(struct via6 *v, const struct ippkt *k, uint8_t **p, size_t *n)
{
	uint8_t *icmp = *p + k->transport, *q = icmp + ICMP;
	size_t room = k->len - k->transport, quoted = room - ICMP;
	struct head outer = { .tos = (uint8_t)(**p << 4 | (*p)[1] >> 4),
		              .ttl = (*p)[7],
		              .proto = IPPKT_ICMP6,
		              .id = v->next_id++ };
	struct via6_flow *f = quoted < HEAD6 + ICMP ? NULL : complained(v, q, quoted);

	if (!f || !turn_error(icmp, errors_to4, ARRAY_LEN(errors_to4)))
		return ERR_UNKNOWN;

	struct head inner = { .ttl = q[7], .proto = q[6], .body = be16_at(q + 4) };
	struct transport t = { .p = q + HEAD4, .n = quoted - HEAD6, .len = inner.body };

	memmove(t.p, q + HEAD6, t.n);
	turn(&t, f, via6_flow_port(v->flows, f), true);
	write4(q, &inner, via6_v4(&f->key.site), ip_v4(&VIA6_HOST));
	outer.body = ICMP + HEAD4 + t.n;
	put_be16(icmp + 2, 0);
	checksum_put(icmp + 2, checksum_add(0, icmp, outer.body));
	*p = icmp - HEAD4;
	*n = HEAD4 + outer.body;
	write4(*p, &outer, ip_v4(&VIA6_HOST), via6_v4(&k->dst));
	return 0;
}

/* ---- to the host ---------------------------------------------------------------- */

static bool is_cgnat(const uint8_t *a)
{
	return a[0] == 100 && (a[1] & 0xc0) == 64;
}

/* Where a router sends nobody: what it serves to itself alone, and back into the tunnel. */
static bool may_reach(const struct ip *to)
{
	const uint8_t *a = via6_v4(to);
	struct ip ip = ip4_of(a);

	return a[0] != 0 && a[0] < 240 && !ip_is_loopback(&ip) && !ip_is_link_local(&ip) &&
	       !ip_is_multicast(&ip) && !is_cgnat(a) && !is_host(a);
}

/* What a packet of IPv6 is; false: of no kind that is carried. */
static bool read6(const uint8_t *p, const struct ippkt *k, struct head *h, size_t *ret_at)
{
	bool fragment = p[6] == FRAGMENT6 && k->len >= HEAD6 + FRAGMENT_LEN;
	size_t at = k->proto == IPPKT_FRAGMENT ? HEAD6 + FRAGMENT_LEN : k->transport;

	/* A fragment's header behind others is nobody's habit. */
	if (!fragment && (k->fragmented || k->proto == IPPKT_FRAGMENT))
		return false;
	*h = (struct head){ .tos = (uint8_t)(p[0] << 4 | p[1] >> 4),
		            .ttl = p[7],
		            .proto = k->proto };
	if (fragment) {
		h->fragment = true;
		h->proto = k->proto == IPPKT_FRAGMENT ? p[HEAD6] : k->proto;
		h->offset = be16_at(p + HEAD6 + 2) >> 3;
		h->more = p[HEAD6 + 3] & 1;
		h->id = be32_at(p + HEAD6 + 4);
	}
	h->body = k->len - at;
	*ret_at = at;
	return true;
}

/* The flow a client's packet belongs to, which it may begin; NULL: none. */
static struct via6_flow *flow_out(struct via6 *v, const uint8_t *t, const struct ippkt *k)
{
	struct via6_key key = { .client = k->src, .site = k->dst, .proto = k->proto };

	if (k->proto == IPPKT_TCP || k->proto == IPPKT_UDP)
		key.port = k->dst_port;
	else if (!ippkt_is_echo_request(k) || k->fragmented)
		return NULL;
	key.client_port = be16_at(t + port_place(k->proto, true));
	return via6_flow_get(v->flows, &key);
}

/* Sixteen bits where there were more; packets of one client to one site keep apart. */
static uint16_t short_id(const struct via6 *v, const struct ippkt *k, uint32_t id)
{
	uint8_t tuple[36];

	memcpy(tuple, k->src.b, 16);
	memcpy(tuple + 16, k->dst.b, 16);
	put_be32(tuple + 32, id);
	return (uint16_t)siphash(v->key, tuple, sizeof(tuple));
}

int via6_to_host(struct via6 *v, mono now, uint8_t **p, size_t *n)
{
	struct ippkt k;
	struct head h;
	size_t at;

	ippkt_parse(span(*p, *n), &k);
	if (k.proto == IPPKT_UNKNOWN)
		return ERR_UNKNOWN;
	if (!may_reach(&k.dst))
		return ERR_DENIED;
	if (ippkt_is_icmp_error(&k) && !k.fragmented)
		return error_to_host(v, &k, p, n);
	if (!read6(*p, &k, &h, &at))
		return ERR_UNKNOWN;
	if (k.proto != IPPKT_FRAGMENT) {
		struct via6_flow *f = flow_out(v, *p + at, &k);
		struct transport t = { *p + at, h.body, h.body, true };

		if (!f)
			return ERR_UNKNOWN;
		via6_flow_touch(f, now, k.tcp_flags);
		turn(&t, f, via6_flow_port(v->flows, f), true);
	}
	h.id = h.fragment ? short_id(v, &k, h.id) : v->next_id++;
	*p += at - HEAD4;
	*n = HEAD4 + h.body;
	write4(*p, &h, ip_v4(&VIA6_HOST), via6_v4(&k.dst));
	return 0;
}

/* ---- to the client -------------------------------------------------------------- */

/* The flow with this port, if it goes to where this comes from. */
static struct via6_flow *flow_at(struct via6 *v, uint16_t port, uint8_t proto, const uint8_t *site,
                                 uint16_t site_port)
{
	struct via6_flow *f = via6_flow_at(v->flows, port);

	return f && f->key.proto == proto && f->key.port == site_port &&
	                       memcmp(via6_v4(&f->key.site), site, 4) == 0
	               ? f
	               : NULL;
}

static struct via6_flow *flow_back(struct via6 *v, const uint8_t *t, const struct ippkt *k)
{
	const uint8_t *site = ip_v4(&k->src);

	if (k->proto == IPPKT_TCP || k->proto == IPPKT_UDP)
		return flow_at(v, k->dst_port, k->proto, site, k->src_port);
	if (ippkt_is_echo_reply(k) && !k->fragmented)
		return flow_at(v, be16_at(t + 4), IPPKT_ICMP6, site, 0);
	return NULL;
}

static void note_fragmented(struct via6 *v, const uint8_t *from, uint16_t id, uint16_t port)
{
	struct fragmented *x = &v->fragmented[v->next_fragmented++ % FRAGMENTS_KEPT];

	memcpy(x->from, from, 4);
	x->id = id;
	x->port = port;
}

static struct via6_flow *flow_of_fragment(struct via6 *v, const uint8_t *from, uint16_t id)
{
	for (unsigned i = 1; i <= FRAGMENTS_KEPT; i++) {
		const struct fragmented
			*x = &v->fragmented[(v->next_fragmented - i) % FRAGMENTS_KEPT];

		if (x->port && x->id == id && memcmp(x->from, from, 4) == 0)
			return via6_flow_at(v->flows, x->port);
	}
	return NULL;
}

/* IPv6 knows no UDP without a checksum. */
static bool complete_udp(uint8_t *udp, const struct head *h, const struct ippkt *k)
{
	if (h->proto != IPPKT_UDP || k->proto == IPPKT_FRAGMENT || word(udp + 6) != 0)
		return true;
	if (h->fragment)
		return false;

	uint16_t sum = ip_checksum(span(udp, h->body),
	                           ip_pseudo_sum(&k->src, &k->dst, IPPKT_UDP, (uint32_t)h->body));

	put_be16(udp + 6, sum ? sum : UINT16_MAX);
	return true;
}

/* The flow of a client's packet that is complained about; *ret_at: behind its IP header. */
static struct via6_flow *quoted_flow(struct via6 *v, const uint8_t *q, size_t n, size_t *ret_at)
{
	size_t head = n ? (size_t)(q[0] & 15) * 4 : 0;
	const uint8_t *t = q + head;

	if (head < HEAD4 || n < head + ICMP || q[0] >> 4 != 4 || be16_at(q + 6) & OFFSET4 ||
	    !is_host(q + 12))
		return NULL;
	*ret_at = head;
	if (q[9] == IPPKT_TCP || q[9] == IPPKT_UDP)
		return flow_at(v, be16_at(t), q[9], q + 16, be16_at(t + 2));
	if (q[9] == IPPKT_ICMP && t[0] == ECHO4)
		return flow_at(v, be16_at(t + 4), IPPKT_ICMP6, q + 16, 0);
	return NULL;
}

/* Routers on the way have addresses of the site, too. */
static struct ip in_site(const struct ip *site, const uint8_t *v4)
{
	struct ip ip = *site;

	memcpy(ip.b + 12, v4, 4);
	return ip;
}

static int error_to_client(struct via6 *v, const struct ippkt *k, uint8_t *at, size_t *n)
{
	uint8_t *p = at + VIA6_GROWTH, *icmp = p + k->transport, *q = icmp + ICMP;
	size_t quoted = k->len - k->transport - ICMP, skip = 0;
	struct via6_flow *f = quoted_flow(v, q, quoted, &skip);
	struct head outer = { .tos = p[1], .ttl = p[8], .proto = IPPKT_ICMP6 };

	if (!f || !turn_error(icmp, errors_to6, ARRAY_LEN(errors_to6)))
		return ERR_UNKNOWN;

	struct ip from = in_site(&f->key.site, ip_v4(&k->src));
	struct head inner = { .tos = q[1], .ttl = q[8], .proto = f->key.proto };
	struct transport t = { .p = at + HEAD6 + ICMP + HEAD6,
		               .n = quoted - skip,
		               .len = be16_at(q + 2) > skip ? be16_at(q + 2) - skip : 0,
		               .from_client = true };

	if (t.n > MTU6_MIN - HEAD6 - ICMP - HEAD6)
		t.n = MTU6_MIN - HEAD6 - ICMP - HEAD6;
	inner.body = t.len;
	memmove(at + HEAD6, icmp, ICMP);
	memmove(t.p, q + skip, t.n);
	turn(&t, f, f->key.client_port, false);
	(void)write6(at + HEAD6 + ICMP, &inner, &f->key.client, &f->key.site);
	outer.body = ICMP + HEAD6 + t.n;
	put_be16(at + HEAD6 + 2, 0);
	put_be16(at + HEAD6 + 2, ip_checksum(span(at + HEAD6, outer.body),
	                                     ip_pseudo_sum(&from, &f->key.client, IPPKT_ICMP6,
	                                                   (uint32_t)outer.body)));
	*n = write6(at, &outer, &from, &f->key.client) + outer.body;
	return 0;
}

int via6_to_client(struct via6 *v, mono now, uint8_t *at, size_t *n)
{
	uint8_t *p = at + VIA6_GROWTH;
	struct ippkt k;
	struct via6_flow *f;

	ippkt_parse(span(p, *n), &k);
	if (k.proto == IPPKT_UNKNOWN)
		return ERR_UNKNOWN;
	if (ippkt_is_icmp_error(&k) && !k.fragmented)
		return error_to_client(v, &k, at, n);

	uint16_t flags = be16_at(p + 6), id = be16_at(p + 4);
	struct head h = { .tos = p[1],
		          .ttl = p[8],
		          .body = k.len - k.transport,
		          .fragment = k.fragmented || k.proto == IPPKT_FRAGMENT,
		          .offset = flags & OFFSET4,
		          .more = k.fragmented,
		          .id = id };
	bool later = k.proto == IPPKT_FRAGMENT;

	f = later ? flow_of_fragment(v, ip_v4(&k.src), id) : flow_back(v, p + k.transport, &k);
	if (!f)
		return ERR_UNKNOWN;
	h.proto = f->key.proto;
	if (!complete_udp(p + k.transport, &h, &k))
		return ERR_UNKNOWN;
	if (h.fragment && !later)
		note_fragmented(v, ip_v4(&k.src), id, via6_flow_port(v->flows, f));

	struct transport t = { .p = at + HEAD6 + (h.fragment ? FRAGMENT_LEN : 0),
		               .n = h.body,
		               .len = h.body };

	memmove(t.p, p + k.transport, h.body);
	if (!later)
		turn(&t, f, f->key.client_port, false);
	via6_flow_touch(f, now, k.tcp_flags);
	*n = write6(at, &h, &f->key.site, &f->key.client) + h.body;
	return 0;
}
