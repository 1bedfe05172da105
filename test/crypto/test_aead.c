#include "crypto/aead.h"

#include "crypto/init.h"
#include "test/check.h"

/* RFC 8439 s.2.8.2 */
static void seals_as_rfc_8439_does(void)
{
	static const char plain[] =
		"Ladies and Gentlemen of the class of '99: If I could offer you only "
		"one tip for the future, sunscreen would be it.";
	uint8_t key[32], nonce[12], ad[12], want[200], got[200];
	size_t n = sizeof(plain) - 1;

	for (size_t i = 0; i < 32; i++)
		key[i] = (uint8_t)(0x80 + i);
	(void)check_hex(nonce, 12, "070000004041424344454647");
	(void)check_hex(ad, 12, "50515253c0c1c2c3c4c5c6c7");
	CHECK_EQ(check_hex(want, sizeof(want),
	                   "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d6"
	                   "3dbea45e8ca9671282fafb69da92728b1a71de0a9e060b2905d6a5b67ecd3b36"
	                   "92ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc"
	                   "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd060"
	                   "0691"),
	         n + AEAD_TAG);
	aead_seal(got, key, nonce, span(plain, n), SPAN_OF(ad));
	CHECK_MEM(got, want, n + AEAD_TAG);

	uint8_t back[200];

	CHECK_OK(aead_open(back, key, nonce, span(got, n + AEAD_TAG), SPAN_OF(ad)));
	CHECK_MEM(back, plain, n);
	for (size_t i = 0; i < n + AEAD_TAG; i++) {
		got[i] ^= 1;
		CHECK_EQ(aead_open(back, key, nonce, span(got, n + AEAD_TAG), SPAN_OF(ad)),
		         ERR_AUTH);
		got[i] ^= 1;
	}
	CHECK_EQ(aead_open(back, key, nonce, span(got, 15), SPAN_OF(ad)), ERR_SHORT);
}

static void an_extended_nonce_round_trips(void)
{
	uint8_t key[32] = { 1 }, nonce[24] = { 2 }, sealed[5 + AEAD_TAG], back[5];

	xaead_seal(sealed, key, nonce, SPAN_LIT("hello"), SPAN_LIT("ad"));
	CHECK_OK(xaead_open(back, key, nonce, SPAN_OF(sealed), SPAN_LIT("ad")));
	CHECK_MEM(back, "hello", 5);
	CHECK_EQ(xaead_open(back, key, nonce, SPAN_OF(sealed), SPAN_LIT("da")), ERR_AUTH);
}

static void counters_go_into_the_nonce_in_either_order(void)
{
	uint8_t n[12];

	aead_nonce_le(n, 0x0102030405060708);
	CHECK_MEM(n, "\0\0\0\0\x08\x07\x06\x05\x04\x03\x02\x01", 12);
	aead_nonce_be(n, 0x0102030405060708);
	CHECK_MEM(n, "\0\0\0\0\x01\x02\x03\x04\x05\x06\x07\x08", 12);
}

int main(void)
{
	crypto_start();
	RUN(seals_as_rfc_8439_does);
	RUN(an_extended_nonce_round_trips);
	RUN(counters_go_into_the_nonce_in_either_order);
	return check_done();
}
