#include "host/warden_msg.h"

#include <string.h>

#include "base/err.h"
#include "base/wire.h"

enum { IP_BYTES = 16, PREFIX_BYTES = 17, NET_BYTES = 18, PEER_BYTES_MIN = 13, TEXT_BYTES_MIN = 4 };

static void put_u32(struct buf *out, size_t v)
{
	uint8_t b[4];

	put_be32(b, (uint32_t)v);
	buf_add(out, b, sizeof(b));
}

static void put_text(struct buf *out, const char *s)
{
	struct span text = span_first(span_str(s ? s : ""), WARDEN_TEXT_MAX);

	put_u32(out, text.n);
	buf_add_span(out, text);
}

static void put_ip(struct buf *out, const struct ip *ip)
{
	buf_add(out, ip->b, IP_BYTES);
}

static void put_prefix(struct buf *out, const struct prefix *p)
{
	put_ip(out, &p->ip);
	buf_add_u8(out, p->bits);
}

static void put_prefixes(struct buf *out, const struct prefix *v, size_t n)
{
	put_u32(out, n);
	for (size_t i = 0; i < n; i++)
		put_prefix(out, &v[i]);
}

static void put_ips(struct buf *out, const struct ip *v, size_t n)
{
	put_u32(out, n);
	for (size_t i = 0; i < n; i++)
		put_ip(out, &v[i]);
}

static void put_texts(struct buf *out, char *const *v, size_t n)
{
	put_u32(out, n);
	for (size_t i = 0; i < n; i++)
		put_text(out, v[i]);
}

/* How many there are of something that takes at least `size` bytes each. */
static size_t get_count(struct rd *r, size_t size)
{
	size_t n = rd_be32(r);

	if (n > WARDEN_LIST_MAX || n > rd_left(r) / size)
		r->bad = true;
	return r->bad ? 0 : n;
}

static char *get_text(struct rd *r, struct arena *a)
{
	size_t n = rd_be32(r);
	const uint8_t *at = n <= WARDEN_TEXT_MAX ? rd_view(r, n) : NULL;

	if (!at || memchr(at, '\0', n)) {
		r->bad = true;
		return NULL;
	}
	return a ? arena_str(a, span(at, n)) : span_dup(span(at, n));
}

/* Of a domain: nothing that a line of a resolver's file could take for something else. */
static char *get_name(struct rd *r)
{
	char *name = get_text(r, NULL);

	for (const uint8_t *c = (const uint8_t *)name; c && *c; c++)
		r->bad |= *c <= ' ' || *c == 0x7f;
	return name;
}

static struct ip get_ip(struct rd *r)
{
	struct ip ip;

	rd_copy(r, ip.b, IP_BYTES);
	return ip;
}

static struct prefix get_prefix(struct rd *r)
{
	struct prefix p = { .ip = get_ip(r), .bits = rd_u8(r) };

	if (p.bits > (prefix_is4(&p) ? 32 : 128))
		r->bad = true;
	return p;
}

static const struct prefix *get_prefixes(struct rd *r, struct arena *a, size_t *ret_n)
{
	size_t n = *ret_n = get_count(r, PREFIX_BYTES);
	struct prefix *v = arena_new_n(a, struct prefix, n + 1);

	for (size_t i = 0; i < n; i++)
		v[i] = get_prefix(r);
	return v;
}

void warden_put_result(struct buf *out, int r)
{
	put_u32(out, (uint32_t)-r);
}

int warden_get_result(struct span *body, int *ret)
{
	struct rd r = rd_span(*body);
	uint32_t code = rd_be32(&r);

	if (r.bad || code > INT32_MAX)
		return ERR_SHORT;
	*ret = -(int)code;
	*body = rd_rest(&r);
	return 0;
}

/* ---- the host's network --------------------------------------------------- */

/* One list gives both directions of the yes-or-no fields. */
#define FLAGS(X)         \
	X(ip6)           \
	X(accept_routes) \
	X(use_exit)      \
	X(exit_lan) X(one_cgnat) X(service_routes) X(snat) X(stateful) X(cgnat_drop) X(via6)

static void put_peer(struct buf *out, const struct router_peer *p)
{
	put_prefixes(out, p->allowed, p->n_allowed);
	put_ips(out, p->addrs, p->n_addrs);
	put_text(out, p->name);
	buf_add_u8(out, p->is_exit);
}

void warden_put_router(struct buf *out, const struct router_cfg *cfg)
{
	put_text(out, cfg->dev);
	put_u32(out, cfg->mtu);
	put_u32(out, cfg->udp_port);
	put_u32(out, cfg->netfilter);
#define X(name) buf_add_u8(out, cfg->name);
	FLAGS(X)
#undef X
	put_prefixes(out, cfg->self, cfg->n_self);
	put_u32(out, cfg->n_nets);
	for (size_t i = 0; i < cfg->n_nets; i++) {
		put_prefix(out, &cfg->nets[i].prefix);
		buf_add_u8(out, cfg->nets[i].internal);
	}
	put_u32(out, cfg->n_peers);
	for (size_t i = 0; i < cfg->n_peers; i++)
		put_peer(out, &cfg->peers[i]);
}

static bool get_bool(struct rd *r)
{
	uint8_t v = rd_u8(r);

	if (v > 1)
		r->bad = true;
	return v == 1;
}

/* One that an interface of ours may have: a host's, of no special meaning to this host. */
static bool is_address(const struct prefix *p)
{
	return prefix_is_host(p) && !ip_is_zero(&p->ip) && !ip_is_loopback(&p->ip) &&
	       !ip_is_link_local(&p->ip) && !ip_is_multicast(&p->ip);
}

static void get_head(struct rd *r, struct arena *a, struct router_cfg *ret)
{
	const char *dev = get_text(r, a);
	uint32_t port, mode;

	ret->mtu = rd_be32(r);
	port = rd_be32(r);
	mode = rd_be32(r);
	if (!dev || strlen(dev) > ROUTER_NAME_MAX || port > UINT16_MAX ||
	    mode > ROUTER_NETFILTER_ON || ret->mtu > UINT16_MAX) {
		r->bad = true;
		return;
	}
	memcpy(ret->dev, dev, strlen(dev) + 1);
	ret->udp_port = (uint16_t)port;
	ret->netfilter = (enum router_netfilter)mode;
#define X(name) ret->name = get_bool(r);
	FLAGS(X)
#undef X
}

static void get_peer(struct rd *r, struct arena *a, struct router_peer *ret)
{
	ret->allowed = get_prefixes(r, a, &ret->n_allowed);
	ret->n_addrs = get_count(r, IP_BYTES);

	struct ip *addrs = arena_new_n(a, struct ip, ret->n_addrs + 1);

	for (size_t i = 0; i < ret->n_addrs; i++)
		addrs[i] = get_ip(r);
	ret->addrs = addrs;
	ret->name = get_text(r, a);
	ret->is_exit = get_bool(r);
}

int warden_get_router(struct span body, struct arena *a, struct router_cfg *ret)
{
	struct rd r = rd_span(body);
	struct router_cfg c = { 0 };

	get_head(&r, a, &c);
	c.self = get_prefixes(&r, a, &c.n_self);
	for (size_t i = 0; i < c.n_self; i++)
		r.bad |= !is_address(&c.self[i]);
	c.n_nets = get_count(&r, NET_BYTES);

	struct router_link_net *nets = arena_new_n(a, struct router_link_net, c.n_nets + 1);

	for (size_t i = 0; i < c.n_nets; i++) {
		nets[i].prefix = get_prefix(&r);
		nets[i].internal = get_bool(&r);
	}
	c.nets = nets;
	c.n_peers = get_count(&r, PEER_BYTES_MIN);

	struct router_peer *peers = arena_new_n(a, struct router_peer, c.n_peers + 1);

	for (size_t i = 0; i < c.n_peers; i++)
		get_peer(&r, a, &peers[i]);
	c.peers = peers;

	int e = rd_end(&r);

	if (e == 0)
		*ret = c;
	return e;
}

/* ---- the host's resolver -------------------------------------------------- */

void warden_put_dns(struct buf *out, const struct dns_os *os)
{
	put_ips(out, os->servers.v, os->servers.n);
	put_texts(out, os->search.v, os->search.n);
	put_texts(out, os->match.v, os->match.n);
	buf_add_u8(out, os->need_base);
}

#define GET_IPS(r, list)                                             \
	do {                                                         \
		for (size_t n_ = get_count((r), IP_BYTES); n_; n_--) \
			vec_push((list), get_ip(r));                 \
	} while (0)
#define GET_NAMES(r, list)                                                              \
	do {                                                                            \
		for (size_t n_ = get_count((r), TEXT_BYTES_MIN); n_ && !(r)->bad; n_--) \
			vec_push((list), get_name(r));                                  \
	} while (0)

int warden_get_dns(struct span body, struct dns_os *ret)
{
	struct rd r = rd_span(body);

	GET_IPS(&r, &ret->servers);
	GET_NAMES(&r, &ret->search);
	GET_NAMES(&r, &ret->match);
	ret->need_base = get_bool(&r);

	int e = rd_end(&r);

	if (e < 0)
		dns_os_done(ret);
	return e;
}

void warden_put_dns_facts(struct buf *out, enum dns_manager manager, const char *why,
                          const struct dns_resolv *base)
{
	buf_add_u8(out, (uint8_t)manager);
	put_text(out, why);
	buf_add_u8(out, (uint8_t)base->owner);
	put_ips(out, base->servers.v, base->servers.n);
	put_texts(out, base->search.v, base->search.n);
}

int warden_get_dns_facts(struct span body, struct warden_dns_facts *ret)
{
	struct rd r = rd_span(body);

	ret->manager = (enum dns_manager)rd_u8(&r);
	ret->why = get_text(&r, NULL);
	ret->base.owner = (enum dns_owner)rd_u8(&r);
	GET_IPS(&r, &ret->base.servers);
	GET_NAMES(&r, &ret->base.search);

	int e = rd_end(&r);

	if (e < 0)
		warden_dns_facts_done(ret);
	return e;
}

void warden_dns_facts_done(struct warden_dns_facts *f)
{
	free(f->why);
	dns_resolv_done(&f->base);
	*f = (struct warden_dns_facts){ 0 };
}
