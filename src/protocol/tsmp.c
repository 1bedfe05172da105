#include "protocol/tsmp.h"

#include "base/wire.h"
#include "protocol/ippkt.h"

enum { TTL = 64, FLAG_MAYBE_BROKEN = 1 };

static void read_rejected(struct rd *r, struct tsmp *m)
{
	m->protocol = rd_u8(r);
	m->reason = rd_u8(r);
	m->src_port = rd_be16(r);
	m->dst_port = rd_be16(r);
	m->maybe_broken = rd_left(r) && (rd_u8(r) & FLAG_MAYBE_BROKEN);
}

int tsmp_read(const struct ip *src, const struct ip *dst, struct span body, struct tsmp *ret)
{
	struct rd r = rd_span(body);
	struct tsmp m = { .type = (enum tsmp_type)rd_u8(&r), .src = *src, .dst = *dst };

	if (r.bad)
		return ERR_SHORT;
	switch (m.type) {
	case TSMP_REJECTED:
		read_rejected(&r, &m);
		break;
	case TSMP_PING:
		rd_copy(&r, m.data, TSMP_PING_DATA);
		break;
	case TSMP_PONG:
		rd_copy(&r, m.data, TSMP_PING_DATA);
		if (rd_left(&r) >= 2)
			m.peerapi_port = rd_be16(&r);
		break;
	case TSMP_DISCO_KEY:
		rd_copy(&r, m.disco.b, KEY_LEN);
		break;
	default:
		return ERR_VERSION;
	}
	if (r.bad)
		return ERR_SHORT;
	*ret = m;
	return 0;
}

static void write_body(struct wr *w, const struct tsmp *m)
{
	wr_u8(w, (uint8_t)m->type);
	switch (m->type) {
	case TSMP_REJECTED:
		wr_u8(w, m->protocol);
		wr_u8(w, m->reason);
		wr_be16(w, m->src_port);
		wr_be16(w, m->dst_port);
		wr_u8(w, m->maybe_broken ? FLAG_MAYBE_BROKEN : 0);
		break;
	case TSMP_PING:
		wr_bytes(w, m->data, TSMP_PING_DATA);
		break;
	case TSMP_PONG:
		wr_bytes(w, m->data, TSMP_PING_DATA);
		wr_be16(w, m->peerapi_port);
		break;
	case TSMP_DISCO_KEY:
		wr_bytes(w, m->disco.b, KEY_LEN);
		break;
	}
}

size_t tsmp_write(uint8_t dst[static TSMP_PACKET_MAX], const struct tsmp *m)
{
	bool four = ip_is4(&m->src);
	size_t header = four ? 20 : 40;
	struct wr w = wr_of(dst + header, TSMP_PACKET_MAX - header);

	write_body(&w, m);

	size_t body = wr_len(&w);

	memset(dst, 0, header);
	if (four) {
		dst[0] = 0x45;
		put_be16(dst + 2, (uint16_t)(header + body));
		dst[8] = TTL;
		dst[9] = TSMP_PROTOCOL;
		memcpy(dst + 12, ip_v4(&m->src), 4);
		memcpy(dst + 16, ip_v4(&m->dst), 4);
		put_be16(dst + 10, ip_checksum(span(dst, header), 0));
	} else {
		dst[0] = 0x60;
		put_be16(dst + 4, (uint16_t)body);
		dst[6] = TSMP_PROTOCOL;
		dst[7] = TTL;
		memcpy(dst + 8, m->src.b, 16);
		memcpy(dst + 24, m->dst.b, 16);
	}
	return header + body;
}
