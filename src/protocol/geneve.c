#include "protocol/geneve.h"

#include "base/wire.h"

enum { CONTROL = 0x80 };

int geneve_read(struct span datagram, struct geneve *ret)
{
	struct rd r = rd_span(datagram);
	uint8_t version = rd_u8(&r);
	uint8_t flags = rd_u8(&r);
	uint16_t protocol = rd_be16(&r);
	uint32_t vni = rd_be32(&r) >> 8;

	if (r.bad)
		return ERR_SHORT;
	if (version != 0 || (protocol != GENEVE_DISCO && protocol != GENEVE_WIREGUARD))
		return ERR_VERSION;
	*ret = (struct geneve){ .control = flags & CONTROL, .protocol = protocol, .vni = vni };
	return 0;
}

void geneve_write(uint8_t dst[static GENEVE_HEADER], const struct geneve *g)
{
	dst[0] = 0;
	dst[1] = g->control ? CONTROL : 0;
	put_be16(dst + 2, g->protocol);
	put_be32(dst + 4, g->vni << 8);
}
