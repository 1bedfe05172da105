#include "protocol/tsmp.h"

#include "base/wire.h"
#include "protocol/ippkt.h"

enum { FLAG_MAYBE_BROKEN = 1 };

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
	size_t header = ip_header_size(&m->src);
	struct wr w = wr_of(dst + header, TSMP_PACKET_MAX - header);

	write_body(&w, m);
	ip_header_write(dst, &m->src, &m->dst, TSMP_PROTOCOL, wr_len(&w));
	return header + wr_len(&w);
}
