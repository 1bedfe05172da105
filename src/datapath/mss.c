#include "datapath/mss.h"

#include "base/wire.h"
#include "datapath/checksum.h"

enum {
	IP4 = 20,
	IP6 = 40,
	TCP = 20,
	PROTO_TCP = 6,
	SYN = 2,
	OPT_END = 0,
	OPT_NOP = 1,
	OPT_MSS = 2,
	OPT_MSS_LEN = 4,
};

/* Where TCP begins; 0: it does not. Extension headers of IPv6 are not looked behind. */
static size_t find_tcp(const uint8_t *p, size_t n)
{
	size_t at;

	if (n >= IP6 + TCP && p[0] >> 4 == 6)
		return p[6] == PROTO_TCP ? IP6 : 0;
	if (n < IP4 + TCP || p[0] >> 4 != 4 || p[9] != PROTO_TCP)
		return 0;
	at = (size_t)(p[0] & 15) * 4;
	/* A later fragment has no header. */
	return at >= IP4 && at + TCP <= n && !(be16_at(p + 6) & 0x1fff) ? at : 0;
}

bool mss_is_syn(const uint8_t *p, size_t n)
{
	size_t at = find_tcp(p, n);

	return at && p[at + 13] & SYN;
}

/* RFC 1624: the sum loses the old bytes and gains the new ones. */
static void put(uint8_t *tcp, uint8_t *value, uint16_t mss)
{
	/* The value may sit at an odd place: both words it touches change. */
	size_t from = (size_t)(value - tcp) & ~(size_t)1,
	       to = ((size_t)(value - tcp) + 3) & ~(size_t)1;
	uint64_t sum = (uint16_t)~be16_at(tcp + 16);

	for (size_t i = from; i < to; i += 2)
		sum += (uint16_t)~be16_at(tcp + i);
	put_be16(value, mss);
	for (size_t i = from; i < to; i += 2)
		sum += be16_at(tcp + i);
	put_be16(tcp + 16, (uint16_t)~checksum_fold(sum));
}

void mss_clamp(uint8_t *p, size_t n, size_t mtu)
{
	size_t at = find_tcp(p, n), head = (p[0] >> 4 == 6 ? IP6 : IP4) + TCP;

	if (!at || !(p[at + 13] & SYN) || mtu <= head)
		return;

	uint8_t *tcp = p + at;
	size_t end = (size_t)(tcp[12] >> 4) * 4;

	if (end > n - at)
		return;
	for (size_t i = TCP; i < end && tcp[i] != OPT_END;) {
		if (tcp[i] == OPT_NOP) {
			i++;
			continue;
		}
		if (i + 1 >= end || tcp[i + 1] < 2 || i + tcp[i + 1] > end)
			return;
		if (tcp[i] == OPT_MSS && tcp[i + 1] == OPT_MSS_LEN &&
		    be16_at(tcp + i + 2) > mtu - head)
			put(tcp, tcp + i + 2, (uint16_t)(mtu - head));
		i += tcp[i + 1];
	}
}
