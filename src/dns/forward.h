#pragma once
/*
 * The asking side of the resolver: takes queries, asks the upstreams of their
 * route, races and fails over, keeps answers, and never sends a name anywhere
 * but to the upstreams of its longest route.
 *
 * A core: feed it, then drain it. The glue owns the sockets.
 *
 *	dns_forward_query     a client asks
 *	dns_forward_reply     an upstream answered attempt N
 *	dns_forward_failed    attempt N cannot be answered (refused, reset, bad TLS)
 *	dns_forward_timeout   at dns_forward_deadline() or later
 *	dns_forward_next      what to do: send, give up an attempt, answer
 *
 * How one query goes (times from its start): the first upstream at once, others
 * 200 ms after it; UDP, then also TCP when nothing came for 2 s, at once where
 * the answer was cut and the client came by TCP; SERVFAIL and REFUSED wait for
 * the others; 10 s in all. A public resolver known to speak HTTPS is asked so,
 * plain 500 ms later.
 *
 * The same question by another client joins the one under way. So a loop, an
 * upstream that asks us again, ends with the first turn, in SERVFAIL.
 *
 * Ids are drawn anew for each attempt, and an answer counts only with the id
 * and the question of its attempt.
 *
 * Threads	none inside.
 * Source	tailscale v1.102.5 net/dns/resolver/forwarder.go (times, soft errors);
 *		RFC 8484 (id 0 over HTTPS).
 */
#include <stdint.h>

#include "base/rand.h"
#include "base/time.h"
#include "dns/config.h"

enum {
	DNS_FORWARD_JOBS_MAX = 256,     /* questions under way; one more is refused */
	DNS_FORWARD_CLIENTS_MAX = 1024, /* who wait for them */
	DNS_FORWARD_QUERY_MAX = 4096,   /* bytes of a query */
	DNS_CACHE_ENTRIES_MAX = 1024,
	DNS_CACHE_BYTES_MAX = 1 << 20,
	DNS_CACHE_TTL_MAX_S = 3600,
};

struct dns_forward;

struct dns_forward_env {
	struct rand_src rand;
	bool upgrade_https; /* ask public resolvers that are known for it over HTTPS first */
};

enum dns_forward_act {
	DNS_SEND_UDP,  /* msg to upstream->addr, on a socket of its own port */
	DNS_SEND_TCP,  /* the same by TCP */
	DNS_SEND_HTTP, /* POST msg to url; connect to addr if its port is set */
	DNS_GIVE_UP,   /* close what belongs to this attempt */
	DNS_ANSWER,    /* msg to the client */
};

struct dns_forward_out {
	enum dns_forward_act act;
	uint32_t attempt; /* of SEND_*, GIVE_UP */
	uint64_t client;  /* of ANSWER: what dns_forward_query was given */
	struct addr addr;
	const char *url;
	struct span msg; /* good until the next call */
};

NODISCARD struct dns_forward *dns_forward_new(const struct dns_forward_env *env);
void dns_forward_free(struct dns_forward *f);

/* The configuration the next queries see; taken by pointer, it must outlive them or be replaced. */
void dns_forward_config(struct dns_forward *f, const struct dns_config *c);
/* Forgets every kept answer: the network or the upstreams changed. */
void dns_forward_flush(struct dns_forward *f);

/*
 * A client's query, not answered by magic_answer. Every accepted query gets
 * exactly one ANSWER, at the latest after 10 s.
 *   ERR_LIMIT	too many under way, or the query is too long: drop it
 *   ERR_SHORT, ERR_MALFORMED, ERR_BADSTATE, ERR_VERSION	see dns_query_read
 */
NODISCARD int dns_forward_query(struct dns_forward *f, mono now, uint64_t client, bool by_tcp,
                                struct span msg);
/*
 * A query, as if by TCP, to be asked of these upstreams whatever its name, or
 * with n = 0 of those of its route; its answer is neither taken from what is
 * kept nor kept.
 */
NODISCARD int dns_forward_query_of(struct dns_forward *f, mono now, uint64_t client,
                                   struct span msg, const struct dns_upstream *v, size_t n);
void dns_forward_reply(struct dns_forward *f, mono now, uint32_t attempt, struct span msg);
void dns_forward_failed(struct dns_forward *f, mono now, uint32_t attempt);
void dns_forward_timeout(struct dns_forward *f, mono now);
mono dns_forward_deadline(const struct dns_forward *f);
bool dns_forward_next(struct dns_forward *f, struct dns_forward_out *out);

/* unanswered: of servfail those where no upstream said a word. */
struct dns_forward_stats {
	uint64_t queries, hits, joined, answers, servfail, unanswered, mismatched, refused_limit;
	size_t jobs, clients, cached, cached_bytes;
};
void dns_forward_stats(const struct dns_forward *f, struct dns_forward_stats *ret);
