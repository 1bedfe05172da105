/*
 * TLS records after the handshake. The first byte picks the suite and how much
 * comes at once; by its top bit the rest is either taken as it is, or as a list of
 * (type, length, contents) that are sealed first, to get past the cipher.
 */
#include "platform/tls_record.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { WIRE_MAX = 1 << 18 };

struct world {
	struct tls_gear *gear;
	struct tls_records ours, theirs;
	uint8_t *wire, *plain;
	size_t n;
};

static int begin(struct world *w, uint16_t suite)
{
	static const uint8_t a[TLS_SECRET_MAX] = "in", b[TLS_SECRET_MAX] = "out";
	size_t n = suite == 0x1302 ? 48 : 32;

	w->gear = tls_gear_new();
	w->wire = mem_alloc(WIRE_MAX);
	w->plain = mem_alloc(WIRE_MAX + TLS_RECORD_BODY_MAX);
	if (tls_records_init(&w->ours, w->gear, suite, span(a, n), span(b, n)) < 0)
		return -1;
	return tls_records_init(&w->theirs, w->gear, suite, span(b, n), span(a, n));
}

static void end(struct world *w)
{
	tls_records_done(&w->ours);
	tls_records_done(&w->theirs);
	tls_gear_free(w->gear);
	free(w->wire);
	free(w->plain);
}

static void seal_all(struct world *w, struct rd in)
{
	while (rd_left(&in) > 3) {
		uint8_t type = rd_u8(&in);
		size_t len = rd_be16(&in) & 0x7fff;
		struct rd part = rd_sub(&in, len < rd_left(&in) ? len : rd_left(&in));
		struct span body = rd_rest(&part);

		if (w->n + body.n + TLS_RECORD_OVERHEAD > WIRE_MAX)
			return;
		w->n += (size_t)tls_records_seal(&w->theirs, (enum tls_record_type)type, body,
		                                 w->wire + w->n);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct world w = { 0 };
	uint8_t record[TLS_CONTROL_MAX];

	if (n < 1 || n > WIRE_MAX)
		return 0;
	if (begin(&w, (uint16_t)(0x1301 + (data[0] & 3) % 3)) < 0)
		abort();
	if (data[0] & 0x80) {
		seal_all(&w, rd_of(data + 1, n - 1));
	} else if (n > 1) {
		memcpy(w.wire, data + 1, n - 1);
		w.n = n - 1;
	}

	size_t step = (size_t)1 << (data[0] >> 2 & 15);
	int r = 0;

	for (size_t at = 0; at < w.n && r == 0; at += step) {
		size_t got;

		r = tls_records_open(&w.ours, span(w.wire + at, w.n - at < step ? w.n - at : step),
		                     w.plain, &got);
		if (got > WIRE_MAX)
			abort();
		(void)tls_records_control(&w.ours, record);
	}
	end(&w);
	return 0;
}
