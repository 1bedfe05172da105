/*
 * A Noise connection fed with what strangers send. The first byte picks the
 * case: a server's hello, a client's answer, or records over an open pair,
 * where the bytes are sealed first so that the plaintext paths are reached.
 */
#include <assert.h>

#include "base/wire.h"
#include "control/noiseconn.h"
#include "crypto/init.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static struct machine_priv key(uint8_t from)
{
	struct machine_priv k;

	memset(k.b, from, sizeof(k.b));
	return k;
}

static void open_pair(struct noiseconn *client, struct noiseconn *server, struct buf *answer)
{
	struct machine_priv c = key(1), ce = key(2), s = key(3), se = key(4);
	struct machine_pub s_pub;
	uint8_t hello[NOISECONN_HELLO];
	int r;

	machine_priv_public(&s, &s_pub);
	r = noiseconn_connect(client, 131, &c, &s_pub, &ce, hello);
	assert(r == 0);
	r = noiseconn_accept(server, &s, SPAN_OF(hello));
	assert(r == 0);
	r = noiseconn_answer(server, &se, answer);
	assert(r == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct noiseconn client, server;
	AUTO_DONE(buf) struct buf wire = { 0 };
	AUTO_DONE(buf) struct buf plain = { 0 };
	struct machine_priv s = key(3);
	struct span rest = span_from(span(data, n), 1);

	crypto_start();
	if (n == 0)
		return 0;
	open_pair(&client, &server, &wire);
	if (data[0] % 3 == 0) {
		(void)!noiseconn_accept(&server, &s, rest);
	} else if (data[0] % 3 == 1) {
		(void)!noiseconn_recv(&client, rest, &plain);
	} else if (noiseconn_recv(&client, buf_span(&wire), &plain) == 0) {
		buf_clear(&wire);
		(void)!noiseconn_send(&server, rest, &wire);
		(void)!noiseconn_recv(&client, buf_span(&wire), &plain);
		assert(plain.n <= rest.n);
	}
	noiseconn_wipe(&client);
	noiseconn_wipe(&server);
	return 0;
}
