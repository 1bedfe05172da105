#pragma once
/*
 * Who may come in: a list of keys, a verifier asked by HTTP, both (the list
 * first), or everybody.
 *
 * The verifier gets POST {"NodePublic":"nodekey:...","Source":"IP"} and answers
 * 200 {"Allow":true} (seen in derper v1.102.5 and Headscale). Its answers are
 * kept for a while. When it cannot be reached, those it let in before are let in
 * for as long as their old answer is known, and the rest as `fail_open` says; an
 * answer that is no 200, or no JSON, is a no.
 */
#include "base/fault.h"
#include "platform/dial.h"
#include "relay/relay.h"

#define ADMIT_COUNT_LIST(X)                                            \
	X(listed, "let in by the list")                                \
	X(unlisted, "not on the list")                                 \
	X(asked, "questions to the verifier")                          \
	X(cached, "answered without asking")                           \
	X(allowed, "let in by the verifier")                           \
	X(refused, "refused by the verifier")                          \
	X(away_open, "let in as the verifier could not be reached")    \
	X(away_closed, "refused as the verifier could not be reached") \
	X(too_many, "refused as too many questions were open")

struct admit_counts {
#define X(name, text) uint64_t name;
	ADMIT_COUNT_LIST(X)
#undef X
};

struct admit_cfg {
	struct ev *ev;
	struct resolver *resolver;
	struct tls_client *tls;
	const char *url;          /* "": no verifier */
	const char *allowed_path; /* "": no list */
	bool fail_open;
	int64_t cache_us;
};

enum {
	ADMIT_LIST_MAX = 16 << 20, /* bytes of the file */
	ADMIT_OPEN_MAX = 256,      /* questions at once; others wait their turn */
	ADMIT_WAITING_MAX = 10000,
	ADMIT_CACHE_MAX = 100000,
	ADMIT_LIMIT_US = 5 * 1000 * 1000,
	ADMIT_ANSWER_MAX = 4096,
};

struct admit;
/* -errno, ERR_MALFORMED: the list, or the URL; ret_fault says where */
NODISCARD int admit_new(const struct admit_cfg *cfg, struct admit **ret, struct fault *reterr);
void admit_free(struct admit *a); /* open questions are answered no; before the relay */
/* For relay_env.admit; owner is the admit. */
void admit_ask(void *owner, struct relay_ask *ask);
/* Reads the list again; on failure the old one stays. The cache is forgotten. */
NODISCARD int admit_reload(struct admit *a, struct fault *reterr);
/* On the list, or there is none: for relay_recheck; arg is the admit. */
bool admit_is_listed(void *arg, const struct node_pub *key);
const struct admit_counts *admit_counts(const struct admit *a);
void admit_metrics(const struct admit *a, struct buf *out);
