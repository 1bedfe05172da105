#include "node/peerapi.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32.h"
#include "base/err.h"
#include "base/log.h"
#include "node/engine.h"

enum {
	TRIES = 5,
	RETRY_US = 500000,
	CAP_PROXIES_DNS = 26, /* capability version from which every node does */
	SPACES_OF_BROWSER = 2,
};

/* ---- of others ------------------------------------------------------------------- */

static uint16_t port_of(const struct tc_node *n, const char *proto)
{
	for (size_t i = 0; n->hostinfo && i < n->hostinfo->services.n; i++)
		if (span_is(n->hostinfo->services.v[i].proto, proto))
			return n->hostinfo->services.v[i].port;
	return 0;
}

static const struct ip *address_of(const struct tc_node *n, bool four)
{
	for (size_t i = 0; i < n->addresses.n; i++)
		if (prefix_is_host(&n->addresses.v[i]) && prefix_is4(&n->addresses.v[i]) == four)
			return &n->addresses.v[i].ip;
	return NULL;
}

bool peerapi_url_of(const struct tc_node *self, const struct tc_node *peer,
                    char dst[static PEERAPI_URL_MAX])
{
	for (int four = 1; four >= 0; four--) {
		const struct ip *ip = address_of(peer, four);
		uint16_t port = port_of(peer, four ? "peerapi4" : "peerapi6");
		char text[ADDR_TEXT_MAX];

		if (!ip || !port || !address_of(self, four))
			continue;
		(void)snprintf(dst, PEERAPI_URL_MAX, "http://%s",
		               addr_text(&(struct addr){ .ip = *ip, .port = port }, text));
		return true;
	}
	return false;
}

bool peerapi_proxies_dns(const struct tc_node *peer)
{
	return peer->cap >= CAP_PROXIES_DNS || port_of(peer, "peerapi-dns-proxy") > 0;
}

/* ---- ours -------------------------------------------------------------------------- */

struct place {
	struct ip ip;
	struct listener *listener; /* NULL: not yet */
	uint16_t port;
};

struct peerapi {
	struct node *n;
	struct http_server *server;
	struct place places[PEERAPI_ADDRS_MAX];
	size_t n_places;
	struct ev_timer retry;
	struct link asks;
	struct tc_service services[3];
};

static bool who(const struct node *n, const struct ip *ip, struct peerapi_peer *ret)
{
	const struct netmap *m = node_map(n);
	struct netmap_peer *p = m ? netmap_peer_by_ip(m, ip) : NULL;
	const struct tc_node *node = p ? p->node : m && netmap_self_has_ip(m, ip) ? m->self : NULL;
	const struct tc_user_profile *user = node ? netmap_user(m, node->user) : NULL;

	if (!node || node->wireguard_only)
		return false;
	*ret = (struct peerapi_peer){ .ip = *ip,
		                      .node = node,
		                      .is_self = node->user == m->self->user };
	ret->is_self_untagged = ret->is_self && !node->tags.n && !m->self->tags.n;
	if (user)
		ret->display_name = user->display_name;
	return true;
}

static bool is_our_address(const struct node *n, const struct peerapi_peer *peer,
                           const struct ip *ip)
{
	const struct tc_node *p = peer->node;

	/* A peer that knows us by another address may use no other. */
	if (!ip_is_zero(&p->masq4) || !ip_is_zero(&p->masq6))
		return ip_eq(ip, &p->masq4) || ip_eq(ip, &p->masq6);
	return netmap_self_has_ip(node_map(n), ip);
}

/* A page in a browser must not reach us under a name that leads here. */
static bool is_honest(const struct node *n, const struct http_req *req,
                      const struct peerapi_peer *peer)
{
	struct span host = req->head->authority;
	struct addr at;

	if (http_find(req->head, "origin").p || http_find(req->head, "referer").p)
		return false;
	return span_is(host, "peer") ||
	       (addr_parse(host, &at) == 0 && is_our_address(n, peer, &at.ip));
}

static bool is_browser(const struct http_head *h)
{
	struct span agent = http_find(h, "user-agent");
	size_t spaces = 0;

	for (size_t i = 0; i < agent.n; i++)
		spaces += agent.p[i] == ' ';
	return http_has_token(h, "accept-encoding", "deflate") || span_starts(agent, "Mozilla/") ||
	       spaces > SPACES_OF_BROWSER || http_find(h, "accept-language").n > 0;
}

static void put_guards(struct http_req *req)
{
	http_put_field(req, "Content-Security-Policy",
	               "default-src 'none'; frame-ancestors 'none'; script-src 'none'; "
	               "script-src-elem 'none'; script-src-attr 'none'; style-src 'unsafe-inline'");
	http_put_field(req, "X-Frame-Options", "DENY");
	http_put_field(req, "X-Content-Type-Options", "nosniff");
}

static void add_escaped(struct buf *out, struct span text)
{
	for (size_t i = 0; i < text.n; i++) {
		uint8_t c = text.p[i];

		if (c == '<' || c == '>' || c == '&' || c == '"' || c == '\'')
			buf_fmt(out, "&#%u;", c);
		else
			buf_add_u8(out, c);
	}
}

static void get_greeting(struct peerapi *a, struct http_req *req, const struct peerapi_peer *peer)
{
	AUTO_DONE(buf) struct buf page = { 0 };
	char text[IP_TEXT_MAX];
	struct span name = peer->node->name;

	(void)a;
	buf_add_str(&page, "<html>\n<meta name=\"viewport\" content=\"width=device-width, "
	                   "initial-scale=1\">\n<body>\n<h1>Hello, ");
	add_escaped(&page, peer->display_name);
	buf_fmt(&page, " (%s)</h1>\nThis is my Tailscale device. Your device is ",
	        ip_text(&peer->ip, text));
	add_escaped(&page, span_first(name, span_find(name, '.')));
	buf_add_str(&page, ".\n");
	if (peer->is_self)
		buf_add_str(&page, "<p>You are the owner of this node.\n");
	http_answer(req, 200, "text/html; charset=utf-8", buf_span(&page));
}

static const struct peerapi_row greeting_rows[] = {
	{ { "*", "/" }, get_greeting },
};

/* Features add theirs. */
static const struct {
	const struct peerapi_row *rows;
	const size_t *n;
} tables[] = {
	{ peerapi_dns_rows, &peerapi_dns_n },
	{ greeting_rows, &(const size_t){ ARRAY_LEN(greeting_rows) } },
};

static void on_request(void *owner, struct http_req *req)
{
	struct peerapi *a = owner;
	struct peerapi_peer peer;
	struct route_match m;
	const char *allow;

	if (!who(a->n, &req->from.ip, &peer) || !is_honest(a->n, req, &peer)) {
		http_answer_text(req, 403, "invalid peerapi request");
		return;
	}
	if (is_browser(req->head))
		put_guards(req);
	for (size_t i = 0; i < ARRAY_LEN(tables); i++) {
		if (ROUTE_FIND(tables[i].rows, *tables[i].n, req->head->method, req->path,
		               &req->arena, &m, &allow) == 0) {
			((const struct peerapi_row *)m.row)->fn(a, req, &peer);
			return;
		}
	}
	http_answer_text(req, 404, "unsupported peerapi path");
}

static void on_accept(void *owner, struct listener *l, int fd, const struct addr *from)
{
	struct peerapi *a = owner;
	struct peerapi_peer peer;

	(void)l;
	if (who(a->n, &from->ip, &peer))
		http_server_accept(a->server, fd, from, NULL);
	else
		fd_close(fd);
}

/* ---- where ---- */

/* The port is of the address, so that it is the same each time; not to be relied on. */
static int listen_at(struct peerapi *a, struct place *p)
{
	struct listen_cfg cfg = { .accepted = on_accept,
		                  .owner = a,
		                  .backlog = PEERAPI_CONNS_PEER_MAX };
	struct addr at = { .ip = p->ip };
	uint8_t last[3];
	int r = -EADDRINUSE;

	memcpy(last, p->ip.b + 13, sizeof(last));
	for (unsigned i = 0; i < TRIES && r == -EADDRINUSE; i++) {
		last[0] = (uint8_t)(last[0] + i);
		at.port = (uint16_t)(0x8000 | crc32_of(last, sizeof(last)));
		r = listener_tcp(a->n->ev, &at, &cfg, &p->listener);
	}
	at.port = 0;
	if (r == -EADDRINUSE)
		r = listener_tcp(a->n->ev, &at, &cfg, &p->listener);
	if (r == 0)
		r = listener_addr(p->listener, &at);
	p->port = r == 0 ? at.port : 0;
	return r;
}

/* True: a port is new. */
static bool listen_all(struct peerapi *a)
{
	bool changed = false, again = false;

	for (size_t i = 0; i < a->n_places; i++) {
		struct place *p = &a->places[i];
		int r = p->listener ? 1 : listen_at(a, p);
		char text[IP_TEXT_MAX];

		changed |= r == 0;
		again |= r < 0;
		if (r < 0)
			log_debug("the PeerAPI cannot listen on %s: %s", ip_text(&p->ip, text),
			          err_text(r));
	}
	if (again)
		ev_timer_after(a->n->ev, &a->retry, RETRY_US);
	return changed;
}

static void on_retry(struct ev_timer *t, mono now)
{
	struct peerapi *a = CONTAINER_OF(t, struct peerapi, retry);

	(void)now;
	if (listen_all(a))
		engine_peerapi_changed(a->n);
}

static bool is_place(const struct peerapi *a, const struct ip *v, size_t n)
{
	if (a->n_places != n)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!ip_eq(&a->places[i].ip, &v[i]))
			return false;
	return true;
}

static void forget_places(struct peerapi *a)
{
	for (size_t i = 0; i < a->n_places; i++)
		listener_free(TAKE(a->places[i].listener));
	a->n_places = 0;
}

bool peerapi_bind(struct peerapi *a, const struct ip *v, size_t n)
{
	n = n < PEERAPI_ADDRS_MAX ? n : PEERAPI_ADDRS_MAX;
	if (is_place(a, v, n))
		return false;
	forget_places(a);
	for (size_t i = 0; i < n; i++)
		a->places[a->n_places++] = (struct place){ .ip = v[i] };
	(void)listen_all(a);
	return true;
}

uint16_t peerapi_port(const struct peerapi *a, bool four)
{
	for (size_t i = 0; i < a->n_places; i++)
		if (ip_is4(&a->places[i].ip) == four)
			return a->places[i].port;
	return 0;
}

void peerapi_fill_hostinfo(const struct peerapi *a, struct tc_hostinfo *ret)
{
	/* The list lives here; what is in it changes with the ports alone. */
	struct tc_service *v = (struct tc_service *)(uintptr_t)a->services;
	size_t n = 0;

	if (peerapi_port(a, true))
		v[n++] = (struct tc_service){ SPAN_LIT("peerapi4"), peerapi_port(a, true), { 0 } };
	if (peerapi_port(a, false))
		v[n++] = (struct tc_service){ SPAN_LIT("peerapi6"), peerapi_port(a, false), { 0 } };
	if (n) /* the number is a version here */
		v[n++] = (struct tc_service){ SPAN_LIT("peerapi-dns-proxy"), 1, { 0 } };
	ret->services.v = v;
	ret->services.n = n;
	ret->services.set = true;
}

/* ---- life ---- */

struct peerapi *peerapi_new(struct node *n)
{
	struct peerapi *a = mem_new(struct peerapi);
	struct http_server_cfg cfg = { .ev = n->ev,
		                       .request = on_request,
		                       .owner = a,
		                       .conns_max = PEERAPI_CONNS_MAX,
		                       .conns_from_max = PEERAPI_CONNS_PEER_MAX };

	a->n = n;
	a->retry.fn = on_retry;
	list_init(&a->asks);
	a->server = http_server_new(&cfg);
	return a;
}

void peerapi_free(struct peerapi *a)
{
	if (!a)
		return;
	ev_timer_stop(a->n->ev, &a->retry);
	forget_places(a);
	/* Requests that wait hear that they are gone, and leave the list. */
	http_server_free(a->server);
	free(a);
}

struct node *peerapi_node(const struct peerapi *a)
{
	return a->n;
}

struct link *peerapi_asks(struct peerapi *a)
{
	return &a->asks;
}
