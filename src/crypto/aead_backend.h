#pragma once
/* What a cipher backend of crypto/aead_batch.h is. Private to crypto/. */
#include "crypto/aead_batch.h"

struct aead_backend {
	const char *name;
	/* Loads what it needs; false if this machine cannot. Called once, before any other. */
	bool (*start)(void);
	void (*seal)(struct aead_key *key, struct aead_msg *msgs, size_t n);
	size_t (*open)(struct aead_key *key, struct aead_msg *msgs, size_t n);
	/* Drops key->state; NULL if there never is one. */
	void (*drop)(struct aead_key *key);
};

extern const struct aead_backend aead_backend_evp;
extern const struct aead_backend aead_backend_sodium;
#ifdef FAIRLEAD_AEAD_AVX2
extern const struct aead_backend aead_backend_avx2;
#endif
#ifdef FAIRLEAD_AEAD_IPSEC_MB
extern const struct aead_backend aead_backend_ipsec_mb;
#endif
