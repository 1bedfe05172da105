#include "protocol/icmp.h"

#include <string.h>

#include "base/wire.h"

enum {
	ICMP_HEADER = 8,
	ECHO4 = 8,
	ECHO6 = 128,
	UNREACHABLE = 3,
	FRAGMENTATION_NEEDED = 4,
	NARROW_QUOTED = 1280, /* as long as that packet says it was */
};

size_t icmp_echo_write(uint8_t dst[static ICMP_ECHO_MAX], const struct ip *src, const struct ip *to,
                       const uint8_t data[static ICMP_ECHO_DATA])
{
	enum { BODY = ICMP_HEADER + ICMP_ECHO_DATA };
	bool four = ip_is4(src);
	uint8_t proto = four ? IPPKT_ICMP : IPPKT_ICMP6;
	uint8_t *icmp = dst + ip_header_size(src);
	uint32_t start = four ? 0 : ip_pseudo_sum(src, to, proto, BODY);

	ip_header_write(dst, src, to, proto, BODY);
	memset(icmp, 0, ICMP_HEADER);
	icmp[0] = four ? ECHO4 : ECHO6;
	memcpy(icmp + 4, data, 2); /* identifier: any */
	memcpy(icmp + ICMP_HEADER, data, ICMP_ECHO_DATA);
	put_be16(icmp + 2, ip_checksum(span(icmp, BODY), start));
	return ip_header_size(src) + BODY;
}

const uint8_t *icmp_echo_reply(const struct ippkt *ip, struct span packet)
{
	size_t at = (size_t)ip->transport + ICMP_HEADER;

	if (!ippkt_is_echo_reply(ip) || ip->len > packet.n || ip->len != at + ICMP_ECHO_DATA)
		return NULL;
	return packet.p + at;
}

void icmp_narrow_write(uint8_t dst[static ICMP_NARROW_LEN], const struct ip *src,
                       const struct ip *to, uint16_t mtu)
{
	enum { HEAD = 20, BODY = ICMP_NARROW_LEN - HEAD };
	uint8_t *icmp = dst + HEAD, *quoted = icmp + ICMP_HEADER;

	ip_header_write(dst, src, to, IPPKT_ICMP, BODY);
	memset(icmp, 0, BODY);
	icmp[0] = UNREACHABLE;
	icmp[1] = FRAGMENTATION_NEEDED;
	put_be16(icmp + 6, mtu);
	/* The echo reply's header is all zero but for a sum that nobody looks at. */
	ip_header_write(quoted, to, src, IPPKT_ICMP, NARROW_QUOTED - HEAD);
	put_be16(icmp + 2, ip_checksum(span(icmp, BODY), 0));
}
