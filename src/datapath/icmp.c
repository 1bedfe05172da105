#include <netinet/in.h>
#include <string.h>

#include "datapath/priv.h"
#include "protocol/ippkt.h"

enum {
	PER_SECOND = 50,
	BURST = 50,
	QUOTE4 = 548,  /* RFC 1812 s.4.3.2.3: the whole message within 576 bytes */
	QUOTE6 = 1232, /* RFC 4443 s.2.4: within the smallest MTU, 1280 bytes */
	UNREACH4 = 3,
	UNREACH4_HOST = 1,
	UNREACH4_PORT = 3,
	UNREACH4_FRAG_NEEDED = 4, /* RFC 1191: the MTU in the lower half of the word */
	UNREACH6 = 1,
	UNREACH6_ADDR = 3,
	UNREACH6_PORT = 4,
	TOO_BIG6 = 2,
	ANSWER_MAX = QUOTE6 + 48,
};

static bool may_send(struct datapath *d)
{
	int64_t since = mono_since(d->icmp_refilled, d->now);
	int64_t more = since / (US_PER_S / PER_SECOND);

	if (more > 0) {
		d->icmp_tokens = d->icmp_tokens + more > BURST ? BURST
		                                               : d->icmp_tokens + (unsigned)more;
		d->icmp_refilled = d->now;
	}
	if (d->icmp_tokens == 0)
		return false;
	d->icmp_tokens--;
	return true;
}

/* RFC 1122 s.3.2.2, RFC 4443 s.2.4 (e): what never gets an error message. */
static bool deserves_answer(const struct ippkt *k)
{
	return k->version && k->proto != IPPKT_FRAGMENT && k->proto != IPPKT_UNKNOWN &&
	       !ippkt_is_icmp_error(k) && !ip_is_zero(&k->src) && !ip_is_multicast(&k->src) &&
	       !ip_is_multicast(&k->dst);
}

/* What the message says: its type and code in each version, and the word after them. */
struct message {
	uint8_t type4, code4, type6, code6;
	uint32_t word;
};

static size_t answer4(uint8_t *ret, const struct message *m, const struct ippkt *k,
                      struct span packet)
{
	size_t quote = packet.n < QUOTE4 - 28 ? packet.n : QUOTE4 - 28, n = 28 + quote;

	memset(ret, 0, 28);
	ret[0] = 0x45;
	put_be16(ret + 2, (uint16_t)n);
	ret[8] = 64;
	ret[9] = IPPROTO_ICMP;
	memcpy(ret + 12, ip_v4(&k->dst), 4);
	memcpy(ret + 16, ip_v4(&k->src), 4);
	put_be16(ret + 10, ip_checksum(span(ret, 20), 0));
	ret[20] = m->type4;
	ret[21] = m->code4;
	put_be32(ret + 24, m->word);
	memcpy(ret + 28, packet.p, quote);
	put_be16(ret + 22, ip_checksum(span(ret + 20, n - 20), 0));
	return n;
}

static size_t answer6(uint8_t *ret, const struct message *m, const struct ippkt *k,
                      struct span packet)
{
	size_t quote = packet.n < QUOTE6 - 48 ? packet.n : QUOTE6 - 48, n = 48 + quote;

	memset(ret, 0, 48);
	ret[0] = 0x60;
	put_be16(ret + 4, (uint16_t)(n - 40));
	ret[6] = IPPROTO_ICMPV6;
	ret[7] = 64;
	memcpy(ret + 8, k->dst.b, 16);
	memcpy(ret + 24, k->src.b, 16);
	ret[40] = m->type6;
	ret[41] = m->code6;
	put_be32(ret + 44, m->word);
	memcpy(ret + 48, packet.p, quote);
	put_be16(ret + 42,
	         ip_checksum(span(ret + 40, n - 40),
	                     ip_pseudo_sum(&k->dst, &k->src, IPPROTO_ICMPV6, (uint32_t)(n - 40))));
	return n;
}

/* Its length; 0: this packet gets none, or there were too many. */
static size_t answer(struct datapath *d, const struct message *m, struct span packet,
                     uint8_t ret[static ANSWER_MAX])
{
	struct ippkt k;

	ippkt_parse(packet, &k);
	if (!deserves_answer(&k) || !may_send(d))
		return 0;
	/* It comes from the address that cannot be reached; that one is routed to us anyway. */
	return k.version == 6 ? answer6(ret, m, &k, packet) : answer4(ret, m, &k, packet);
}

static void answer_host(struct datapath *d, const struct message *m, struct span packet)
{
	uint8_t bytes[ANSWER_MAX];
	size_t n = answer(d, m, packet, bytes);

	if (n)
		datapath_inject(d, span(bytes, n));
}

void icmp_unreachable(struct datapath *d, struct span packet)
{
	static const struct message m = { UNREACH4, UNREACH4_HOST, UNREACH6, UNREACH6_ADDR, 0 };

	answer_host(d, &m, packet);
}

void icmp_too_big(struct datapath *d, struct span packet, uint16_t mtu)
{
	const struct message m = { UNREACH4, UNREACH4_FRAG_NEEDED, TOO_BIG6, 0, mtu };

	answer_host(d, &m, packet);
}

void icmp_refuse(struct datapath *d, struct wg_peer *peer, struct span packet)
{
	static const struct message m = { UNREACH4, UNREACH4_PORT, UNREACH6, UNREACH6_PORT, 0 };
	uint8_t bytes[ANSWER_MAX];
	size_t n = answer(d, &m, packet, bytes);

	if (n)
		tx_packet(d, peer, span(bytes, n));
}
