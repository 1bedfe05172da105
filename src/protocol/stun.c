#include "protocol/stun.h"

#include "base/crc32.h"
#include "base/wire.h"

enum {
	BINDING_REQUEST = 0x0001,
	BINDING_SUCCESS = 0x0101,
	ATTR_MAPPED = 0x0001,
	ATTR_XOR_MAPPED = 0x0020,
	ATTR_SOFTWARE = 0x8022,
	ATTR_FINGERPRINT = 0x8028,
	ATTR_XOR_MAPPED_OLD = 0x8020,
	FINGERPRINT_LEN = 8,
	FAMILY_4 = 1,
	FAMILY_6 = 2,
};

static const uint8_t magic[4] = { 0x21, 0x12, 0xa4, 0x42 };
static const char software[] = "tailnode";

static uint32_t fingerprint(const uint8_t *p, size_t n)
{
	return crc32_of(p, n) ^ 0x5354554e;
}

bool stun_is(struct span pkt)
{
	return pkt.n >= STUN_HEADER && (pkt.p[0] & 0xc0) == 0 &&
	       memcmp(pkt.p + 4, magic, sizeof(magic)) == 0;
}

static void put_header(uint8_t *dst, uint16_t type, size_t attrs,
                       const uint8_t txid[static STUN_TXID])
{
	put_be16(dst, type);
	put_be16(dst + 2, (uint16_t)attrs);
	memcpy(dst + 4, magic, sizeof(magic));
	memcpy(dst + 8, txid, STUN_TXID);
}

void stun_request(uint8_t dst[static STUN_REQUEST_LEN], const uint8_t txid[static STUN_TXID])
{
	put_header(dst, BINDING_REQUEST, STUN_REQUEST_LEN - STUN_HEADER, txid);
	put_be16(dst + 20, ATTR_SOFTWARE);
	put_be16(dst + 22, sizeof(software) - 1);
	memcpy(dst + 24, software, sizeof(software) - 1);
	put_be16(dst + 32, ATTR_FINGERPRINT);
	put_be16(dst + 34, 4);
	put_be32(dst + 36, fingerprint(dst, 32));
}

/* The next attribute; false at the end or when *r went bad. */
static bool next_attr(struct rd *r, uint16_t *ret_type, struct rd *ret_value)
{
	if (r->bad || r->p == r->end)
		return false;

	uint16_t type = rd_be16(r);
	uint16_t len = rd_be16(r);
	struct rd value = rd_sub(r, len);

	(void)rd_view(r, -len & 3u);
	if (r->bad)
		return false;
	*ret_type = type;
	*ret_value = value;
	return true;
}

int stun_request_parse(struct span pkt, uint8_t ret_txid[static STUN_TXID])
{
	if (!stun_is(pkt) || be16_at(pkt.p) != BINDING_REQUEST)
		return ERR_MALFORMED;

	struct rd r = rd_span(span_from(pkt, STUN_HEADER));
	bool software_ok = false;
	uint16_t type = 0;
	uint32_t got = 0;
	struct rd value;

	while (next_attr(&r, &type, &value)) {
		if (type == ATTR_SOFTWARE)
			software_ok |= span_is(rd_rest(&value), software);
		else if (type == ATTR_FINGERPRINT && rd_left(&value) == 4)
			got = rd_be32(&value);
	}
	if (r.bad)
		return ERR_MALFORMED;
	if (!software_ok)
		return ERR_DENIED;
	if (type != ATTR_FINGERPRINT || pkt.n < STUN_HEADER + FINGERPRINT_LEN ||
	    got != fingerprint(pkt.p, pkt.n - FINGERPRINT_LEN))
		return ERR_AUTH;
	memcpy(ret_txid, pkt.p + 8, STUN_TXID);
	return 0;
}

size_t stun_response(uint8_t dst[static STUN_RESPONSE_MAX], const uint8_t txid[static STUN_TXID],
                     const struct addr *from)
{
	bool is4 = ip_is4(&from->ip);
	size_t len = is4 ? 4 : 16;
	const uint8_t *ip = from->ip.b + 16 - len;

	put_header(dst, BINDING_SUCCESS, 8 + len, txid);
	put_be16(dst + 20, ATTR_XOR_MAPPED);
	put_be16(dst + 22, (uint16_t)(4 + len));
	dst[24] = 0;
	dst[25] = is4 ? FAMILY_4 : FAMILY_6;
	put_be16(dst + 26, from->port ^ be16_at(magic));
	/* magic number and transaction follow each other in the header: the mask */
	for (size_t i = 0; i < len; i++)
		dst[28 + i] = ip[i] ^ dst[4 + i];
	return 28 + len;
}

/* mask: 16 bytes, or NULL for a plain address */
static int read_mapped(struct rd *value, const uint8_t *mask, struct addr *ret)
{
	(void)rd_u8(value);

	uint8_t family = rd_u8(value);
	uint16_t port = rd_be16(value);
	size_t len = family == FAMILY_4 ? 4 : 16;
	const uint8_t *raw = rd_view(value, len);
	uint8_t ip[16];

	if (!raw || (family != FAMILY_4 && family != FAMILY_6))
		return ERR_MALFORMED;
	for (size_t i = 0; i < len; i++)
		ip[i] = mask ? raw[i] ^ mask[i] : raw[i];
	*ret = (struct addr){
		.ip = len == 4 ? ip4_of(ip) : ip6_of(ip),
		.port = mask ? port ^ be16_at(magic) : port,
	};
	return 0;
}

int stun_response_parse(struct span pkt, uint8_t ret_txid[static STUN_TXID],
                        struct addr *ret_mapped)
{
	if (!stun_is(pkt))
		return ERR_MALFORMED;
	if (be16_at(pkt.p) != BINDING_SUCCESS)
		return ERR_BADSTATE;

	struct rd all = rd_span(span_from(pkt, STUN_HEADER));
	struct rd r = rd_sub(&all, be16_at(pkt.p + 2));
	struct addr xored, plain;
	bool have_xored = false, have_plain = false;
	uint16_t type = 0;
	struct rd value;

	while (next_attr(&r, &type, &value)) {
		int e = 0;

		if (type == ATTR_XOR_MAPPED || type == ATTR_XOR_MAPPED_OLD) {
			e = read_mapped(&value, pkt.p + 4, &xored);
			have_xored = true;
		} else if (type == ATTR_MAPPED) {
			e = read_mapped(&value, NULL, &plain);
			have_plain = true;
		}
		if (e < 0)
			return e;
	}
	if (r.bad || (!have_xored && !have_plain))
		return ERR_MALFORMED;
	memcpy(ret_txid, pkt.p + 8, STUN_TXID);
	*ret_mapped = have_xored ? xored : plain;
	return 0;
}
