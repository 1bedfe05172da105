#include "protocol/derp.h"

static const uint8_t magic[8] = { 'D', 'E', 'R', 'P', 0xf0, 0x9f, 0x94, 0x91 };

const char *derp_type_text(uint8_t type)
{
	switch (type) {
#define X(name, value, text) \
	case DERP_##name:    \
		return text;
		DERP_TYPE_LIST(X)
#undef X
	}
	return "unknown";
}

bool derp_looks_disco(struct span packet)
{
	static const uint8_t disco[6] = { 'T', 'S', 0xf0, 0x9f, 0x92, 0xac };

	/* magic, sender's key, nonce */
	return packet.n >= 6 + 32 + 24 && memcmp(packet.p, disco, sizeof(disco)) == 0;
}

void derp_reader_init(struct derp_reader *r, size_t max_body)
{
	*r = (struct derp_reader){ .max = max_body, .held.max = max_body + DERP_HEADER };
}

void derp_reader_done(struct derp_reader *r)
{
	buf_done(&r->held);
	r->given = 0;
}

/* Moves bytes from *in until want are held; false if there were not enough. */
static bool hold(struct derp_reader *r, struct span *in, size_t want)
{
	if (r->held.n < want) {
		struct span take = span_first(*in, want - r->held.n);

		buf_add_span(&r->held, take);
		*in = span_from(*in, take.n);
	}
	return r->held.n >= want;
}

int derp_reader_next(struct derp_reader *r, struct span *in, struct derp_frame *ret)
{
	if (r->given) {
		buf_done(&r->held); /* a quiet connection keeps no memory */
		r->given = 0;
	}
	if (r->held.n == 0) {
		int got = derp_cut(in, r->max, ret);

		if (got != 0 || in->n == 0)
			return got;
	}
	if (!hold(r, in, DERP_HEADER))
		return 0;

	size_t n = be32_at(r->held.p + 1);

	if (n > r->max)
		return ERR_LIMIT;
	if (!hold(r, in, DERP_HEADER + n))
		return 0;
	r->given = DERP_HEADER + n;
	*ret = (struct derp_frame){ r->held.p[0], { r->held.p + DERP_HEADER, n } };
	return 1;
}

/* A frame's header, and room for its body. */
static uint8_t *open_frame(struct buf *out, enum derp_type type, size_t body)
{
	uint8_t *at = buf_room(out, DERP_HEADER + body);

	if (!at)
		return NULL;
	derp_put_header(at, (uint8_t)type, body);
	out->n += DERP_HEADER + body;
	return at + DERP_HEADER;
}

void derp_put(struct buf *out, enum derp_type type, struct span body)
{
	uint8_t *at = open_frame(out, type, body.n);

	if (at && body.n)
		memcpy(at, body.p, body.n);
}

void derp_put_server_key(struct buf *out, const struct node_pub *server)
{
	uint8_t *at = open_frame(out, DERP_SERVER_KEY, sizeof(magic) + KEY_LEN);

	if (!at)
		return;
	memcpy(at, magic, sizeof(magic));
	memcpy(at + sizeof(magic), server->b, KEY_LEN);
}

static int put_keyed(struct buf *out, enum derp_type type, const struct node_pub *a,
                     const struct node_pub *b, struct span packet)
{
	size_t keys = b ? 2 * KEY_LEN : KEY_LEN;

	if (packet.n > DERP_PACKET_MAX)
		return ERR_LIMIT;

	uint8_t *at = open_frame(out, type, keys + packet.n);

	if (!at)
		return ERR_LIMIT;
	memcpy(at, a->b, KEY_LEN);
	if (b)
		memcpy(at + KEY_LEN, b->b, KEY_LEN);
	if (packet.n)
		memcpy(at + keys, packet.p, packet.n);
	return 0;
}

int derp_put_send(struct buf *out, const struct node_pub *dst, struct span packet)
{
	return put_keyed(out, DERP_SEND_PACKET, dst, NULL, packet);
}

int derp_put_forward(struct buf *out, const struct node_pub *src, const struct node_pub *dst,
                     struct span packet)
{
	return put_keyed(out, DERP_FORWARD_PACKET, src, dst, packet);
}

int derp_put_recv(struct buf *out, const struct node_pub *src, struct span packet)
{
	return put_keyed(out, DERP_RECV_PACKET, src, NULL, packet);
}

void derp_put_note_preferred(struct buf *out, bool home)
{
	derp_put(out, DERP_NOTE_PREFERRED, span((uint8_t[]){ home }, 1));
}

void derp_put_gone(struct buf *out, const struct node_pub *peer, enum derp_gone reason)
{
	uint8_t *at = open_frame(out, DERP_PEER_GONE, KEY_LEN + 1);

	if (!at)
		return;
	memcpy(at, peer->b, KEY_LEN);
	at[KEY_LEN] = (uint8_t)reason;
}

void derp_put_present(struct buf *out, const struct node_pub *peer, const struct addr *from,
                      uint8_t flags)
{
	uint8_t *at = open_frame(out, DERP_PEER_PRESENT, KEY_LEN + 16 + 2 + 1);

	if (!at)
		return;
	memcpy(at, peer->b, KEY_LEN);
	memcpy(at + KEY_LEN, from->ip.b, 16);
	put_be16(at + KEY_LEN + 16, from->port);
	at[KEY_LEN + 18] = flags;
}

void derp_put_close_peer(struct buf *out, const struct node_pub *peer)
{
	derp_put(out, DERP_CLOSE_PEER, SPAN_OF(peer->b));
}

void derp_put_restarting(struct buf *out, uint32_t reconnect_ms, uint32_t try_ms)
{
	uint8_t *at = open_frame(out, DERP_RESTARTING, 8);

	if (!at)
		return;
	put_be32(at, reconnect_ms);
	put_be32(at + 4, try_ms);
}

static int cut_packet(struct rd *r, struct span *ret)
{
	struct span packet = rd_rest(r);

	if (r->bad)
		return ERR_SHORT;
	if (packet.n > DERP_PACKET_MAX)
		return ERR_LIMIT;
	*ret = packet;
	return 0;
}

/* Keys are plain bytes: a view of the body is as good as a copy. */
static const struct node_pub *key_view(struct rd *r)
{
	return (const struct node_pub *)(const void *)rd_view(r, KEY_LEN);
}

int derp_send_parse(struct span body, struct derp_send *ret)
{
	struct rd r = rd_span(body);

	ret->dst = key_view(&r);
	return cut_packet(&r, &ret->packet);
}

int derp_forward_parse(struct span body, struct derp_forward *ret)
{
	struct rd r = rd_span(body);

	ret->src = key_view(&r);
	ret->dst = key_view(&r);
	return cut_packet(&r, &ret->packet);
}

int derp_present_parse(struct span body, struct derp_present *ret)
{
	struct rd r = rd_span(body);
	struct derp_present p = { 0 };

	rd_copy(&r, p.peer.b, KEY_LEN);
	if (r.bad)
		return ERR_SHORT;

	const uint8_t *ip = rd_view(&r, 16);
	uint16_t port = rd_be16(&r);

	if (!r.bad)
		p.from = (struct addr){ .ip = ip6_of(ip), .port = port };
	p.flags = rd_u8(&r);
	*ret = p;
	return 0;
}

int derp_gone_parse(struct span body, struct node_pub *ret_peer, uint8_t *ret_reason)
{
	struct rd r = rd_span(body);
	struct node_pub peer;

	rd_copy(&r, peer.b, KEY_LEN);
	if (r.bad)
		return ERR_SHORT;
	*ret_peer = peer;
	*ret_reason = rd_u8(&r);
	return 0;
}

int derp_server_key_parse(struct span body, struct node_pub *ret)
{
	struct rd r = rd_span(body);
	const uint8_t *m = rd_view(&r, sizeof(magic));
	struct node_pub pub;

	rd_copy(&r, pub.b, KEY_LEN);
	if (r.bad || memcmp(m, magic, sizeof(magic)) != 0 || node_pub_is_zero(&pub))
		return ERR_MALFORMED;
	*ret = pub;
	return 0;
}
