/* The peer relay: whatever comes, it sends no more than it got, and only for a pair that bound. */
#include <stdlib.h>

#include "base/wire.h"
#include "protocol/geneve.h"
#include "protocol/udprelay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A bind message in the name of one of the pair, with fields of the input's choice. */
static void knock(struct udprelay *r, mono now, const struct disco_priv *priv,
                  const struct disco_pub *other, struct rd *in, struct rand_src *rand)
{
	struct addr from = { .ip = ip4(192, 0, 2, rd_u8(in)), .port = 1 };
	struct geneve g = { .control = true, .protocol = GENEVE_DISCO, .vni = 1 };
	struct disco_msg m = {
		.type = (enum disco_type)(rd_u8(in) % 10),
		.bind = { .vni = rd_u8(in), .generation = rd_u8(in), .remote = *other }
	};
	struct disco_pub self;
	struct box_shared shared;
	struct udprelay_out out;
	uint8_t packet[GENEVE_HEADER + DISCO_OVERHEAD + DISCO_MESSAGE_MAX];
	size_t len;

	disco_priv_public(priv, &self);
	if (box_shared_init(&shared, priv->b, udprelay_key(r)->b) < 0)
		abort();
	geneve_write(packet, &g);
	if (disco_seal(packet + GENEVE_HEADER, sizeof(packet) - GENEVE_HEADER, &m, &self, &shared,
	               rand, &len) < 0)
		return;
	len += GENEVE_HEADER;
	if (udprelay_recv(r, now, &from, span(packet, len), &out) &&
	    (out.bytes.n > len || !addr_eq(&out.to, &from)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct rd in = rd_of(data, n);
	struct rand_src rand;
	struct disco_priv priv[2] = { { { 8 } }, { { 16 } } };
	struct disco_pub pub[2];
	struct disco_relay_endpoint ep;
	struct addr at = { .ip = ip4(198, 51, 100, 1), .port = 7 };
	mono now = { 1 };
	struct udprelay *r;

	rand_seeded(&rand, 1);
	r = udprelay_new(now, &rand);
	for (unsigned i = 0; i < 2; i++) {
		key_clamp(priv[i].b);
		disco_priv_public(&priv[i], &pub[i]);
	}
	udprelay_addresses(r, &at, 1);
	if (udprelay_allocate(r, now, &pub[0], pub, &ep) < 0)
		abort();
	for (unsigned i = 0; i < 20 && rd_left(&in); i++) {
		uint8_t op = rd_u8(&in);
		struct udprelay_out out;

		if (op < 32) {
			knock(r, now, &priv[op & 1], &pub[!(op & 1)], &in, &rand);
		} else if (op < 64) {
			now = mono_after(now, op * US_PER_S);
			udprelay_timeout(r, now);
		} else {
			struct rd raw = rd_sub(&in, rd_left(&in) < op ? rd_left(&in) : op);

			/* Nobody has answered a challenge, so nothing may be carried. */
			if (udprelay_recv(r, now, &at, rd_rest(&raw), &out))
				abort();
		}
	}
	udprelay_free(r);
	return 0;
}
