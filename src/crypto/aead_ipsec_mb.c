/*
 * intel-ipsec-mb, loaded at run time. It takes the messages one after another,
 * but without the per-message cost of libcrypto's calls; with AVX-512 it is the
 * fastest there is. Elsewhere our own AVX2 code beats it, so it is not loaded.
 */
#include <assert.h>
#include <dlfcn.h>
#include <intel-ipsec-mb.h>
#include <string.h>

#include "base/enc.h"
#include "crypto/aead_backend.h"

/* Set once, in ipsec_mb_start. */
static struct {
	IMB_MGR *(*alloc)(uint64_t flags);
	void (*init)(IMB_MGR *mgr, IMB_ARCH *arch);
} lib;

/* A manager is not for threads to share, and is too big to have one a key. */
static _Thread_local IMB_MGR *thread_mgr;

static IMB_MGR *manager(void)
{
	if (!thread_mgr) {
		thread_mgr = lib.alloc(0);
		assert(thread_mgr);
		lib.init(thread_mgr, NULL);
	}
	return thread_mgr;
}

/* The manager's layout is of the version of the header, so that must be the library's. */
static bool load(void *so)
{
	unsigned (*version)(void);

	*(void **)&version = dlsym(so, "imb_get_version");
	*(void **)&lib.alloc = dlsym(so, "alloc_mb_mgr");
	*(void **)&lib.init = dlsym(so, "init_mb_mgr_auto");
	return version && lib.alloc && lib.init && version() == IMB_VERSION_NUM;
}

static bool ipsec_mb_start(void)
{
	if (!__builtin_cpu_supports("avx512bw"))
		return false;

	void *so = dlopen("libIPSec_MB.so.1", RTLD_NOW | RTLD_LOCAL);

	if (so && load(so))
		return true;
	if (so)
		dlclose(so);
	return false;
}

static void submit(IMB_MGR *mgr, const struct aead_key *key, const struct aead_msg *m,
                   uint8_t tag[AEAD_TAG], IMB_CIPHER_DIRECTION dir)
{
	uint8_t nonce[12];
	IMB_JOB *j = IMB_GET_NEXT_JOB(mgr);

	aead_nonce_le(nonce, m->counter);
	j->cipher_mode = IMB_CIPHER_CHACHA20_POLY1305;
	j->hash_alg = IMB_AUTH_CHACHA20_POLY1305;
	j->cipher_direction = dir;
	j->chain_order = dir == IMB_DIR_ENCRYPT ? IMB_ORDER_CIPHER_HASH : IMB_ORDER_HASH_CIPHER;
	j->enc_keys = j->dec_keys = key->k;
	j->key_len_in_bytes = AEAD_KEY;
	j->iv = nonce;
	j->iv_len_in_bytes = sizeof(nonce);
	j->src = j->dst = m->p;
	j->cipher_start_src_offset_in_bytes = j->hash_start_src_offset_in_bytes = 0;
	j->msg_len_to_cipher_in_bytes = j->msg_len_to_hash_in_bytes = m->n;
	j->u.CHACHA20_POLY1305.aad = nonce;
	j->u.CHACHA20_POLY1305.aad_len_in_bytes = 0;
	j->auth_tag_output = tag;
	j->auth_tag_output_len_in_bytes = AEAD_TAG;
	/* This cipher's jobs are done when they return; nothing stays in flight. */
	IMB_SUBMIT_JOB_NOCHECK(mgr);
}

static void ipsec_mb_seal(struct aead_key *key, struct aead_msg *msgs, size_t n)
{
	IMB_MGR *mgr = manager();

	for (struct aead_msg *m = msgs; m < msgs + n; m++)
		submit(mgr, key, m, m->p + m->n, IMB_DIR_ENCRYPT);
}

static size_t ipsec_mb_open(struct aead_key *key, struct aead_msg *msgs, size_t n)
{
	IMB_MGR *mgr = manager();
	size_t good = 0;

	for (struct aead_msg *m = msgs; m < msgs + n; m++) {
		uint8_t tag[AEAD_TAG];

		submit(mgr, key, m, tag, IMB_DIR_DECRYPT);
		m->ok = ct_eq(tag, m->p + m->n, AEAD_TAG);
		if (m->ok)
			good++;
		else
			explicit_bzero(m->p, m->n);
	}
	return good;
}

const struct aead_backend aead_backend_ipsec_mb = {
	.name = "ipsec-mb",
	.start = ipsec_mb_start,
	.seal = ipsec_mb_seal,
	.open = ipsec_mb_open,
};
