#include "control/noiseconn.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/wire.h"
#include "crypto/aead.h"

enum { MSG_INIT = 1, MSG_RESP = 2, MSG_ERROR = 3, MSG_RECORD = 4 };
enum { EARLY_HEAD = 9 };

static const uint8_t early_magic[5] = { 0xff, 0xff, 0xff, 'T', 'S' };

void noiseconn_wipe(struct noiseconn *c)
{
	free(c->frame);
	explicit_bzero(c, sizeof(*c));
}

/* Failure is final, but what the other side said of it stays readable. */
static int dead(struct noiseconn *c, int r)
{
	char error[sizeof(c->error)];

	memcpy(error, c->error, sizeof(error));
	noiseconn_wipe(c);
	memcpy(c->error, error, sizeof(error));
	return r;
}

static struct span prologue_text(uint16_t version, char dst[static 48])
{
	int n = snprintf(dst, 48, "Tailscale Control Protocol v%u", version);

	return span(dst, (size_t)n);
}

int noiseconn_connect(struct noiseconn *c, uint16_t version, const struct machine_priv *machine,
                      const struct machine_pub *server, const struct machine_priv *eph,
                      uint8_t ret_hello[static NOISECONN_HELLO])
{
	char prologue[48];

	*c = (struct noiseconn){ 0 };
	c->client = true;
	c->version = version;
	put_be16(ret_hello, version);
	ret_hello[2] = MSG_INIT;
	put_be16(ret_hello + 3, NOISE_INIT);

	int r = noise_start(&c->handshake, prologue_text(version, prologue), machine->b, server->b,
	                    eph->b, ret_hello + 5);
	if (r < 0)
		return dead(c, r);
	c->state = NOISECONN_HELLO_SENT;
	return 0;
}

int noiseconn_accept(struct noiseconn *c, const struct machine_priv *server, struct span hello)
{
	char prologue[48];
	struct rd m = rd_span(hello);

	*c = (struct noiseconn){ 0 };
	c->version = rd_be16(&m);
	if (rd_u8(&m) != MSG_INIT || rd_be16(&m) != NOISE_INIT || rd_left(&m) != NOISE_INIT)
		return dead(c, ERR_MALFORMED);

	int r = noise_accept(&c->handshake, prologue_text(c->version, prologue), server->b,
	                     rd_view(&m, NOISE_INIT), c->peer.b);
	if (r < 0)
		return dead(c, r);
	c->state = NOISECONN_ACCEPTED;
	return 0;
}

static void set_keys(struct noiseconn *c, const struct noise_keys *k)
{
	memcpy(c->tx_key, c->client ? k->to_responder : k->to_initiator, 32);
	memcpy(c->rx_key, c->client ? k->to_initiator : k->to_responder, 32);
	c->early_known = !c->client;
	c->state = NOISECONN_OPEN;
}

int noiseconn_answer(struct noiseconn *c, const struct machine_priv *eph, struct buf *wire)
{
	uint8_t msg[NOISECONN_ANSWER] = { MSG_RESP, 0, NOISE_RESP };
	AUTO_WIPE(noise_keys) keys;

	if (c->state != NOISECONN_ACCEPTED)
		return ERR_BADSTATE;

	int r = noise_answer(&c->handshake, eph->b, msg + NOISECONN_HEADER, &keys);
	if (r < 0)
		return dead(c, r);
	set_keys(c, &keys);
	buf_add(wire, msg, sizeof(msg));
	return buf_ok(wire);
}

void noiseconn_refuse(struct buf *wire, const char *why)
{
	uint8_t head[NOISECONN_HEADER] = { MSG_ERROR };
	size_t n = strlen(why);

	put_be16(head + 1, (uint16_t)(n > 512 ? 512 : n));
	buf_add(wire, head, sizeof(head));
	buf_add(wire, why, n > 512 ? 512 : n);
}

/* ---- receiving ---- */

static int take_answer(struct noiseconn *c, struct span body)
{
	AUTO_WIPE(noise_keys) keys;

	if (body.n != NOISE_RESP)
		return ERR_MALFORMED;

	int r = noise_finish(&c->handshake, body.p, &keys);
	if (r < 0)
		return r;
	set_keys(c, &keys);
	return 0;
}

static void take_error(struct noiseconn *c, struct span text)
{
	(void)snprintf(c->error, sizeof(c->error), "%.*s", SPAN_FMT(span_first(text, 120)));
	for (char *s = c->error; *s; s++)
		if (*s < ' ' || *s > '~')
			*s = '?';
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* The nine bytes that may announce an early payload are together. */
static int early_decide(struct noiseconn *c, struct buf *plain)
{
	c->early_known = true;
	if (memcmp(c->early_head, early_magic, sizeof(early_magic)) != 0) {
		buf_add(plain, c->early_head, EARLY_HEAD);
		return 0;
	}
	c->early_left = be32_at(c->early_head + 5);
	return c->early_left > NOISECONN_EARLY_MAX ? ERR_LIMIT : 0;
}

/* Passes plaintext on, without an early payload. */
static int deliver(struct noiseconn *c, struct span s, struct buf *plain)
{
	if (!c->early_known) {
		size_t n = least(EARLY_HEAD - c->early_have, s.n);

		memcpy(c->early_head + c->early_have, s.p, n);
		c->early_have += n;
		s = span_from(s, n);
		if (c->early_have < EARLY_HEAD)
			return 0;

		int r = early_decide(c, plain);
		if (r < 0)
			return r;
	}

	size_t skip = least(c->early_left, s.n);

	c->early_left -= skip;
	buf_add_span(plain, span_from(s, skip));
	return buf_ok(plain);
}

static int take_record(struct noiseconn *c, struct span sealed, struct buf *plain)
{
	uint8_t nonce[12], text[NOISECONN_FRAME];

	if (c->rx_count == UINT64_MAX)
		return ERR_LIMIT;
	aead_nonce_be(nonce, c->rx_count++);

	int r = aead_open(text, c->rx_key, nonce, sealed, span(NULL, 0));
	if (r < 0)
		return r;
	return sealed.n > AEAD_TAG ? deliver(c, span(text, sealed.n - AEAD_TAG), plain) : 0;
}

static int take_frame(struct noiseconn *c, const uint8_t *frame, size_t size, struct buf *plain)
{
	struct span body = span(frame + NOISECONN_HEADER, size - NOISECONN_HEADER);

	if (frame[0] == MSG_ERROR) {
		take_error(c, body);
		return ERR_DENIED;
	}
	if (c->state == NOISECONN_HELLO_SENT)
		return frame[0] == MSG_RESP ? take_answer(c, body) : ERR_MALFORMED;
	return frame[0] == MSG_RECORD ? take_record(c, body, plain) : ERR_MALFORMED;
}

/* How many bytes the frame has in all, as far as its first n tell. No frame is empty. */
static int frame_size(const uint8_t *frame, size_t n, size_t *ret)
{
	*ret = NOISECONN_HEADER;
	if (n < NOISECONN_HEADER)
		return 0;
	*ret += be16_at(frame + 1);
	if (*ret == NOISECONN_HEADER)
		return ERR_MALFORMED;
	return *ret > NOISECONN_FRAME ? ERR_LIMIT : 0;
}

static void fill(struct noiseconn *c, struct span *wire, size_t size)
{
	size_t n = least(size - c->have, wire->n);

	memcpy(c->frame + c->have, wire->p, n);
	c->have = (uint16_t)(c->have + n);
	*wire = span_from(*wire, n);
}

/* Keeps what came of a frame until the rest does. */
static int take_part(struct noiseconn *c, struct span *wire, struct buf *plain)
{
	size_t size;
	int r;

	if (!c->frame)
		c->frame = mem_alloc(NOISECONN_FRAME);
	if (c->have < NOISECONN_HEADER)
		fill(c, wire, NOISECONN_HEADER);
	r = frame_size(c->frame, c->have, &size);
	if (r < 0)
		return r;
	fill(c, wire, size);
	if (c->have < NOISECONN_HEADER || c->have < size)
		return 0;

	uint8_t *frame = TAKE(c->frame);

	c->have = 0;
	r = take_frame(c, frame, size, plain);
	free(frame);
	return r;
}

/* The common case: the frame is there as a whole, and read where it is. */
static int take_next(struct noiseconn *c, struct span *wire, struct buf *plain)
{
	const uint8_t *frame = wire->p;
	size_t size;
	int r;

	if (c->frame || wire->n < NOISECONN_HEADER)
		return take_part(c, wire, plain);
	r = frame_size(frame, wire->n, &size);
	if (r < 0)
		return r;
	if (wire->n < size)
		return take_part(c, wire, plain);
	*wire = span_from(*wire, size);
	return take_frame(c, frame, size, plain);
}

int noiseconn_recv(struct noiseconn *c, struct span wire, struct buf *plain)
{
	if (c->state != NOISECONN_HELLO_SENT && c->state != NOISECONN_OPEN)
		return ERR_BADSTATE;
	while (wire.n) {
		int r = take_next(c, &wire, plain);
		if (r < 0)
			return dead(c, r);
	}
	return 0;
}

/* ---- sending ---- */

static int send_record(struct noiseconn *c, struct span plain, struct buf *wire)
{
	size_t sealed = plain.n + AEAD_TAG;
	uint8_t nonce[12];
	uint8_t *at = buf_room(wire, NOISECONN_HEADER + sealed);

	if (!at || c->tx_count == UINT64_MAX)
		return dead(c, ERR_LIMIT);
	at[0] = MSG_RECORD;
	put_be16(at + 1, (uint16_t)sealed);
	aead_nonce_be(nonce, c->tx_count++);
	aead_seal(at + NOISECONN_HEADER, c->tx_key, nonce, plain, span(NULL, 0));
	wire->n += NOISECONN_HEADER + sealed;
	return 0;
}

int noiseconn_send(struct noiseconn *c, struct span plain, struct buf *wire)
{
	if (c->state != NOISECONN_OPEN)
		return ERR_BADSTATE;
	while (plain.n) {
		struct span part = span_first(plain, NOISECONN_PLAIN);
		int r = send_record(c, part, wire);
		if (r < 0)
			return r;
		plain = span_from(plain, part.n);
	}
	return 0;
}

int noiseconn_send_early(struct noiseconn *c, const struct challenge_pub *challenge,
                         struct buf *wire)
{
	char key[KEY_TEXT_MAX], json[160];
	uint8_t msg[EARLY_HEAD + sizeof(json)];
	int n = snprintf(json, sizeof(json), "{\"nodeKeyChallenge\":\"%s\"}",
	                 challenge_pub_text(challenge, key));

	memcpy(msg, early_magic, sizeof(early_magic));
	put_be32(msg + 5, (uint32_t)n);
	memcpy(msg + EARLY_HEAD, json, (size_t)n);
	return noiseconn_send(c, span(msg, EARLY_HEAD + (size_t)n), wire);
}
