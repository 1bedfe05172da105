#include "filter/filter.h"

#include <stdlib.h>

#include "filter/flow.h"
#include "filter/inner.h"

const char *filter_verdict_text(enum filter_verdict v)
{
	static const char *const texts[] = {
#define X(name, text) text,
		FILTER_VERDICTS(X)
#undef X
	};

	return v < FILTER_VERDICT_MAX ? texts[v] : "unknown verdict";
}

void filter_free(struct filter *f)
{
	if (!f)
		return;
	vec_each(struct filter_rule *, r, &f->rules) {
		ipset_done(&r->src);
		vec_done(&r->dst);
	}
	vec_done(&f->rules);
	vec_done(&f->grants);
	vec_done(&f->cuts);
	vec_done(&f->lists);
	ipset_done(&f->local);
	arena_done(&f->arena);
	free(f);
}

/* The rules that name a source: either a list of indexes, or all of them, each to be asked. */
struct candidates {
	const uint32_t *list;
	size_t n;
};

static struct candidates rules_of(const struct filter *f, const struct ip *src)
{
	size_t lo = 0, hi = f->cuts.n;

	if (f->linear)
		return (struct candidates){ NULL, f->rules.n };
	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (ip_cmp(&f->cuts.v[mid].lo, src) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	if (lo == 0)
		return (struct candidates){ NULL, 0 };
	const struct filter_cut *cut = &f->cuts.v[lo - 1];

	return (struct candidates){ f->lists.v + cut->first, cut->count };
}

/* The i-th candidate; NULL if it turns out not to name the source. */
static const struct filter_rule *candidate(const struct filter *f, const struct candidates *c,
                                           size_t i, const struct ip *src)
{
	const struct filter_rule *r = &f->rules.v[c->list ? c->list[i] : i];

	return c->list || ipset_has(&r->src, src) ? r : NULL;
}

static bool has_proto(const struct filter_rule *r, uint8_t proto)
{
	return r->protos[proto / 64] >> proto % 64 & 1;
}

enum want { WANT_PORT, WANT_ALL_PORTS, WANT_ANY };

static bool reaches(const struct filter_rule *r, const struct ip *dst, uint16_t port,
                    enum want want)
{
	vec_each(const struct filter_dst *, d, &r->dst) {
		if (want == WANT_PORT && (port < d->first || port > d->last))
			continue;
		if (want == WANT_ALL_PORTS && (d->first != 0 || d->last != 65535))
			continue;
		if (iprange_has(&d->range, dst))
			return true;
	}
	return false;
}

static bool rules_allow(const struct filter *f, uint8_t proto, const struct ip *src,
                        const struct ip *dst, uint16_t port)
{
	bool icmp = proto == IPPKT_ICMP || proto == IPPKT_ICMP6;
	bool ports = proto == IPPKT_TCP || proto == IPPKT_UDP || proto == IPPKT_SCTP;
	enum want want = icmp ? WANT_ANY : ports ? WANT_PORT : WANT_ALL_PORTS;
	struct candidates c = rules_of(f, src);

	for (size_t i = 0; i < c.n; i++) {
		const struct filter_rule *r = candidate(f, &c, i, src);

		if (r && (icmp || has_proto(r, proto)) && reaches(r, dst, port, want))
			return true;
	}
	return false;
}

/* What holds in both directions. */
static enum filter_verdict sane(const struct ippkt *p)
{
	static const struct ip metadata = { { [10] = 0xff, [11] = 0xff, 169, 254, 169, 254 } };

	if (p->version == 0)
		return FILTER_NOT_IP;
	if (p->proto == IPPKT_UNKNOWN)
		return FILTER_UNKNOWN_PROTOCOL;
	if (ip_is_multicast(&p->dst))
		return FILTER_MULTICAST;
	/* Cloud resolvers answer at the metadata address; tailscaled lets it through too. */
	if (ip_is_link_local(&p->dst) && !ip_eq(&p->dst, &metadata))
		return FILTER_LINK_LOCAL;
	return FILTER_ACCEPT;
}

/* Passes whatever the rules say, once it is for us. */
static bool opens_nothing(struct flow_table *flows, const struct ippkt *p, mono now)
{
	switch (p->proto) {
	case IPPKT_ICMP:
	case IPPKT_ICMP6:
		return ippkt_is_echo_reply(p) || ippkt_is_icmp_error(p);
	case IPPKT_TCP:
		return !ippkt_is_new_tcp(p);
	case IPPKT_UDP:
	case IPPKT_SCTP:
		return flows && flow_known(flows, p, now);
	case IPPKT_TSMP:
		return true;
	default:
		return false;
	}
}

enum filter_verdict filter_in(const struct filter *f, struct flow_table *flows,
                              const struct ippkt *p, enum filter_trust trust, mono now)
{
	enum filter_verdict v = sane(p);

	if (v != FILTER_ACCEPT || p->proto == IPPKT_FRAGMENT)
		return v;
	if (!ipset_has(&f->local, &p->dst))
		return FILTER_NOT_LOCAL;
	if (opens_nothing(flows, p, now))
		return FILTER_ACCEPT;
	if (trust == FILTER_PEER && rules_allow(f, p->proto, &p->src, &p->dst, p->dst_port))
		return FILTER_ACCEPT;
	return FILTER_NO_RULE;
}

enum filter_verdict filter_out(struct flow_table *flows, const struct ippkt *p, mono now)
{
	enum filter_verdict v = sane(p);

	if (v == FILTER_ACCEPT && flows && (p->proto == IPPKT_UDP || p->proto == IPPKT_SCTP))
		flow_note(flows, p, now);
	return v;
}

bool filter_allows(const struct filter *f, uint8_t proto, const struct ip *src,
                   const struct ip *dst, uint16_t dst_port)
{
	return ip_is4(src) == ip_is4(dst) && ipset_has(&f->local, dst) &&
	       rules_allow(f, proto, src, dst, dst_port);
}

bool filter_is_local(const struct filter *f, const struct ip *dst)
{
	return ipset_has(&f->local, dst);
}

void filter_caps(const struct filter *f, const struct ip *src, const struct ip *dst,
                 void (*each)(void *ctx, const struct filter_cap *cap), void *ctx)
{
	vec_each(const struct filter_grant *, g, &f->grants)
		if (iprange_has(&g->dst, dst) && ipset_has(&f->rules.v[g->src].src, src))
			each(ctx, &g->cap);
}
