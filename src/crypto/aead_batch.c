#include "crypto/aead_batch.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>
#include <time.h>

#include "crypto/aead_backend.h"

/* In the order of speed, where there is no AVX-512. */
static const struct aead_backend *const backends[] = {
#ifdef FAIRLEAD_AEAD_AVX2
	&aead_backend_avx2,
#endif
#ifdef FAIRLEAD_AEAD_IPSEC_MB
	&aead_backend_ipsec_mb,
#endif
	&aead_backend_evp,
	&aead_backend_sodium,
};

/* Written once under `once`, read-only after. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static bool started[ARRAY_LEN(backends)];
static const struct aead_backend *picked;

enum { TRIAL_MSGS = 16, TRIAL_LEN = 1424, TRIAL_ROUNDS = 4 };

static int64_t cpu_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* The best of a few rounds over what a full-size batch looks like. */
static int64_t trial(const struct aead_backend *b)
{
	static uint8_t text[TRIAL_MSGS][TRIAL_LEN + AEAD_TAG];
	static const uint8_t k[AEAD_KEY] = { 1 };
	struct aead_msg msgs[TRIAL_MSGS];
	struct aead_key key;
	int64_t best = INT64_MAX;

	for (size_t i = 0; i < TRIAL_MSGS; i++)
		msgs[i] = (struct aead_msg){ .p = text[i], .n = TRIAL_LEN, .counter = i };
	aead_key_init_with(&key, b, k);
	for (int round = 0; round < TRIAL_ROUNDS; round++) {
		int64_t t = cpu_ns();

		b->seal(&key, msgs, TRIAL_MSGS);
		t = cpu_ns() - t;
		if (t < best)
			best = t;
	}
	aead_key_done(&key);
	return best;
}

/*
 * On AVX-512 several could be the fastest: they are timed. Elsewhere the order
 * of the list is the order of speed, and what comes later stays unloaded: it
 * would cost more memory than all else here.
 */
static bool worth_timing(void)
{
#if defined(__x86_64__)
	return __builtin_cpu_supports("avx512f");
#else
	return false;
#endif
}

static void pick(void)
{
	int64_t best = INT64_MAX;

	for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
		if (picked && (!worth_timing() || backends[i] == &aead_backend_sodium))
			break;
		started[i] = backends[i]->start();
		if (!started[i])
			continue;

		int64_t t = worth_timing() ? trial(backends[i]) : 0;

		if (t < best) {
			best = t;
			picked = backends[i];
		}
	}
}

const char *aead_batch_pick(void)
{
	pthread_once(&once, pick);
	return picked->name;
}

const struct aead_backend *aead_backend_named(const char *name)
{
	pthread_once(&once, pick);
	for (size_t i = 0; i < ARRAY_LEN(backends); i++) {
		if (strcmp(backends[i]->name, name) != 0)
			continue;
		if (!started[i])
			started[i] = backends[i]->start();
		return started[i] ? backends[i] : NULL;
	}
	return NULL;
}

void aead_key_init_with(struct aead_key *key, const struct aead_backend *backend,
                        const uint8_t k[static AEAD_KEY])
{
	key->backend = backend;
	key->state = NULL;
	memcpy(key->k, k, AEAD_KEY);
}

void aead_key_init(struct aead_key *key, const uint8_t k[static AEAD_KEY])
{
	pthread_once(&once, pick);
	aead_key_init_with(key, picked, k);
}

void aead_key_done(struct aead_key *key)
{
	if (key->state && key->backend->drop)
		key->backend->drop(key);
	explicit_bzero(key, sizeof(*key));
}

void aead_batch_seal(struct aead_key *key, struct aead_msg *msgs, size_t n)
{
	assert(n <= AEAD_BATCH_MAX);
	key->backend->seal(key, msgs, n);
}

size_t aead_batch_open(struct aead_key *key, struct aead_msg *msgs, size_t n)
{
	assert(n <= AEAD_BATCH_MAX);
	return key->backend->open(key, msgs, n);
}
