#include "base/enc.h"

#include "base/rand.h"
#include "test/check.h"

static void hex_round_trips_and_takes_either_case(void)
{
	uint8_t in[256], out[256];
	char text[HEX_LEN(256) + 1];

	for (size_t i = 0; i < 256; i++)
		in[i] = (uint8_t)i;
	(void)hex_encode(text, in, 256);
	CHECK_OK(hex_decode(out, 256, span_str(text)));
	CHECK_MEM(out, in, 256);
	CHECK_OK(hex_decode(out, 2, span_str("aBCd")));
	CHECK(out[0] == 0xab && out[1] == 0xcd);
}

static void hex_refuses_every_other_byte(void)
{
	uint8_t out;

	for (int c = 0; c < 256; c++) {
		uint8_t text[2] = { '0', (uint8_t)c };
		bool digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
		             (c >= 'A' && c <= 'F');

		CHECK_EQ(hex_decode(&out, 1, SPAN_OF(text)), digit ? 0 : ERR_MALFORMED);
	}
	CHECK_EQ(hex_decode(&out, 1, span_str("0")), ERR_MALFORMED);
}

static void base64_matches_the_vectors_of_rfc_4648(void)
{
	static const struct {
		const char *plain, *text;
	} rows[] = {
		{ "", "" },
		{ "f", "Zg==" },
		{ "fo", "Zm8=" },
		{ "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "fooba", "Zm9vYmE=" },
		{ "foobar", "Zm9vYmFy" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		char text[16], out[16];
		size_t n = strlen(rows[i].plain);

		CHECK_STR(base64_encode(text, rows[i].plain, n), rows[i].text);
		CHECK_OK(base64_decode(out, n, span_str(rows[i].text)));
		CHECK_MEM(out, rows[i].plain, n);
	}
}

static void base64_refuses_what_is_not_canonical(void)
{
	uint8_t out[32];

	CHECK_EQ(base64_decode(out, 1, span_str("Zh==")), ERR_MALFORMED);
	CHECK_EQ(base64_decode(out, 1, span_str("Zg=")), ERR_MALFORMED);
	CHECK_EQ(base64_decode(out, 1, span_str("Zg=A")), ERR_MALFORMED);
	CHECK_EQ(base64_decode(out, 3, span_str("Zm9-")), ERR_MALFORMED);
	for (int c = 0; c < 256; c++) {
		uint8_t text[4] = { 'A', 'A', 'A', (uint8_t)c };
		bool digit =
			strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/",
		               c) != NULL &&
			c != 0;

		CHECK_EQ(base64_decode(out, 3, SPAN_OF(text)), digit ? 0 : ERR_MALFORMED);
	}
}

static void either_alphabet_is_read_where_it_is_no_secret(void)
{
	uint8_t out[8];
	size_t n;

	CHECK_OK(base64_decode_any(out, sizeof(out), span_str("-_-_"), &n));
	CHECK_EQ(n, 3);
	CHECK_OK(base64_decode_any(out, sizeof(out), span_str("Zg"), &n));
	CHECK_EQ(n, 1);
	CHECK_EQ(base64_decode_any(out, 2, span_str("Zm9v"), &n), ERR_LIMIT);
	CHECK_EQ(base64_decode_any(out, sizeof(out), span_str("Zm9vY"), &n), ERR_MALFORMED);
}

static void equal_means_every_byte(void)
{
	uint8_t a[32], b[32];

	rand_bytes(a, 32);
	memcpy(b, a, 32);
	CHECK(ct_eq(a, b, 32));
	for (size_t i = 0; i < 256; i++) {
		b[i / 8] ^= (uint8_t)(1u << i % 8);
		CHECK(!ct_eq(a, b, 32));
		b[i / 8] ^= (uint8_t)(1u << i % 8);
	}
}

int main(void)
{
	RUN(hex_round_trips_and_takes_either_case);
	RUN(hex_refuses_every_other_byte);
	RUN(base64_matches_the_vectors_of_rfc_4648);
	RUN(base64_refuses_what_is_not_canonical);
	RUN(either_alphabet_is_read_where_it_is_no_secret);
	RUN(equal_means_every_byte);
	return check_done();
}
