#pragma once
/*
 * MagicDNS, the answering side: names of the tailnet, the service's own name,
 * 4via6 names, and the names that must never be asked of anybody.
 *
 * Pure. What is not ours is left to dns/forward.h.
 * Source: tailscale v1.102.5 net/dns/resolver/tsdns.go: respond, resolveLocal.
 */
#include "dns/config.h"

enum {
	MAGIC_TTL_S = 5,
	MAGIC_NEGATIVE_TTL_S = 10,
};

/*
 * Answers into dst and returns the bytes, or 0 if the query is not ours to
 * answer. An answer that does not fit into cap is cut and says so (TC); cap is
 * the client's limit: q->udp_size by UDP, DNS_TCP_MAX by TCP.
 */
size_t magic_answer(const struct dns_config *c, const struct dns_query *q, uint8_t *dst,
                    size_t cap);
