#pragma once
/*
 * STUN for those who ask politely: requests in, answers out, and no more a
 * second for one source than allowed (an IPv4 address, or an IPv6 /64).
 *
 * The table has a fixed size. When two sources share a place the one that was
 * there longer idle gives way, with its allowance spent: a flood of forged
 * addresses can at worst make us answer less.
 *
 * Pure.
 */
#include "base/time.h"
#include "protocol/stun.h"

enum { STUNSRV_SLOTS = 4096, STUNSRV_WAYS = 4 };

#define STUNSRV_COUNT_LIST(X)                                    \
	X(answered, "requests answered")                         \
	X(malformed, "datagrams that were no binding request")   \
	X(foreign, "requests not made by a client of this kind") \
	X(limited, "requests over the rate of their source")

struct stunsrv {
	double per_s, burst;
	uint64_t hash_key[2];
#define X(name, text) uint64_t name;
	STUNSRV_COUNT_LIST(X)
#undef X
	struct stunsrv_slot {
		uint64_t who; /* hash of the source; 0: free */
		mono at;
		float tokens;
	} slot[STUNSRV_SLOTS / STUNSRV_WAYS][STUNSRV_WAYS];
};

/* per_s 0: no limit */
void stunsrv_init(struct stunsrv *s, double per_s, const uint64_t hash_key[static 2]);
/* The answer's length; 0: none. */
size_t stunsrv_answer(struct stunsrv *s, mono now, const struct addr *from, struct span pkt,
                      uint8_t dst[static STUN_RESPONSE_MAX]);
