#include "crypto/blake2s.h"

#include <openssl/evp.h>

#include "base/rand.h"
#include "test/check.h"

/* RFC 7693 appendix B */
static void hashes_abc_as_the_rfc_says(void)
{
	uint8_t got[32], want[32];

	(void)check_hex(want, 32,
	                "508c5e8c327c14e2e1a72ba34eeb452f37458b209ed63a294d999b4c86675982");
	blake2s(got, 32, NULL, 0, SPAN_LIT("abc"));
	CHECK_MEM(got, want, 32);
}

/* The reference implementation's keyed vectors: key 00..1f, input 00..n-1. */
static void keyed_vectors_hold(void)
{
	uint8_t key[32], in[3], got[32], want[32];

	for (size_t i = 0; i < 32; i++)
		key[i] = (uint8_t)i;
	for (size_t i = 0; i < 3; i++)
		in[i] = (uint8_t)i;
	(void)check_hex(want, 32,
	                "48a8997da407876b3d79c0d92325ad3b89cbb754d86ab71aee047ad345fd2c49");
	blake2s(got, 32, key, 32, span(in, 0));
	CHECK_MEM(got, want, 32);
	(void)check_hex(want, 32,
	                "1d220dbe2ee134661fdf6d9e74b41704710556f2f6e5a091b227697445dbea6b");
	blake2s(got, 32, key, 32, span(in, 3));
	CHECK_MEM(got, want, 32);
}

static void agrees_with_openssl_at_every_length(void)
{
	uint8_t msg[300], got[32], want[32];

	rand_bytes(msg, sizeof(msg));
	for (size_t n = 0; n <= sizeof(msg); n++) {
		unsigned len;

		blake2s(got, 32, NULL, 0, span(msg, n));
		CHECK(EVP_Digest(msg, n, want, &len, EVP_blake2s256(), NULL) == 1);
		CHECK_MEM(got, want, 32);

		uint8_t split[32];

		blake2s_hash2(split, span(msg, n / 3), span(msg + n / 3, n - n / 3));
		CHECK_MEM(split, want, 32);
	}
}

/* The constants every WireGuard handshake starts from. */
static void the_chaining_constants_of_wireguard(void)
{
	uint8_t ck[32], h[32], want[32];

	blake2s(ck, 32, NULL, 0, SPAN_LIT("Noise_IKpsk2_25519_ChaChaPoly_BLAKE2s"));
	(void)check_hex(want, 32,
	                "60e26daef327efc02ec335e2a025d2d016eb4206f87277f52d38d1988b78cd36");
	CHECK_MEM(ck, want, 32);
	blake2s_hash2(h, SPAN_OF(ck), SPAN_LIT("WireGuard v1 zx2c4 Jason@zx2c4.com"));
	(void)check_hex(want, 32,
	                "2211b361081ac566691243db458ad5322d9c6c662293e8b70ee19c65ba079ef3");
	CHECK_MEM(h, want, 32);
}

static void shorter_key_lists_are_prefixes_of_longer_ones(void)
{
	uint8_t ck[32] = { 7 }, a[32], b[32], c[32], a1[32], a2[32], b2[32];

	blake2s_hkdf(ck, SPAN_LIT("in"), a, b, c);
	blake2s_hkdf(ck, SPAN_LIT("in"), a1, NULL, NULL);
	blake2s_hkdf(ck, SPAN_LIT("in"), a2, b2, NULL);
	CHECK_MEM(a1, a, 32);
	CHECK_MEM(a2, a, 32);
	CHECK_MEM(b2, b, 32);
	blake2s_hkdf(ck, SPAN_LIT("in"), ck, b2, NULL);
	CHECK_MEM(ck, a, 32);
}

int main(void)
{
	RUN(hashes_abc_as_the_rfc_says);
	RUN(keyed_vectors_hold);
	RUN(agrees_with_openssl_at_every_length);
	RUN(the_chaining_constants_of_wireguard);
	RUN(shorter_key_lists_are_prefixes_of_longer_ones);
	return check_done();
}
