#include "protocol/dnsmsg.h"

#include <stdio.h>

#include "base/enc.h"

enum {
	FLAG_QR = 0x8000,
	FLAG_OPCODE = 0x7800,
	FLAG_AA = 0x0400,
	FLAG_TC = 0x0200,
	FLAG_RD = 0x0100,
	FLAG_RA = 0x0080,
	FLAG_AD = 0x0020,
	FLAG_CD = 0x0010,
	FLAG_RCODE = 0x000f,
	EDNS_DO = 0x8000,
	POINTER = 0xc0,
	POINTERS_MAX = 32, /* jumps in one name */
	RECORDS_MAX = 4096,
};

const char *dns_rcode_name(unsigned rcode)
{
	static const char *const names[] = { "RCodeSuccess",        "RCodeFormatError",
		                             "RCodeServerFailure",  "RCodeNameError",
		                             "RCodeNotImplemented", "RCodeRefused" };

	return rcode < ARRAY_LEN(names) ? names[rcode] : "other";
}

/* clang-format off */
static const struct {
	const char *name;
	uint16_t type;
} types[] = {
	{ "A", DNS_A },         { "NS", DNS_NS },     { "CNAME", DNS_CNAME }, { "SOA", DNS_SOA },
	{ "WKS", DNS_WKS },     { "PTR", DNS_PTR },   { "HINFO", DNS_HINFO }, { "MINFO", DNS_MINFO },
	{ "MX", DNS_MX },       { "TXT", DNS_TXT },   { "AAAA", DNS_AAAA },   { "SRV", DNS_SRV },
	{ "OPT", DNS_OPT },     { "AXFR", DNS_AXFR }, { "ALL", DNS_ALL },
};
/* clang-format on */

const char *dns_type_name(uint16_t type)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (types[i].type == type)
			return types[i].name;
	return NULL;
}

int dns_type_parse(struct span text, uint16_t *ret)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++) {
		if (span_eq_nocase(text, span_str(types[i].name))) {
			*ret = types[i].type;
			return 0;
		}
	}
	return ERR_UNKNOWN;
}

static uint8_t lower(uint8_t c)
{
	return c >= 'A' && c <= 'Z' ? (uint8_t)(c + ('a' - 'A')) : c;
}

static const struct dns_name root = { .n = 1 };

/* Appends a label in front of the root. ERR_LIMIT */
static int add_label(struct dns_name *n, struct span label)
{
	if (label.n == 0)
		return ERR_MALFORMED;
	if (label.n > DNS_LABEL_MAX || n->n + label.n + 1 > DNS_NAME_MAX)
		return ERR_LIMIT;

	uint8_t *at = n->wire + n->n - 1;

	*at++ = (uint8_t)label.n;
	for (size_t i = 0; i < label.n; i++)
		*at++ = lower(label.p[i]);
	*at = 0;
	n->n = (uint8_t)(n->n + label.n + 1);
	n->labels++;
	return 0;
}

int dns_name_of(struct span text, struct dns_name *ret)
{
	struct dns_name n = root;
	struct span label;

	if (text.n && text.p[text.n - 1] == '.')
		text.n--;
	while (text.n && span_cut(&text, '.', &label)) {
		int r = add_label(&n, label);

		if (r < 0)
			return r;
		if (text.p && text.n == 0)
			return ERR_MALFORMED;
	}
	*ret = n;
	return 0;
}

static bool is_plain(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

const char *dns_name_text(const struct dns_name *n, char dst[static DNS_NAME_TEXT_MAX])
{
	char *at = dst;

	for (const uint8_t *l = n->wire; *l; l += *l + 1) {
		for (size_t i = 1; i <= *l; i++) {
			if (is_plain(l[i]))
				*at++ = (char)l[i];
			else
				at += snprintf(at, 5, "\\%03u", l[i]);
		}
		*at++ = '.';
	}
	if (at == dst)
		*at++ = '.';
	*at = '\0';
	return dst;
}

bool dns_name_eq(const struct dns_name *a, const struct dns_name *b)
{
	return a->n == b->n && memcmp(a->wire, b->wire, a->n) == 0;
}

/* Where the name without its first labels begins. */
static const uint8_t *past(const struct dns_name *n, unsigned labels)
{
	const uint8_t *l = n->wire;

	while (labels-- && *l)
		l += *l + 1;
	return l;
}

bool dns_name_under(const struct dns_name *name, const struct dns_name *suffix)
{
	if (name->labels < suffix->labels)
		return false;

	const uint8_t *tail = past(name, name->labels - suffix->labels);

	return (size_t)(name->wire + name->n - tail) == suffix->n &&
	       memcmp(tail, suffix->wire, suffix->n) == 0;
}

struct dns_name dns_name_parent(const struct dns_name *n, unsigned labels)
{
	const uint8_t *tail = past(n, labels);
	struct dns_name parent = root;

	if (labels >= n->labels)
		return parent;
	parent.n = (uint8_t)(n->wire + n->n - tail);
	parent.labels = (uint8_t)(n->labels - labels);
	memcpy(parent.wire, tail, parent.n);
	return parent;
}

struct span dns_name_label(const struct dns_name *n, unsigned index)
{
	const uint8_t *l = past(n, index);

	return span(l + 1, *l);
}

int dns_name_join(struct span first, const struct dns_name *rest, struct dns_name *ret)
{
	struct dns_name n = root;
	int r = add_label(&n, first);

	if (r < 0)
		return r;
	if (n.n - 1 + rest->n > DNS_NAME_MAX)
		return ERR_LIMIT;
	memcpy(n.wire + n.n - 1, rest->wire, rest->n);
	n.n = (uint8_t)(n.n - 1 + rest->n);
	n.labels = (uint8_t)(n.labels + rest->labels);
	*ret = n;
	return 0;
}

struct dns_name dns_name_reverse(const struct ip *ip)
{
	struct dns_name n = root;
	char label[4];

	if (ip_is4(ip)) {
		for (int i = 3; i >= 0; i--) {
			(void)snprintf(label, sizeof(label), "%u", ip_v4(ip)[i]);
			(void)!add_label(&n, span_str(label));
		}
		(void)!add_label(&n, SPAN_LIT("in-addr"));
	} else {
		for (int i = 31; i >= 0; i--) {
			uint8_t nibble = ip->b[i / 2] >> (i % 2 ? 0 : 4) & 15;

			label[0] = "0123456789abcdef"[nibble];
			(void)!add_label(&n, span(label, 1));
		}
		(void)!add_label(&n, SPAN_LIT("ip6"));
	}
	(void)!add_label(&n, SPAN_LIT("arpa"));
	return n;
}

static int reverse_address(const struct dns_name *n, bool four, struct ip *ret)
{
	uint8_t b[16] = { 0 };

	for (unsigned i = 0; i < (four ? 4u : 32u); i++) {
		struct span label = dns_name_label(n, i);
		uint64_t v;

		if (four) {
			if (span_u64(label, 255, &v) < 0)
				return ERR_MALFORMED;
			b[3 - i] = (uint8_t)v;
			continue;
		}

		uint8_t nibble[2] = { '0', label.n == 1 ? label.p[0] : 'x' };
		uint8_t byte;

		if (hex_decode(&byte, 1, SPAN_OF(nibble)) < 0)
			return ERR_MALFORMED;
		b[15 - i / 2] |= (uint8_t)(byte << (i % 2 ? 4 : 0));
	}
	*ret = four ? ip4_of(b) : ip6_of(b);
	return 0;
}

int dns_name_address(const struct dns_name *n, struct ip *ret)
{
	if (n->labels != 6 && n->labels != 34)
		return ERR_MALFORMED;

	bool four = n->labels == 6;

	if (!span_is(dns_name_label(n, n->labels - 1u), "arpa") ||
	    !span_is(dns_name_label(n, n->labels - 2u), four ? "in-addr" : "ip6"))
		return ERR_MALFORMED;
	return reverse_address(n, four, ret);
}

int dns_name_read(struct rd *r, struct span msg, struct dns_name *ret)
{
	struct dns_name n = root;
	struct rd at = *r;
	unsigned jumps = 0;

	for (;;) {
		uint8_t len = rd_u8(&at);

		if (at.bad)
			return ERR_SHORT;
		if (len == 0)
			break;
		if ((len & POINTER) == POINTER) {
			size_t to = (size_t)(len & ~POINTER) << 8 | rd_u8(&at);

			if (at.bad || to >= msg.n || ++jumps > POINTERS_MAX)
				return ERR_MALFORMED;
			if (jumps == 1)
				*r = at;
			at = rd_span(span_from(msg, to));
			continue;
		}
		if (len & POINTER)
			return ERR_MALFORMED;

		const uint8_t *label = rd_view(&at, len);

		if (!label)
			return ERR_SHORT;

		int bad = add_label(&n, span(label, len));

		if (bad < 0)
			return bad;
	}
	if (jumps == 0)
		*r = at;
	*ret = n;
	return 0;
}

struct record {
	struct dns_name owner;
	uint16_t type, class;
	uint32_t ttl_s;
	size_t ttl_at; /* offset in the message */
	struct rd data;
};

static int read_record(struct rd *r, struct span msg, struct record *ret)
{
	int bad = dns_name_read(r, msg, &ret->owner);

	if (bad < 0)
		return bad;
	ret->type = rd_be16(r);
	ret->class = rd_be16(r);
	ret->ttl_at = r->bad ? 0 : (size_t)(r->p - msg.p);
	ret->ttl_s = rd_be32(r);
	ret->data = rd_sub(r, rd_be16(r));
	return rd_ok(r);
}

/* The OPT record of a query's additional section, if any. */
static void read_edns(struct rd r, struct span msg, unsigned records, struct dns_query *q)
{
	struct record rec;

	for (unsigned i = 0; i < records && read_record(&r, msg, &rec) == 0; i++) {
		if (rec.type != DNS_OPT)
			continue;
		q->edns = true;
		q->dnssec_ok = rec.ttl_s & EDNS_DO;
		q->udp_size = rec.class;
		if (q->udp_size < DNS_UDP_PLAIN)
			q->udp_size = DNS_UDP_PLAIN;
		if (q->udp_size > DNS_UDP_MAX)
			q->udp_size = DNS_UDP_MAX;
		return;
	}
}

/* A name written with pointers, which nobody does in a question, loses them. */
static void keep_capitals(struct span msg, struct dns_query *q)
{
	bool whole = q->question_end == DNS_HEADER + q->name.n + 4u;

	memcpy(q->asked, whole ? msg.p + DNS_HEADER : q->name.wire, q->name.n);
}

int dns_query_read(struct span msg, struct dns_query *ret)
{
	struct rd r = rd_span(msg);

	*ret = (struct dns_query){ .id = rd_be16(&r), .udp_size = DNS_UDP_PLAIN };

	uint16_t flags = rd_be16(&r);
	uint16_t questions = rd_be16(&r);
	unsigned before = rd_be16(&r);

	before += rd_be16(&r);

	uint16_t additional = rd_be16(&r);

	if (r.bad)
		return ERR_SHORT;
	ret->flags = flags;
	if (flags & FLAG_QR)
		return ERR_BADSTATE;
	if (flags & FLAG_OPCODE)
		return ERR_VERSION;
	ret->recursion = flags & FLAG_RD;
	ret->checking_off = flags & FLAG_CD;
	ret->authentic_ok = flags & FLAG_AD;
	if (questions != 1 || dns_name_read(&r, msg, &ret->name) < 0)
		return ERR_MALFORMED;
	ret->type = rd_be16(&r);
	ret->class = rd_be16(&r);
	if (r.bad)
		return ERR_MALFORMED;
	ret->question_end = (size_t)(r.p - msg.p);
	keep_capitals(msg, ret);
	read_edns(r, msg, before + additional, ret);
	return 0;
}

size_t dns_query_make(uint8_t dst[static DNS_QUERY_MAX], uint16_t id, const struct dns_name *name,
                      uint16_t type)
{
	uint8_t *end = dst + DNS_HEADER + name->n;

	memset(dst, 0, DNS_HEADER);
	put_be16(dst, id);
	put_be16(dst + 2, FLAG_RD);
	put_be16(dst + 4, 1);
	memcpy(dst + DNS_HEADER, name->wire, name->n);
	put_be16(end, type);
	put_be16(end + 2, DNS_CLASS_IN);
	return (size_t)(end + 4 - dst);
}

void dns_answer_start(struct dns_answer *a, const struct dns_query *q, uint8_t *dst, size_t cap,
                      enum dns_rcode rcode, bool authoritative)
{
	/* The OPT record at the end has its room set aside. */
	size_t opt = q->edns ? 11 : 0;

	*a = (struct dns_answer){ .w = wr_of(dst, cap > opt ? cap - opt : 0),
		                  .query = q,
		                  .rcode = rcode,
		                  .authoritative = authoritative };
	wr_zero(&a->w, DNS_HEADER);
	wr_bytes(&a->w, q->asked, q->name.n);
	wr_be16(&a->w, q->type);
	wr_be16(&a->w, q->class);
}

/* Writes a record whole or not at all. */
static void add_record(struct dns_answer *a, struct span owner, enum dns_type type, uint32_t ttl_s,
                       struct span data, uint16_t *count)
{
	struct wr w = a->w;

	if (a->truncated || w.bad)
		return;
	wr_bytes(&w, owner.p, owner.n);
	wr_be16(&w, (uint16_t)type);
	wr_be16(&w, DNS_CLASS_IN);
	wr_be32(&w, ttl_s);
	wr_be16(&w, (uint16_t)data.n);
	wr_bytes(&w, data.p, data.n);
	if (w.bad) {
		a->truncated = true;
		return;
	}
	a->w = w;
	(*count)++;
}

/* A pointer to the question's name. */
static const struct span question = { (const uint8_t *)"\xc0\x0c", 2 };

void dns_answer_ip(struct dns_answer *a, const struct ip *ip, uint32_t ttl_s)
{
	if (ip_is4(ip))
		add_record(a, question, DNS_A, ttl_s, span(ip_v4(ip), 4), &a->answers);
	else
		add_record(a, question, DNS_AAAA, ttl_s, span(ip->b, 16), &a->answers);
}

void dns_answer_name(struct dns_answer *a, enum dns_type type, const struct dns_name *target,
                     uint32_t ttl_s)
{
	add_record(a, question, type, ttl_s, span(target->wire, target->n), &a->answers);
}

void dns_answer_soa(struct dns_answer *a, const struct dns_name *zone, uint32_t ttl_s)
{
	uint8_t data[2 * DNS_NAME_MAX + 20];
	struct wr w = wr_of(data, sizeof(data));
	size_t n = 0;

	/* Names nobody has: the zone itself serves as primary and mailbox. */
	wr_bytes(&w, zone->wire, zone->n);
	wr_bytes(&w, zone->wire, zone->n);
	for (int i = 0; i < 5; i++)
		wr_be32(&w, i == 0 ? 1 : ttl_s);
	if (wr_end(&w, &n) == 0)
		add_record(a, span(zone->wire, zone->n), DNS_SOA, ttl_s, span(data, n),
		           &a->authority);
}

size_t dns_answer_end(struct dns_answer *a)
{
	const struct dns_query *q = a->query;
	uint16_t flags = FLAG_QR | (uint16_t)a->rcode;

	if (a->w.bad)
		return 0;
	if (q->edns) {
		a->w.end += 11;
		wr_u8(&a->w, 0);
		wr_be16(&a->w, DNS_OPT);
		wr_be16(&a->w, DNS_UDP_MAX);
		wr_be32(&a->w, q->dnssec_ok ? EDNS_DO : 0);
		wr_be16(&a->w, 0);
	}
	if (a->authoritative)
		flags |= FLAG_AA;
	if (a->truncated)
		flags |= FLAG_TC;
	if (q->recursion)
		flags |= FLAG_RD | FLAG_RA;
	flags |= q->flags & (FLAG_AD | FLAG_CD);
	put_be16(a->w.start, q->id);
	put_be16(a->w.start + 2, flags);
	put_be16(a->w.start + 4, 1);
	put_be16(a->w.start + 6, a->answers);
	put_be16(a->w.start + 8, a->authority);
	put_be16(a->w.start + 10, q->edns);
	return wr_len(&a->w);
}

size_t dns_error(uint8_t dst[static DNS_HEADER], const struct dns_query *q, enum dns_rcode rcode)
{
	memset(dst, 0, DNS_HEADER);
	put_be16(dst, q->id);
	put_be16(dst + 2,
	         FLAG_QR | FLAG_RA | (q->flags & (FLAG_OPCODE | FLAG_RD)) | (uint16_t)rcode);
	return DNS_HEADER;
}

void dns_answer_to(uint8_t *msg, size_t n, const struct dns_query *q)
{
	uint16_t echo = FLAG_RD | FLAG_CD;

	if (n < DNS_HEADER)
		return;
	put_be16(msg, q->id);
	put_be16(msg + 2, (uint16_t)((be16_at(msg + 2) & ~echo) | (q->flags & echo)));
	if (n < DNS_HEADER + (size_t)q->name.n)
		return;
	for (size_t i = 0; i < q->name.n; i++)
		if (lower(msg[DNS_HEADER + i]) != q->name.wire[i])
			return;
	memcpy(msg + DNS_HEADER, q->asked, q->name.n);
}

/* The negative-caching time of RFC 2308: the lesser of the SOA's TTL and its last field. */
static uint32_t soa_ttl(const struct record *rec, struct span msg)
{
	struct rd r = rec->data;
	struct dns_name skip;

	if (dns_name_read(&r, msg, &skip) < 0 || dns_name_read(&r, msg, &skip) < 0)
		return 0;
	(void)rd_view(&r, 16);

	uint32_t minimum = rd_be32(&r);

	if (r.bad)
		return 0;
	return minimum < rec->ttl_s ? minimum : rec->ttl_s;
}

static int read_ttl(struct rd *r, struct span msg, const uint16_t counts[static 3],
                    struct dns_result *res)
{
	uint32_t least = UINT32_MAX;
	unsigned total = 0;

	for (unsigned section = 0; section < 3; section++) {
		for (unsigned i = 0; i < counts[section]; i++) {
			struct record rec;
			int bad = read_record(r, msg, &rec);

			if (bad < 0 || ++total > RECORDS_MAX)
				return bad < 0 ? bad : ERR_LIMIT;
			if (rec.type == DNS_OPT)
				continue;
			if (rec.type == DNS_SOA && section == 1)
				rec.ttl_s = soa_ttl(&rec, msg);
			if (rec.ttl_s < least)
				least = rec.ttl_s;
		}
	}
	/* Without a single record there is nothing that says how long to keep it. */
	res->ttl_s = least == UINT32_MAX ? 0 : least;
	return 0;
}

int dns_result_read(struct span msg, const struct dns_query *q, struct dns_result *ret)
{
	struct rd r = rd_span(msg);
	uint16_t id = rd_be16(&r);
	uint16_t flags = rd_be16(&r);
	uint16_t questions = rd_be16(&r);
	uint16_t counts[3];
	struct dns_name name;

	for (unsigned i = 0; i < 3; i++)
		counts[i] = rd_be16(&r);
	if (r.bad)
		return ERR_SHORT;
	if (id != q->id || !(flags & FLAG_QR) || (flags & FLAG_OPCODE))
		return ERR_BADSTATE;
	if (questions != 1 || dns_name_read(&r, msg, &name) < 0)
		return ERR_MALFORMED;

	uint16_t type = rd_be16(&r);
	uint16_t class = rd_be16(&r);

	if (r.bad)
		return ERR_MALFORMED;
	if (!dns_name_eq(&name, &q->name) || type != q->type || class != q->class)
		return ERR_BADSTATE;

	struct dns_result res = { .rcode = (enum dns_rcode)(flags & FLAG_RCODE),
		                  .truncated = flags & FLAG_TC,
		                  .answers = counts[0] };

	/* A truncated message may end anywhere; its records are not looked at. */
	if (!res.truncated) {
		int bad = read_ttl(&r, msg, counts, &res);

		if (bad < 0)
			return bad;
	}
	*ret = res;
	return 0;
}

void dns_age(uint8_t *msg, size_t n, uint32_t age_s)
{
	struct span all = { msg, n };
	struct rd r = rd_span(all);
	struct dns_name name;
	unsigned records = 0;

	(void)rd_be32(&r);

	uint16_t questions = rd_be16(&r);

	for (unsigned i = 0; i < 3; i++)
		records += rd_be16(&r);
	for (unsigned i = 0; i < questions; i++) {
		if (dns_name_read(&r, all, &name) < 0)
			return;
		(void)rd_be32(&r);
	}
	for (unsigned i = 0; i < records; i++) {
		struct record rec;

		if (read_record(&r, all, &rec) < 0)
			return;
		if (rec.type != DNS_OPT)
			put_be32(msg + rec.ttl_at, rec.ttl_s > age_s ? rec.ttl_s - age_s : 0);
	}
}

void dns_rrs_start(struct dns_rrs *s, struct span msg)
{
	struct dns_name name;

	*s = (struct dns_rrs){ .msg = msg, .at = rd_span(msg) };
	(void)rd_be32(&s->at);

	uint16_t questions = rd_be16(&s->at);
	unsigned answers = rd_be16(&s->at);

	(void)rd_be32(&s->at);
	for (unsigned i = 0; i < questions; i++) {
		if (dns_name_read(&s->at, msg, &name) < 0)
			return;
		(void)rd_be32(&s->at);
	}
	s->left = s->at.bad ? 0 : answers;
}

bool dns_rrs_next(struct dns_rrs *s, struct dns_rr *ret)
{
	struct record rec;

	if (s->left == 0 || read_record(&s->at, s->msg, &rec) < 0) {
		s->left = 0;
		return false;
	}
	s->left--;
	*ret = (struct dns_rr){ rec.owner, rec.type, rec.class, rec.ttl_s, rec.data };
	return true;
}

size_t dns_addresses(struct span msg, struct ip *ret, size_t max)
{
	struct dns_rrs all;
	struct dns_rr rr;
	size_t found = 0;

	dns_rrs_start(&all, msg);
	while (found < max && dns_rrs_next(&all, &rr)) {
		if (rr.type == DNS_A && rd_left(&rr.data) == 4)
			ret[found++] = ip4_of(rr.data.p);
		else if (rr.type == DNS_AAAA && rd_left(&rr.data) == 16)
			ret[found++] = ip6_of(rr.data.p);
	}
	return found;
}
