#include "control/noiseconn.h"

#include <stdlib.h>

#include "base/wire.h"
#include "crypto/aead.h"
#include "crypto/init.h"
#include "test/check.h"

/* The four keys of the published vectors; version 145. */
static const char want_hello[] =
	"0091010060358072d6365880d1aeea329adf9121383851ed21a28e3b75e965d0d2cd166254"
	"ad5b8febedeb97415be53612205e6bfab385e34cb127dd8854c4f9afb10f9b0e"
	"acef4c3b928b370f94f285b6976dfe679ecba5c448ee81b48854de351340c599";
static const char want_answer[] =
	"020030675dd574ed7789310b3d2e7681f3790b466c773b1521fecf36577958371ea52f"
	"75865d7f4720afaf7ee19199abb14b28";
static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
static const char want_preface[] =
	"040028e42e01d8573d1173d84370e6f20edf94d699eeecda7e16e9df232e7952f0f78675a9b5941bce62c2";
static const char want_hello_1[] = "040015d2340ad1e4312e8db9998d67f7fa32f131ac9d935b";
static const char want_hello_256[] = "0400152ec8d47a76d7df15925b8bb34f9b3e0e48fc8b6669";
static const char want_early[] =
	"040078970a14771ed6b75bbb3d2fac0e7cc8d329a68c95b5122cee65e7871a1726cd7d8fdf8f85a68092ede"
	"c11b5f57605dfa95fccfdd17731b0990eaf8c0f41f50bd4a26ff1e7db7b903ccee4529627f168e699d2ca14"
	"2acfb3d572d0b98ca694c3f3680d25616e26f94bb4735811c8cc7ef347d96981bfb276f4";
static const char challenge_hex[] =
	"493e82fc74464a59268817623d2053c5eb8e2cc4a988b4fee179ec6b010d531d";

struct pair {
	struct noiseconn client, server;
	uint8_t hello[NOISECONN_HELLO];
	struct buf wire;
};

static struct machine_priv counting(uint8_t from)
{
	struct machine_priv k;

	for (size_t i = 0; i < 32; i++)
		k.b[i] = (uint8_t)(from + i);
	return k;
}

static void start(struct pair *p)
{
	struct machine_priv client = counting(0), client_eph = counting(0x20);
	struct machine_priv server = counting(0x40), server_eph = counting(0x60);
	struct machine_pub server_pub, client_pub;

	p->wire = (struct buf){ 0 };
	machine_priv_public(&server, &server_pub);
	machine_priv_public(&client, &client_pub);
	CHECK_OK(noiseconn_connect(&p->client, 145, &client, &server_pub, &client_eph, p->hello));
	CHECK_OK(noiseconn_accept(&p->server, &server, span(p->hello, sizeof(p->hello))));
	CHECK(machine_pub_eq(&p->server.peer, &client_pub));
	CHECK_EQ(p->server.version, 145);
	CHECK_OK(noiseconn_answer(&p->server, &server_eph, &p->wire));
}

static void expect_hex(struct span got, const char *hex)
{
	uint8_t want[512];
	size_t n = check_hex(want, sizeof(want), hex);

	CHECK_EQ(got.n, n);
	if (got.n == n)
		CHECK_MEM(got.p, want, n);
}

static void open_pair(struct pair *p)
{
	AUTO_DONE(buf) struct buf none = { 0 };

	start(p);
	CHECK_OK(noiseconn_recv(&p->client, buf_span(&p->wire), &none));
	CHECK_EQ(p->client.state, NOISECONN_OPEN);
	CHECK_EQ(none.n, 0);
	buf_clear(&p->wire);
}

static void the_handshake_meets_the_vectors(void)
{
	struct pair p;

	start(&p);
	expect_hex(span(p.hello, sizeof(p.hello)), want_hello);
	expect_hex(buf_span(&p.wire), want_answer);
	buf_done(&p.wire);
}

static void records_meet_the_vectors_also_past_the_256th(void)
{
	struct pair p;

	open_pair(&p);
	CHECK_OK(noiseconn_send(&p.client, SPAN_LIT(preface), &p.wire));
	expect_hex(buf_span(&p.wire), want_preface);
	buf_clear(&p.wire);
	CHECK_OK(noiseconn_send(&p.client, SPAN_LIT("hello"), &p.wire));
	expect_hex(buf_span(&p.wire), want_hello_1);
	while (p.client.tx_count < 256) {
		buf_clear(&p.wire);
		CHECK_OK(noiseconn_send(&p.client, SPAN_LIT("x"), &p.wire));
	}
	buf_clear(&p.wire);
	CHECK_OK(noiseconn_send(&p.client, SPAN_LIT("hello"), &p.wire));
	expect_hex(buf_span(&p.wire), want_hello_256);
	buf_done(&p.wire);
}

static void the_early_payload_is_passed_over_at_any_cut(void)
{
	struct challenge_pub challenge;

	CHECK_EQ(check_hex(challenge.b, 32, challenge_hex), 32);
	for (size_t cut = 1; cut < 130; cut++) {
		AUTO_DONE(buf) struct buf plain = { 0 };
		struct pair p;

		open_pair(&p);
		CHECK_OK(noiseconn_send_early(&p.server, &challenge, &p.wire));
		expect_hex(buf_span(&p.wire), want_early);
		CHECK_OK(noiseconn_send(&p.server, SPAN_LIT("settings and more"), &p.wire));
		for (size_t i = 0; i < p.wire.n; i += cut)
			CHECK_OK(noiseconn_recv(&p.client,
			                        span_first(span_from(buf_span(&p.wire), i), cut),
			                        &plain));
		CHECK_STR(buf_text(&plain), "settings and more");
		buf_done(&p.wire);
	}
}

static void without_an_early_payload_the_first_bytes_are_kept(void)
{
	AUTO_DONE(buf) struct buf plain = { 0 };
	struct pair p;

	open_pair(&p);
	CHECK_OK(noiseconn_send(&p.server, SPAN_LIT("1234"), &p.wire));
	CHECK_OK(noiseconn_send(&p.server, SPAN_LIT("5678"), &p.wire));
	CHECK_OK(noiseconn_send(&p.server, SPAN_LIT("9"), &p.wire));
	CHECK_OK(noiseconn_recv(&p.client, buf_span(&p.wire), &plain));
	CHECK_STR(buf_text(&plain), "123456789");
	buf_done(&p.wire);
}

static void long_text_is_split_and_arrives_whole(void)
{
	AUTO_DONE(buf) struct buf plain = { 0 };
	static uint8_t text[20000];
	struct pair p;
	size_t frames = 0;

	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)(i * 7);
	open_pair(&p);
	CHECK_OK(noiseconn_send(&p.client, SPAN_OF(text), &p.wire));
	for (size_t at = 0; at < p.wire.n; at += 3 + (size_t)be16_at(p.wire.p + at + 1)) {
		CHECK(be16_at(p.wire.p + at + 1) <= NOISECONN_FRAME - 3);
		frames++;
	}
	CHECK_EQ(frames, 5);
	CHECK_OK(noiseconn_recv(&p.server, buf_span(&p.wire), &plain));
	CHECK(span_eq(buf_span(&plain), SPAN_OF(text)));
	buf_done(&p.wire);
}

static void an_empty_record_is_passed_over(void)
{
	AUTO_DONE(buf) struct buf plain = { 0 };
	struct pair p;

	open_pair(&p);
	uint8_t record[19] = { 4, 0, 16 }, nonce[12];

	aead_nonce_be(nonce, p.client.tx_count++);
	aead_seal(record + 3, p.client.tx_key, nonce, span(NULL, 0), span(NULL, 0));
	CHECK_OK(noiseconn_recv(&p.server, SPAN_OF(record), &plain));
	CHECK_EQ(plain.n, 0);
	CHECK_OK(noiseconn_send(&p.client, SPAN_LIT("x"), &p.wire));
	CHECK_OK(noiseconn_recv(&p.server, buf_span(&p.wire), &plain));
	CHECK_STR(buf_text(&plain), "x");
	buf_done(&p.wire);
}

static void any_flipped_bit_kills_the_connection(void)
{
	struct pair p;

	open_pair(&p);
	CHECK_OK(noiseconn_send(&p.client, SPAN_LIT("hello"), &p.wire));
	for (size_t bit = 0; bit < p.wire.n * 8; bit++) {
		AUTO_DONE(buf) struct buf plain = { 0 };
		struct noiseconn copy = p.server;
		int r;

		p.wire.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		r = noiseconn_recv(&copy, buf_span(&p.wire), &plain);
		/* A length made longer only waits for more. */
		CHECK(r < 0 || (bit / 8 < 3 && plain.n == 0));
		CHECK_EQ(plain.n, 0);
		if (r < 0)
			CHECK_EQ(noiseconn_recv(&copy, SPAN_LIT("x"), &plain), ERR_BADSTATE);
		noiseconn_wipe(&copy);
		p.wire.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	buf_done(&p.wire);
}

static void a_frame_of_the_wrong_length_or_type_is_refused(void)
{
	static const char *const bad[] = { "041000", "04ffff", "050001aa", "020030", "040000" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO_DONE(buf) struct buf plain = { 0 };
		uint8_t bytes[64] = { 0 };
		size_t n = check_hex(bytes, sizeof(bytes), bad[i]);
		struct pair p;

		open_pair(&p);
		if (be16_at(bytes + 1) < 100 && be16_at(bytes + 1) > n - 3)
			n = 3 + (size_t)be16_at(bytes + 1);
		CHECK(noiseconn_recv(&p.server, span(bytes, n), &plain) < 0);
		CHECK(!p.server.frame);
		buf_done(&p.wire);
	}
}

static void a_record_in_pieces_arrives_and_leaves_no_buffer(void)
{
	struct pair p;

	open_pair(&p);
	CHECK_OK(noiseconn_send(&p.client, SPAN_LIT("first"), &p.wire));
	CHECK_OK(noiseconn_send(&p.client, SPAN_LIT("second"), &p.wire));
	for (size_t cut = 0; cut <= p.wire.n; cut++) {
		AUTO_DONE(buf) struct buf plain = { 0 };
		struct noiseconn copy = p.server;

		CHECK_OK(noiseconn_recv(&copy, span(p.wire.p, cut), &plain));
		CHECK_OK(noiseconn_recv(&copy, span(p.wire.p + cut, p.wire.n - cut), &plain));
		CHECK_STR(buf_text(&plain), "firstsecond");
		CHECK(!copy.frame);
		noiseconn_wipe(&copy);
	}
	buf_done(&p.wire);
}

static void a_refusal_is_reported_with_its_text(void)
{
	AUTO_DONE(buf) struct buf plain = { 0 };
	AUTO_DONE(buf) struct buf wire = { 0 };
	struct pair p;

	start(&p);
	noiseconn_refuse(&wire, "unsupported\nversion");
	CHECK_EQ(noiseconn_recv(&p.client, buf_span(&wire), &plain), ERR_DENIED);
	CHECK_STR(p.client.error, "unsupported?version");
	buf_done(&p.wire);
}

static void a_hello_of_another_length_or_type_is_refused(void)
{
	struct machine_priv server = counting(0x40);
	struct noiseconn c;
	struct pair p;

	start(&p);
	for (size_t n = 0; n < NOISECONN_HELLO; n++)
		CHECK_EQ(noiseconn_accept(&c, &server, span(p.hello, n)), ERR_MALFORMED);
	p.hello[2] = 2;
	CHECK_EQ(noiseconn_accept(&c, &server, SPAN_OF(p.hello)), ERR_MALFORMED);
	p.hello[2] = 1;
	p.hello[1] ^= 1; /* the prologue holds the version */
	CHECK_EQ(noiseconn_accept(&c, &server, SPAN_OF(p.hello)), ERR_AUTH);
	buf_done(&p.wire);
}

int main(void)
{
	crypto_start();
	RUN(the_handshake_meets_the_vectors);
	RUN(records_meet_the_vectors_also_past_the_256th);
	RUN(the_early_payload_is_passed_over_at_any_cut);
	RUN(without_an_early_payload_the_first_bytes_are_kept);
	RUN(long_text_is_split_and_arrives_whole);
	RUN(an_empty_record_is_passed_over);
	RUN(any_flipped_bit_kills_the_connection);
	RUN(a_frame_of_the_wrong_length_or_type_is_refused);
	RUN(a_record_in_pieces_arrives_and_leaves_no_buffer);
	RUN(a_refusal_is_reported_with_its_text);
	RUN(a_hello_of_another_length_or_type_is_refused);
	return check_done();
}
