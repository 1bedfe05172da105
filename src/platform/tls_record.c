#include "platform/tls_record.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/wire.h"

enum { SUITES = 3, SLOTS = 256, KEY_UPDATE = 24, FATAL = 2, WARNING = 1 };
enum { PART_SIZE = TLS_RECORD_HEAD + TLS_RECORD_BODY_MAX, SPARES = 32 };

struct tls_suite {
	uint16_t id;
	uint8_t index, key_len, hash_len;
	const char *cipher;
	const EVP_MD *(*hash)(void);
};

static const struct tls_suite suites[SUITES] = {
	{ 0x1301, 0, 16, 32, "AES-128-GCM", EVP_sha256 },
	{ 0x1302, 1, 32, 48, "AES-256-GCM", EVP_sha384 },
	{ 0x1303, 2, 32, 32, "ChaCha20-Poly1305", EVP_sha256 },
};

/* ---- shared contexts ---- */

struct slot {
	uint64_t id; /* whose key it has; 0: nobody's */
	EVP_CIPHER_CTX *ctx;
};

/* Keys get numbers in turn, so neighbours in time never push each other out. */
struct tls_gear {
	EVP_CIPHER *cipher[SUITES];
	uint64_t last_id;
	struct slot slots[SLOTS];
	/* Room for records in part: nearly every read of a busy client ends within one. */
	uint8_t *spare[SPARES];
	unsigned n_spare;
};

struct tls_gear *tls_gear_new(void)
{
	struct tls_gear *g = mem_new(struct tls_gear);

	for (unsigned i = 0; i < SUITES; i++)
		g->cipher[i] = EVP_CIPHER_fetch(NULL, suites[i].cipher, NULL);
	return g;
}

void tls_gear_free(struct tls_gear *g)
{
	if (!g)
		return;
	for (unsigned i = 0; i < SLOTS; i++)
		EVP_CIPHER_CTX_free(g->slots[i].ctx);
	while (g->n_spare)
		free(g->spare[--g->n_spare]);
	for (unsigned i = 0; i < SUITES; i++)
		EVP_CIPHER_free(g->cipher[i]);
	free(g);
}

static uint8_t *take_part(struct tls_gear *g)
{
	return g->n_spare ? g->spare[--g->n_spare] : mem_alloc(PART_SIZE);
}

static void give_part(struct tls_gear *g, uint8_t *part)
{
	if (part && g->n_spare < SPARES)
		g->spare[g->n_spare++] = part;
	else
		free(part);
}

static EVP_CIPHER_CTX *keyed(const struct tls_records *r, const struct tls_way *w)
{
	struct slot *slot = &r->gear->slots[w->id % SLOTS];

	if (slot->id == w->id)
		return slot->ctx;
	if (!slot->ctx)
		slot->ctx = EVP_CIPHER_CTX_new();
	slot->id = 0;
	if (!slot->ctx || EVP_CipherInit_ex(slot->ctx, r->gear->cipher[r->suite->index], NULL,
	                                    w->key, NULL, w == &r->out) != 1)
		return NULL;
	slot->id = w->id;
	return slot->ctx;
}

static void forget(struct tls_gear *g, uint64_t id)
{
	struct slot *slot = &g->slots[id % SLOTS];

	if (slot->id != id)
		return;
	slot->id = 0;
	(void)EVP_CIPHER_CTX_reset(slot->ctx);
}

/* ---- keys ---- */

/* HKDF-Expand-Label with no context and at most one block. */
static int expand(const struct tls_suite *s, const uint8_t *secret, const char *label, uint8_t *dst,
                  size_t n)
{
	uint8_t info[40], out[EVP_MAX_MD_SIZE];
	struct wr w = wr_of(info, sizeof(info));
	size_t len;

	wr_be16(&w, (uint16_t)n);
	wr_u8(&w, (uint8_t)(strlen("tls13 ") + strlen(label)));
	wr_bytes(&w, "tls13 ", strlen("tls13 "));
	wr_bytes(&w, label, strlen(label));
	wr_u8(&w, 0);
	wr_u8(&w, 1); /* the block's number, of the expansion itself */
	if (wr_end(&w, &len) < 0 || !HMAC(s->hash(), secret, s->hash_len, info, len, out, NULL))
		return ERR_TLS;
	memcpy(dst, out, n);
	explicit_bzero(out, sizeof(out));
	return 0;
}

static int set_secret(const struct tls_records *r, struct tls_way *w, const uint8_t *secret)
{
	if (w->id)
		forget(r->gear, w->id);
	memmove(w->secret, secret, r->suite->hash_len);
	w->seq = 0;
	w->id = ++r->gear->last_id;

	int e = expand(r->suite, w->secret, "key", w->key, r->suite->key_len);

	return e < 0 ? e : expand(r->suite, w->secret, "iv", w->iv, sizeof(w->iv));
}

static int next_secret(const struct tls_records *r, struct tls_way *w)
{
	uint8_t secret[TLS_SECRET_MAX];
	int e = expand(r->suite, w->secret, "traffic upd", secret, r->suite->hash_len);

	if (e == 0)
		e = set_secret(r, w, secret);
	explicit_bzero(secret, sizeof(secret));
	return e;
}

static const struct tls_suite *find_suite(uint16_t id)
{
	for (unsigned i = 0; i < SUITES; i++) {
		if (suites[i].id == id)
			return &suites[i];
	}
	return NULL;
}

int tls_records_init(struct tls_records *r, struct tls_gear *gear, uint16_t suite,
                     struct span in_secret, struct span out_secret)
{
	const struct tls_suite *s = find_suite(suite);

	*r = (struct tls_records){ .gear = gear, .suite = s, .key_max = TLS_KEY_RECORDS_MAX };
	if (!s || in_secret.n != s->hash_len || out_secret.n != s->hash_len ||
	    !gear->cipher[s->index])
		return ERR_UNKNOWN;

	int e = set_secret(r, &r->in, in_secret.p);

	return e < 0 ? e : set_secret(r, &r->out, out_secret.p);
}

void tls_records_done(struct tls_records *r)
{
	if (r->in.id)
		forget(r->gear, r->in.id);
	if (r->out.id)
		forget(r->gear, r->out.id);
	if (r->part)
		give_part(r->gear, r->part);
	explicit_bzero(r, sizeof(*r));
}

/* ---- one record ---- */

static void nonce_of(const struct tls_way *w, uint8_t dst[static 12])
{
	uint8_t seq[8];

	put_be64(seq, w->seq);
	memcpy(dst, w->iv, 12);
	for (unsigned i = 0; i < 8; i++)
		dst[4 + i] ^= seq[i];
}

static EVP_CIPHER_CTX *begin(const struct tls_records *r, const struct tls_way *w,
                             const uint8_t head[static TLS_RECORD_HEAD])
{
	EVP_CIPHER_CTX *ctx = keyed(r, w);
	uint8_t nonce[12];
	int n;

	nonce_of(w, nonce);
	if (!ctx || EVP_CipherInit_ex(ctx, NULL, NULL, NULL, nonce, -1) != 1 ||
	    EVP_CipherUpdate(ctx, NULL, &n, head, TLS_RECORD_HEAD) != 1)
		return NULL;
	return ctx;
}

static int refuse(struct tls_records *r, enum tls_alert alert)
{
	ERR_clear_error();
	r->alert = (uint8_t)alert;
	r->over = true;
	return ERR_TLS;
}

/* The inner plaintext's length, with its type and padding. */
static int unlock(struct tls_records *r, const uint8_t *record, size_t n, uint8_t *dst)
{
	EVP_CIPHER_CTX *ctx = begin(r, &r->in, record);
	int len = (int)(n - TLS_RECORD_HEAD - TLS_RECORD_TAG), got = 0, rest = 0;
	uint8_t tag[TLS_RECORD_TAG];

	memcpy(tag, record + n - TLS_RECORD_TAG, sizeof(tag));
	if (!ctx)
		return refuse(r, TLS_ALERT_INTERNAL);
	if (EVP_CipherUpdate(ctx, dst, &got, record + TLS_RECORD_HEAD, len) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) != 1 ||
	    EVP_CipherFinal_ex(ctx, dst + got, &rest) != 1 || got != len)
		return refuse(r, TLS_ALERT_BAD_MAC);
	r->in.seq++;
	return len;
}

int tls_records_seal(struct tls_records *r, enum tls_record_type type, struct span plain,
                     uint8_t *dst)
{
	uint8_t last = (uint8_t)type, *at = dst + TLS_RECORD_HEAD;
	int n = 0, one = 0, rest = 0;

	dst[0] = TLS_RECORD_DATA;
	put_be16(dst + 1, 0x0303);
	put_be16(dst + 3, (uint16_t)(plain.n + 1 + TLS_RECORD_TAG));

	EVP_CIPHER_CTX *ctx = begin(r, &r->out, dst);

	if (!ctx || (plain.n && EVP_CipherUpdate(ctx, at, &n, plain.p, (int)plain.n) != 1) ||
	    EVP_CipherUpdate(ctx, at + n, &one, &last, 1) != 1 ||
	    EVP_CipherFinal_ex(ctx, at + n + one, &rest) != 1 ||
	    EVP_CIPHER_CTX_ctrl(ctx, EVP_CTRL_AEAD_GET_TAG, TLS_RECORD_TAG, at + n + one) != 1) {
		ERR_clear_error();
		return ERR_TLS;
	}
	r->out.seq++;
	return (int)(plain.n + TLS_RECORD_OVERHEAD);
}

/* ---- what they mean ---- */

/* Records without data cost us and move nothing. */
static int count_empty(struct tls_records *r)
{
	return ++r->empty > TLS_EMPTY_MAX ? refuse(r, TLS_ALERT_UNEXPECTED) : 0;
}

/*
 * The one handshake message that may come. The key changes with its end, so
 * nothing may follow in the same record (s.5.1).
 */
static int on_handshake(struct tls_records *r, struct span in)
{
	size_t take = sizeof(r->update) - r->update_n;

	if (in.n == 0 || in.n > take)
		return refuse(r, TLS_ALERT_UNEXPECTED);
	memcpy(r->update + r->update_n, in.p, in.n);
	r->update_n = (uint8_t)(r->update_n + in.n);
	if (r->update[0] != KEY_UPDATE)
		return refuse(r, TLS_ALERT_UNEXPECTED);
	if (r->update_n < sizeof(r->update))
		return count_empty(r);
	r->update_n = 0;
	if (be32_at(r->update) != (KEY_UPDATE << 24 | 1))
		return refuse(r, TLS_ALERT_DECODE);
	if (r->update[4] > 1)
		return refuse(r, TLS_ALERT_ILLEGAL);
	r->answer_update |= r->update[4] == 1;
	if (next_secret(r, &r->in) < 0)
		return refuse(r, TLS_ALERT_INTERNAL);
	return count_empty(r);
}

static int on_alert(struct tls_records *r, struct span in)
{
	if (in.n != 2)
		return refuse(r, TLS_ALERT_DECODE);
	if (in.p[1] == TLS_ALERT_CANCELED)
		return count_empty(r);
	r->over = true;
	return in.p[1] == TLS_ALERT_CLOSE ? ERR_CLOSED : ERR_TLS;
}

/* A whole record; *ret_n: the data in it. */
static int open_record(struct tls_records *r, struct span record, uint8_t *dst, size_t *ret_n)
{
	int n = unlock(r, record.p, record.n, dst);

	if (n < 0)
		return n;
	while (n > 0 && dst[n - 1] == 0)
		n--;
	if (n == 0)
		return refuse(r, TLS_ALERT_UNEXPECTED);

	uint8_t type = dst[--n];

	if (n > TLS_RECORD_PLAIN_MAX)
		return refuse(r, TLS_ALERT_OVERFLOW);
	if (type == TLS_RECORD_HANDSHAKE)
		return on_handshake(r, span(dst, (size_t)n));
	if (r->update_n)
		return refuse(r, TLS_ALERT_UNEXPECTED);
	if (type == TLS_RECORD_ALERT)
		return on_alert(r, span(dst, (size_t)n));
	if (type != TLS_RECORD_DATA)
		return refuse(r, TLS_ALERT_UNEXPECTED);
	*ret_n = (size_t)n;
	if (n == 0)
		return count_empty(r);
	r->empty = 0;
	return 0;
}

/* ---- records in pieces ---- */

/* The length of the record that has this head. */
static int length_of(struct tls_records *r, const uint8_t head[static TLS_RECORD_HEAD])
{
	size_t body = be16_at(head + 3);

	if (head[0] != TLS_RECORD_DATA)
		return refuse(r, TLS_ALERT_UNEXPECTED);
	if (body > TLS_RECORD_BODY_MAX)
		return refuse(r, TLS_ALERT_OVERFLOW);
	if (body <= TLS_RECORD_TAG)
		return refuse(r, TLS_ALERT_BAD_MAC);
	return (int)(TLS_RECORD_HEAD + body);
}

static void add_part(struct tls_records *r, uint8_t *to, struct span *in, size_t want)
{
	struct span take = span_first(*in, want - r->part_n);

	memcpy(to + r->part_n, take.p, take.n);
	r->part_n += (uint32_t)take.n;
	*in = span_from(*in, take.n);
}

/* 1: *ret is the next record; 0: it is not whole yet */
static int next_record(struct tls_records *r, struct span *in, struct span *ret)
{
	int n;

	if (r->part_n == 0 && in->n >= TLS_RECORD_HEAD) {
		n = length_of(r, in->p);
		if (n < 0)
			return n;
		if (in->n >= (size_t)n) {
			*ret = span_first(*in, (size_t)n);
			*in = span_from(*in, (size_t)n);
			return 1;
		}
	}
	if (r->part_n < TLS_RECORD_HEAD)
		add_part(r, r->head, in, TLS_RECORD_HEAD);
	if (r->part_n < TLS_RECORD_HEAD)
		return 0;
	n = length_of(r, r->head);
	if (n < 0)
		return n;
	if (!r->part) {
		r->part = take_part(r->gear);
		memcpy(r->part, r->head, TLS_RECORD_HEAD);
	}
	add_part(r, r->part, in, (size_t)n);
	*ret = span(r->part, (size_t)n);
	return r->part_n == (size_t)n;
}

int tls_records_open(struct tls_records *r, struct span in, uint8_t *dst, size_t *ret_n)
{
	struct span record;
	int e = 0;

	*ret_n = 0;
	while (in.n && !r->over && e == 0) {
		size_t got = 0;

		e = next_record(r, &in, &record);
		if (e <= 0)
			break;
		e = open_record(r, record, dst + *ret_n, &got);
		*ret_n += got;
		if (r->part)
			give_part(r->gear, TAKE(r->part)), r->part_n = 0;
	}
	return e;
}

/* ---- ours ---- */

static size_t put(struct tls_records *r, enum tls_record_type type, struct span plain, uint8_t *dst)
{
	int n = tls_records_seal(r, type, plain, dst);

	return n > 0 ? (size_t)n : 0;
}

size_t tls_records_control(struct tls_records *r, uint8_t dst[static TLS_CONTROL_MAX])
{
	static const uint8_t update[5] = { KEY_UPDATE, 0, 0, 1, 0 };
	uint8_t alert[2] = { FATAL, r->alert };
	size_t n;

	if (r->alert) {
		r->alert = 0;
		return put(r, TLS_RECORD_ALERT, SPAN_OF(alert), dst);
	}
	if (!r->answer_update && r->out.seq < r->key_max)
		return 0;
	r->answer_update = false;
	n = put(r, TLS_RECORD_HANDSHAKE, SPAN_OF(update), dst);
	return next_secret(r, &r->out) == 0 ? n : 0;
}

size_t tls_records_close(struct tls_records *r, uint8_t dst[static TLS_CONTROL_MAX])
{
	static const uint8_t close[2] = { WARNING, TLS_ALERT_CLOSE };

	return put(r, TLS_RECORD_ALERT, SPAN_OF(close), dst);
}
