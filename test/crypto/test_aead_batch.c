#include "crypto/aead_batch.h"

#include "base/rand.h"
#include "crypto/init.h"
#include "test/check.h"

static const char *const names[] = { "avx2", "ipsec-mb", "evp", "sodium" };
enum { LONGEST = 1600, ROOM = LONGEST + AEAD_TAG + 64 };

static uint8_t plain[ROOM], sealed[AEAD_BATCH_MAX][ROOM], want[AEAD_BATCH_MAX][ROOM];

static void each_backend(void (*fn)(const struct aead_backend *b))
{
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		const struct aead_backend *b = aead_backend_named(names[i]);

		if (b)
			fn(b);
	}
}

static void seal_one(const struct aead_backend *b, const uint8_t k[32], uint64_t counter, void *p,
                     size_t n)
{
	struct aead_msg m = { .p = p, .n = (uint32_t)n, .counter = counter };
	struct aead_key key;

	aead_key_init_with(&key, b, k);
	aead_batch_seal(&key, &m, 1);
	aead_key_done(&key);
}

/* RFC 8439 has no vector without associated data and with a counter nonce; these are WireGuard's.
 */
static void vectors(const struct aead_backend *b)
{
	uint8_t k[32], got[64], expect[64];

	(void)check_hex(k, 32, "f26d13be8f8fe7fe36805b47503285e73bcb2fc6fe3ef37834e5f6128ad8cf50");
	(void)check_hex(expect, 16, "c05b5687dc9e973b4033587e96b81434");
	seal_one(b, k, 0, got, 0);
	CHECK_MEM(got, expect, 16);

	(void)check_hex(got, 32,
	                "4500001d0001000040110000"
	                "0a0000010a0000023039d4310009000041000000");
	(void)check_hex(expect, 48,
	                "fa308344c1bf96eff3000fad31dfbb553246155f9591050b"
	                "440f3606b8164ff262987a22dbc6399fb1a451f42cb0c157");
	seal_one(b, k, 1, got, 32);
	CHECK_MEM(got, expect, 48);
}

static void every_backend_gives_the_known_answers(void)
{
	each_backend(vectors);
}

/* Every length, at odd addresses; the plain single-message function is the judge. */
static void lengths(const struct aead_backend *b)
{
	uint8_t k[32];
	struct aead_key key;

	rand_bytes(k, sizeof(k));
	aead_key_init_with(&key, b, k);
	for (size_t n = 0; n <= LONGEST; n++) {
		uint8_t nonce[12], *p = sealed[0] + n % 17;
		uint64_t counter = n << 29 | n;
		struct aead_msg m = { .p = p, .n = (uint32_t)n, .counter = counter };

		aead_nonce_le(nonce, counter);
		aead_seal(want[0], k, nonce, span(plain, n), span(NULL, 0));
		memcpy(p, plain, n);
		aead_batch_seal(&key, &m, 1);
		CHECK_MEM(p, want[0], n + AEAD_TAG);
		CHECK_EQ(aead_batch_open(&key, &m, 1), 1);
		CHECK_MEM(p, plain, n);
	}
	aead_key_done(&key);
}

static void every_backend_agrees_at_every_length_and_alignment(void)
{
	each_backend(lengths);
}

static size_t length_of(struct rand_src *src, bool equal, size_t first)
{
	return equal ? first : (size_t)rand_src_below(src, LONGEST + 1);
}

/* Batches of every size, of equal and of mixed lengths; then one of them is forged. */
static void batches(const struct aead_backend *b)
{
	struct rand_src src;
	uint8_t k[32];
	struct aead_key key;

	rand_seeded(&src, 7);
	rand_fill(&src, k, sizeof(k));
	aead_key_init_with(&key, b, k);
	for (size_t n = 1; n <= AEAD_BATCH_MAX; n++) {
		struct aead_msg m[AEAD_BATCH_MAX];
		bool equal = n % 2;
		size_t first = (size_t)rand_src_below(&src, LONGEST + 1);
		uint64_t counter = rand_src_below(&src, UINT64_MAX - 100);

		for (size_t i = 0; i < n; i++) {
			uint8_t nonce[12];
			size_t len = length_of(&src, equal, first);

			m[i] = (struct aead_msg){ .p = sealed[i] + i % 5,
				                  .n = (uint32_t)len,
				                  .counter = counter + i };
			memcpy(m[i].p, plain, len);
			aead_nonce_le(nonce, counter + i);
			aead_seal(want[i], k, nonce, span(plain, len), span(NULL, 0));
		}
		aead_batch_seal(&key, m, n);
		for (size_t i = 0; i < n; i++)
			CHECK_MEM(m[i].p, want[i], m[i].n + AEAD_TAG);

		size_t bad = n / 2;

		m[bad].p[rand_src_below(&src, m[bad].n + AEAD_TAG)] ^= 0x10;
		CHECK_EQ(aead_batch_open(&key, m, n), n - 1);
		for (size_t i = 0; i < n; i++) {
			CHECK_EQ(m[i].ok, i != bad);
			if (i != bad)
				CHECK_MEM(m[i].p, plain, m[i].n);
		}
	}
	aead_key_done(&key);
}

static void batches_of_any_size_match_single_messages(void)
{
	each_backend(batches);
}

static void flips(const struct aead_backend *b)
{
	static const uint8_t zero[100];
	uint8_t k[32] = { 9 }, p[100 + AEAD_TAG];
	struct aead_msg m = { .p = p, .n = 100, .counter = 3 };
	struct aead_key key;

	aead_key_init_with(&key, b, k);
	for (size_t bit = 0; bit < sizeof(p) * 8; bit++) {
		memcpy(p, plain, 100);
		aead_batch_seal(&key, &m, 1);
		p[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK_EQ(aead_batch_open(&key, &m, 1), 0);
		CHECK(!m.ok);
		CHECK_MEM(p, zero, 100);
	}
	aead_key_done(&key);
}

static void every_flipped_bit_is_noticed_and_the_text_wiped(void)
{
	each_backend(flips);
}

/* Sums near the modulus: the final subtraction of Poly1305 must be exact. */
static void extremes(const struct aead_backend *b)
{
	for (int fill = 0; fill <= 255; fill += 51) {
		for (size_t n = 0; n < 200; n += 13) {
			uint8_t k[32], nonce[12], got[256], expect[256];

			memset(k, fill, sizeof(k));
			memset(got, 255 - fill, n);
			aead_nonce_le(nonce, UINT64_MAX - (uint64_t)n);
			aead_seal(expect, k, nonce, span(got, n), span(NULL, 0));
			seal_one(b, k, UINT64_MAX - (uint64_t)n, got, n);
			CHECK_MEM(got, expect, n + AEAD_TAG);
		}
	}
}

static void extreme_bytes_and_counters_agree(void)
{
	each_backend(extremes);
}

static void a_backend_is_picked_and_wiped_keys_may_be_dropped(void)
{
	struct aead_key key = { 0 };

	CHECK(aead_batch_pick() != NULL);
	CHECK(aead_backend_named(aead_batch_pick()) != NULL);
	CHECK(aead_backend_named("none such") == NULL);
	aead_key_done(&key);
}

int main(void)
{
	crypto_start();
	rand_bytes(plain, sizeof(plain));
	RUN(a_backend_is_picked_and_wiped_keys_may_be_dropped);
	RUN(every_backend_gives_the_known_answers);
	RUN(every_backend_agrees_at_every_length_and_alignment);
	RUN(batches_of_any_size_match_single_messages);
	RUN(every_flipped_bit_is_noticed_and_the_text_wiped);
	RUN(extreme_bytes_and_counters_agree);
	return check_done();
}
