#pragma once
/*
 * DNS messages: names, questions, small answers.
 *
 * A name is kept as on the wire, labels with their lengths, lower-cased: a
 * label may hold any byte, also a dot, and only this form cannot be confused.
 *
 * Pure; nothing allocates.
 * Source: RFC 1035 s.3.1, 4.1; RFC 6891 (EDNS); RFC 2308 (negative answers).
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/own.h"
#include "base/span.h"
#include "base/wire.h"

enum {
	DNS_NAME_MAX = 255, /* bytes on the wire, the root label included */
	DNS_LABEL_MAX = 63,
	DNS_NAME_TEXT_MAX = 1024, /* escapes included */
	DNS_HEADER = 12,
	DNS_UDP_PLAIN = 512, /* what a client without EDNS takes */
	DNS_UDP_MAX = 4095,  /* more than this is never sent by UDP */
	DNS_TCP_MAX = 65535,
};

enum dns_type {
	DNS_A = 1,
	DNS_NS = 2,
	DNS_CNAME = 5,
	DNS_SOA = 6,
	DNS_WKS = 11,
	DNS_PTR = 12,
	DNS_HINFO = 13,
	DNS_MINFO = 14,
	DNS_MX = 15,
	DNS_TXT = 16,
	DNS_AAAA = 28,
	DNS_SRV = 33,
	DNS_OPT = 41,
	DNS_AXFR = 252,
	DNS_ALL = 255,
};

enum dns_rcode {
	DNS_NOERROR = 0,
	DNS_FORMERR = 1,
	DNS_SERVFAIL = 2,
	DNS_NXDOMAIN = 3,
	DNS_NOTIMP = 4,
	DNS_REFUSED = 5,
};

/* As Go's dnsmessage names them: "RCodeNameError". */
const char *dns_rcode_name(unsigned rcode);
/* "AAAA"; NULL: none that is known here. */
const char *dns_type_name(uint16_t type);
/* The reverse, in any case; "ALL" too. ERR_UNKNOWN */
NODISCARD int dns_type_parse(struct span text, uint16_t *ret);

enum { DNS_CLASS_IN = 1 };

struct dns_name {
	uint8_t n;      /* bytes in wire, at least 1 once set */
	uint8_t labels; /* the root not counted */
	uint8_t wire[DNS_NAME_MAX];
};

/*
 * "nas.tail.lab", "nas.tail.lab.", "." or "" (the root). No escapes.
 *   ERR_MALFORMED	an empty label
 *   ERR_LIMIT		a label or the name too long
 */
NODISCARD int dns_name_of(struct span text, struct dns_name *ret);
/* With a dot at its end; bytes that are no letter, digit, '-' or '_' as \DDD. */
const char *dns_name_text(const struct dns_name *n, char dst[static DNS_NAME_TEXT_MAX]);
bool dns_name_eq(const struct dns_name *a, const struct dns_name *b);
/* name is the suffix, or lies below it. Every name lies below the root. */
bool dns_name_under(const struct dns_name *name, const struct dns_name *suffix);
/* The name without its first `labels` labels; the root if there are no more. */
struct dns_name dns_name_parent(const struct dns_name *n, unsigned labels);
/* The bytes of the label with this index from the left; empty if there is none. */
struct span dns_name_label(const struct dns_name *n, unsigned index);
/* first + "." + rest. ERR_LIMIT */
NODISCARD int dns_name_join(struct span first, const struct dns_name *rest, struct dns_name *ret);
/* "4.3.2.1.in-addr.arpa." or the nibbles under ip6.arpa. */
struct dns_name dns_name_reverse(const struct ip *ip);
/* The address a reverse name stands for. ERR_MALFORMED for any other name. */
NODISCARD int dns_name_address(const struct dns_name *n, struct ip *ret);

/* Reads a possibly compressed name at the reader; `msg` is the whole message. */
NODISCARD int dns_name_read(struct rd *r, struct span msg, struct dns_name *ret);

struct dns_query {
	uint16_t id;
	uint16_t flags;    /* as they came; the bits that matter also below */
	bool recursion;    /* RD */
	bool checking_off; /* CD */
	bool authentic_ok; /* AD: wants to know whether the answer was validated */
	struct dns_name name;
	uint8_t asked[DNS_NAME_MAX]; /* the name with its capitals, name.n bytes */
	uint16_t type, class;
	size_t question_end; /* bytes of header and question */
	bool edns, dnssec_ok;
	uint16_t udp_size; /* what the client takes by UDP, clamped to 512..DNS_UDP_MAX */
};

/*
 * A query of exactly one question.
 *   ERR_SHORT		no whole header; not worth an answer
 *   ERR_MALFORMED	answer with FORMERR; id and flags are set in ret
 *   ERR_BADSTATE	a response, not a query; drop it
 *   ERR_VERSION	another opcode: NOTIMP; id and flags are set in ret
 */
NODISCARD int dns_query_read(struct span msg, struct dns_query *ret);

/* A query that asks for recursion; dst holds DNS_QUERY_MAX bytes. Its length. */
enum { DNS_QUERY_MAX = DNS_HEADER + DNS_NAME_MAX + 4 };
size_t dns_query_make(uint8_t dst[static DNS_QUERY_MAX], uint16_t id, const struct dns_name *name,
                      uint16_t type);

/*
 * An answer, built straight down: start, records, end. Records beyond the
 * buffer are dropped and end sets TC. Names are written uncompressed but for
 * the owner, which points at the question.
 */
struct dns_answer {
	struct wr w;
	const struct dns_query *query;
	uint16_t answers, authority;
	enum dns_rcode rcode;
	bool authoritative, truncated;
};

void dns_answer_start(struct dns_answer *a, const struct dns_query *q, uint8_t *dst, size_t cap,
                      enum dns_rcode rcode, bool authoritative);
void dns_answer_ip(struct dns_answer *a, const struct ip *ip, uint32_t ttl_s);
void dns_answer_name(struct dns_answer *a, enum dns_type type, const struct dns_name *target,
                     uint32_t ttl_s);
/* In the authority section; no answer may follow. All timers are ttl_s. */
void dns_answer_soa(struct dns_answer *a, const struct dns_name *zone, uint32_t ttl_s);
size_t dns_answer_end(struct dns_answer *a);

/* A bare answer to what could not be parsed: header alone. q has id and flags. */
size_t dns_error(uint8_t dst[static DNS_HEADER], const struct dns_query *q, enum dns_rcode rcode);
/*
 * Makes an answer, got for the same question, one to this query: its id, its
 * flags, the capitals of its name.
 */
void dns_answer_to(uint8_t *msg, size_t n, const struct dns_query *q);

/* What is worth knowing of an answer from upstream. */
struct dns_result {
	enum dns_rcode rcode;
	bool truncated;
	uint32_t ttl_s; /* least of its records; of the SOA for a negative answer; 0: do not keep */
	unsigned answers;
};

/*
 * Does this answer belong to the query: id, QR, opcode, question?
 *   ERR_SHORT, ERR_MALFORMED	no
 *   ERR_BADSTATE	another id or another question
 */
NODISCARD int dns_result_read(struct span msg, const struct dns_query *q, struct dns_result *ret);

/* The records of the answer section, one by one. Views are into the message. */
struct dns_rr {
	struct dns_name owner;
	uint16_t type, class;
	uint32_t ttl_s;
	struct rd data;
};

struct dns_rrs {
	struct span msg;
	struct rd at;
	unsigned left;
};

void dns_rrs_start(struct dns_rrs *s, struct span msg);
/* False: no more, or what follows is malformed. */
bool dns_rrs_next(struct dns_rrs *s, struct dns_rr *ret);

/* Lowers every TTL of a valid message by `age_s`, OPT excepted; malformed parts stop it. */
void dns_age(uint8_t *msg, size_t n, uint32_t age_s);

/*
 * The answers' addresses in order (A and AAAA), following nothing: at most max.
 * Malformed parts end the list. Returns how many.
 */
size_t dns_addresses(struct span msg, struct ip *ret, size_t max);
