#include "protocol/portmap.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "base/wire.h"

enum {
	WAIT_US = 250000,
	SSDP_LATE_US = 4000000, /* a search gives two seconds, and the way takes its time */
	HTTP_US = 3000000,
	SEEN_US = 600 * 1000000,
	RETRY_US = 600 * 1000000,
	LIFETIME_S = 7200,
	FOUND_MAX = 11,
	PMP_MAP_UDP = 1,
	PMP_ANSWER = 128,
	PCP_VERSION = 2,
	PCP_MAP = 1,
	PCP_ANSWER = 0x80,
	PCP_HEADER = 24,
	PCP_MAP_LEN = 60,
	PCP_NONCE = 12,
	UDP = 17,
	UPNP_ONLY_PERMANENT = 725,
	UPNP_INVALID_ARGS = 402,
};

enum state {
	IDLE,
	PROBE,
	ASK_PMP,
	ASK_PCP,
	UPNP_DESCRIPTION,
	UPNP_STATUS,
	UPNP_ADDRESS,
	UPNP_MAP,
};

struct mapping {
	enum portmap_by by;
	struct addr outside;
	mono renew, end;
	uint32_t epoch;
};

struct candidate {
	struct upnp_service service;
	struct addr at;
	bool connected;
	struct ip address;
};

struct out {
	struct link link;
	struct portmap_out out;
	uint8_t *bytes;
};

struct portmap {
	struct rand_src rand;
	struct portmap_cfg cfg;
	enum state state;
	bool wanted;
	mono deadline;
	mono pmp_seen, pcp_seen, upnp_seen; /* 0: never */
	mono probed;                        /* when they were last asked for */
	struct ip pmp_address;              /* of the router, as NAT-PMP says; zero: not known */
	uint32_t pmp_epoch;
	uint8_t nonce[PCP_NONCE];
	bool have_nonce;
	struct mapping map;
	uint16_t outside_port; /* of the last mapping, asked for again */
	struct upnp_found found[FOUND_MAX];
	size_t n_found, at_found;
	struct candidate candidates[UPNP_SERVICES_MAX];
	size_t n_candidates, at_candidate, chosen;
	bool permanent; /* the router takes no lease times */
	struct link outs;
	struct out *given;
};

struct portmap *portmap_new(const struct rand_src *rand)
{
	struct portmap *p = mem_new(struct portmap);

	p->rand = *rand;
	p->deadline = MONO_NEVER;
	list_init(&p->outs);
	return p;
}

static void out_free(struct out *o)
{
	if (!o)
		return;
	free(o->bytes);
	free(o);
}

void portmap_free(struct portmap *p)
{
	struct out *o, *next;

	if (!p)
		return;
	list_each_safe(o, next, &p->outs, link)
		out_free(o);
	out_free(p->given);
	free(p);
}

static struct out *put(struct portmap *p, enum portmap_act act, const struct addr *to,
                       struct span bytes)
{
	struct out *o = mem_new(struct out);

	o->bytes = mem_dup(bytes.p, bytes.n);
	o->out = (struct portmap_out){ .act = act, .bytes = span(o->bytes, bytes.n) };
	if (to)
		o->out.addr = *to;
	list_append(&p->outs, &o->link);
	return o;
}

bool portmap_next(struct portmap *p, struct portmap_out *out)
{
	out_free(TAKE(p->given));
	if (list_empty(&p->outs))
		return false;
	p->given = list_first(&p->outs, struct out, link);
	list_remove(&p->given->link);
	*out = p->given->out;
	return true;
}

static void send_to_router(struct portmap *p, uint16_t port, struct span bytes)
{
	struct addr to = { .ip = p->cfg.gateway, .port = port };

	put(p, PORTMAP_SEND, &to, bytes);
}

static bool recently(mono seen, mono now)
{
	return seen.us != 0 && mono_since(seen, now) < SEEN_US;
}

struct portmap_seen portmap_seen(const struct portmap *p, mono now)
{
	return (struct portmap_seen){ recently(p->pmp_seen, now), recently(p->pcp_seen, now),
		                      recently(p->upnp_seen, now) };
}

static bool is_mapped(const struct portmap *p, mono now)
{
	return p->map.by != PORTMAP_BY_NONE && mono_before(now, p->map.end);
}

bool portmap_mapping(const struct portmap *p, mono now, struct addr *ret, enum portmap_by *ret_by)
{
	if (!is_mapped(p, now))
		return false;
	*ret = p->map.outside;
	*ret_by = p->map.by;
	return true;
}

mono portmap_deadline(const struct portmap *p)
{
	return p->deadline;
}

/* ---- NAT-PMP and PCP ------------------------------------------------------ */

static void ask_pmp_address(struct portmap *p)
{
	static const uint8_t ask[2];

	send_to_router(p, PORTMAP_PORT, SPAN_OF(ask));
}

static void ask_pmp_map(struct portmap *p, uint16_t outside, uint32_t lifetime_s)
{
	uint8_t b[12];
	struct wr w = wr_of(b, sizeof(b));

	wr_u8(&w, 0);
	wr_u8(&w, PMP_MAP_UDP);
	wr_be16(&w, 0);
	wr_be16(&w, p->cfg.local_port);
	wr_be16(&w, outside);
	wr_be32(&w, lifetime_s);
	send_to_router(p, PORTMAP_PORT, SPAN_OF(b));
}

static void pcp_header(struct portmap *p, struct wr *w, uint8_t op, uint32_t lifetime_s)
{
	wr_u8(w, PCP_VERSION);
	wr_u8(w, op);
	wr_be16(w, 0);
	wr_be32(w, lifetime_s);
	wr_bytes(w, p->cfg.self.b, 16);
}

static void ask_pcp_map(struct portmap *p, uint16_t outside, uint32_t lifetime_s)
{
	static const struct ip any = { { [10] = 0xff, [11] = 0xff } };
	uint8_t b[PCP_MAP_LEN];
	struct wr w = wr_of(b, sizeof(b));

	/* A renewal is known by the nonce of its mapping. */
	if (!p->have_nonce)
		rand_fill(&p->rand, p->nonce, sizeof(p->nonce));
	p->have_nonce = true;
	pcp_header(p, &w, PCP_MAP, lifetime_s);
	wr_bytes(&w, p->nonce, PCP_NONCE);
	wr_u8(&w, UDP);
	wr_zero(&w, 3);
	wr_be16(&w, p->cfg.local_port);
	wr_be16(&w, outside);
	wr_bytes(&w, any.b, 16);
	send_to_router(p, PORTMAP_PORT, SPAN_OF(b));
}

static void probe(struct portmap *p, mono now)
{
	static const char *const targets[] = {
		"ssdp:all", "urn:schemas-upnp-org:device:InternetGatewayDevice:1"
	};
	uint8_t announce[PCP_HEADER];
	struct wr w = wr_of(announce, sizeof(announce));
	struct addr multicast = { .ip = ip4(239, 255, 255, 250), .port = PORTMAP_SSDP_PORT };

	p->state = PROBE;
	p->probed = now;
	p->deadline = mono_after(now, WAIT_US);
	p->n_found = 0;
	if (!p->cfg.no_pmp)
		ask_pmp_address(p);
	if (!p->cfg.no_pcp) {
		pcp_header(p, &w, 0, 0);
		send_to_router(p, PORTMAP_PORT, SPAN_OF(announce));
	}
	for (size_t i = 0; !p->cfg.no_upnp && i < ARRAY_LEN(targets); i++) {
		struct buf text = { 0 };

		upnp_search(&text, targets[i]);
		if (i == 0)
			send_to_router(p, PORTMAP_SSDP_PORT, buf_span(&text));
		put(p, PORTMAP_SEND, &multicast, buf_span(&text));
		buf_done(&text);
	}
}

static void drop_mapping(struct portmap *p)
{
	if (p->map.by == PORTMAP_BY_NONE)
		return;
	p->map = (struct mapping){ 0 };
	p->have_nonce = false;
	put(p, PORTMAP_CHANGED, NULL, span(NULL, 0));
}

static void fail(struct portmap *p, mono now)
{
	p->state = IDLE;
	p->deadline = mono_after(now, RETRY_US);
	if (is_mapped(p, now))
		p->deadline = mono_min(p->deadline, p->map.end);
}

static void mapped(struct portmap *p, mono now, enum portmap_by by, const struct addr *outside,
                   uint32_t lifetime_s, uint32_t epoch)
{
	bool same = p->map.by == by && addr_eq(&p->map.outside, outside);

	if (ip_is_zero(&outside->ip) || ip_is_loopback(&outside->ip) || outside->port == 0 ||
	    lifetime_s == 0) {
		fail(p, now);
		return;
	}
	p->map = (struct mapping){ .by = by,
		                   .outside = *outside,
		                   .renew = mono_after(now, lifetime_s * US_PER_S / 2),
		                   .end = mono_after(now, lifetime_s * US_PER_S),
		                   .epoch = epoch };
	p->outside_port = outside->port;
	p->state = IDLE;
	p->deadline = p->map.renew;
	if (!same)
		put(p, PORTMAP_CHANGED, NULL, span(NULL, 0));
}

static void start_upnp(struct portmap *p, mono now);

static void ask(struct portmap *p, mono now)
{
	struct portmap_seen seen = portmap_seen(p, now);

	p->deadline = mono_after(now, WAIT_US);
	if (seen.pmp && !p->cfg.no_pmp) {
		p->state = ASK_PMP;
		if (ip_is_zero(&p->pmp_address))
			ask_pmp_address(p);
		ask_pmp_map(p, p->outside_port, LIFETIME_S);
	} else if (seen.pcp && !p->cfg.no_pcp) {
		p->state = ASK_PCP;
		ask_pcp_map(p, p->outside_port, LIFETIME_S);
	} else {
		start_upnp(p, now);
	}
}

/* A router whose clock of life went back has restarted and knows nothing of us. */
static void check_epoch(struct portmap *p, enum portmap_by by, uint32_t epoch)
{
	if (p->map.by == by && epoch < p->map.epoch)
		drop_mapping(p);
}

static void recv_pmp(struct portmap *p, mono now, struct span d)
{
	struct rd r = rd_span(d);

	(void)rd_u8(&r);

	uint8_t op = rd_u8(&r);
	uint16_t result = rd_be16(&r);
	uint32_t epoch = rd_be32(&r);

	if (r.bad || op < PMP_ANSWER)
		return;
	if (result != 0) {
		if (p->state == ASK_PMP)
			start_upnp(p, now);
		return;
	}
	if (op == PMP_ANSWER) {
		const uint8_t *b = rd_view(&r, 4);

		if (!b)
			return;
		check_epoch(p, PORTMAP_BY_PMP, epoch);
		p->pmp_seen = now;
		p->pmp_address = ip4_of(b);
		return;
	}

	uint16_t inside = rd_be16(&r);
	struct addr outside = { .ip = p->pmp_address, .port = rd_be16(&r) };
	uint32_t lifetime_s = rd_be32(&r);

	if (r.bad || op != (PMP_ANSWER | PMP_MAP_UDP) || inside != p->cfg.local_port ||
	    p->state != ASK_PMP || ip_is_zero(&p->pmp_address))
		return;
	mapped(p, now, PORTMAP_BY_PMP, &outside, lifetime_s, epoch);
}

static void recv_pcp(struct portmap *p, mono now, struct span d)
{
	struct rd r = rd_span(d);
	struct addr outside = { 0 };
	uint8_t nonce[PCP_NONCE];

	(void)rd_u8(&r);

	uint8_t op = rd_u8(&r);

	(void)rd_u8(&r);

	uint8_t result = rd_u8(&r);
	uint32_t lifetime_s = rd_be32(&r);
	uint32_t epoch = rd_be32(&r);

	(void)rd_view(&r, 12);
	if (r.bad || !(op & PCP_ANSWER))
		return;
	if (op == PCP_ANSWER) {
		if (result == 0)
			p->pcp_seen = now;
		check_epoch(p, PORTMAP_BY_PCP, epoch);
		return;
	}
	rd_copy(&r, nonce, PCP_NONCE);
	(void)rd_be32(&r);

	uint16_t inside = rd_be16(&r);

	outside.port = rd_be16(&r);
	rd_copy(&r, outside.ip.b, 16);
	if (r.bad || op != (PCP_ANSWER | PCP_MAP) || p->state != ASK_PCP ||
	    memcmp(nonce, p->nonce, PCP_NONCE) != 0 || inside != p->cfg.local_port)
		return;
	if (result != 0)
		start_upnp(p, now);
	else
		mapped(p, now, PORTMAP_BY_PCP, &outside, lifetime_s, epoch);
}

static void recv_ssdp(struct portmap *p, mono now, struct span d)
{
	struct upnp_found f;

	/* A router may take the seconds that a search gives it: it is not too late then. */
	bool late = p->state == IDLE && p->map.by == PORTMAP_BY_NONE && p->n_found == 0 &&
	            mono_since(p->probed, now) < SSDP_LATE_US;

	if ((p->state != PROBE && !late) || p->n_found >= FOUND_MAX || upnp_found_read(d, &f) < 0)
		return;
	/* Whatever it names, it is the router that is asked. */
	f.at.ip = p->cfg.gateway;
	p->upnp_seen = now;

	size_t at = 0;

	for (size_t i = 0; i < p->n_found; i++) {
		if (p->found[i].at.port == f.at.port && strcmp(p->found[i].path, f.path) == 0)
			return;
		if (strcmp(p->found[i].usn, f.usn) >= 0)
			at = i + 1;
	}
	/* By name downwards: version 2 of a device is asked before version 1. */
	memmove(&p->found[at + 1], &p->found[at], (p->n_found - at) * sizeof(f));
	p->found[at] = f;
	p->n_found++;
	if (late)
		start_upnp(p, now);
}

void portmap_recv(struct portmap *p, mono now, const struct addr *from, struct span datagram)
{
	if (!p->wanted || datagram.n == 0 || datagram.n > PORTMAP_DATAGRAM_MAX ||
	    !ip_eq(&from->ip, &p->cfg.gateway))
		return;
	if (from->port != PORTMAP_PORT)
		recv_ssdp(p, now, datagram);
	else if (datagram.p[0] == 0)
		recv_pmp(p, now, datagram);
	else if (datagram.p[0] == PCP_VERSION)
		recv_pcp(p, now, datagram);
}

/* ---- UPnP ----------------------------------------------------------------- */

static void request(struct portmap *p, mono now, enum state state, const struct addr *at,
                    const char *path, const char *soap_action, struct span body)
{
	struct out *o = put(p, PORTMAP_HTTP, at, body);

	p->state = state;
	p->deadline = mono_after(now, HTTP_US);
	o->out.path = path;
	o->out.soap_action = soap_action;
}

static void next_description(struct portmap *p, mono now)
{
	if (p->at_found < p->n_found) {
		struct upnp_found *f = &p->found[p->at_found];

		request(p, now, UPNP_DESCRIPTION, &f->at, f->path, NULL, span(NULL, 0));
		return;
	}
	fail(p, now);
}

static void start_upnp(struct portmap *p, mono now)
{
	p->at_found = 0;
	if (p->cfg.no_upnp)
		fail(p, now);
	else
		next_description(p, now);
}

static void call(struct portmap *p, mono now, enum state state, const struct candidate *c,
                 const char *action, const struct upnp_arg *args)
{
	struct buf body = { 0 };

	upnp_call(&body, c->service.kind, action, args);
	request(p, now, state, &c->at, c->service.path, action, buf_span(&body));
	buf_done(&body);
}

static void map_by_upnp(struct portmap *p, mono now)
{
	const struct candidate *c = &p->candidates[p->chosen];
	char outside[8], inside[8], self[IP_TEXT_MAX], lease[8];

	if (p->outside_port < 1024)
		p->outside_port = (uint16_t)(1024 + rand_src_below(&p->rand, 64511));
	(void)snprintf(outside, sizeof(outside), "%u", p->outside_port);
	(void)snprintf(inside, sizeof(inside), "%u", p->cfg.local_port);
	(void)snprintf(lease, sizeof(lease), "%d", p->permanent ? 0 : LIFETIME_S);

	struct upnp_arg args[] = {
		{ "NewRemoteHost", "" },
		{ "NewExternalPort", outside },
		{ "NewProtocol", "UDP" },
		{ "NewInternalPort", inside },
		{ "NewInternalClient", ip_text(&p->cfg.self, self) },
		{ "NewEnabled", "1" },
		{ "NewPortMappingDescription", "fairlead" },
		{ "NewLeaseDuration", lease },
		{ NULL, NULL },
	};

	call(p, now, UPNP_MAP, c,
	     c->service.kind == UPNP_WAN_IP_2 ? "AddAnyPortMapping" : "AddPortMapping", args);
}

/* Connected and public first, then connected with an address, then the rest as they come. */
static unsigned merit(const struct candidate *c)
{
	if (ip_is_zero(&c->address))
		return 0;
	return 1u + (c->connected ? 2u : 0) +
	       (c->connected && !ip_is_private(&c->address) ? 4u : 0);
}

static void choose(struct portmap *p, mono now)
{
	p->chosen = 0;
	for (size_t i = 1; i < p->n_candidates; i++) {
		if (merit(&p->candidates[i]) > merit(&p->candidates[p->chosen]))
			p->chosen = i;
	}

	const struct ip *address = &p->candidates[p->chosen].address;

	/* Mapping first and finding no address after would leave a lease behind. */
	if (ip_is_zero(address) || ip_is_loopback(address)) {
		p->at_found++;
		next_description(p, now);
		return;
	}
	p->permanent = false;
	map_by_upnp(p, now);
}

static void next_candidate(struct portmap *p, mono now)
{
	if (p->at_candidate < p->n_candidates)
		call(p, now, UPNP_STATUS, &p->candidates[p->at_candidate], "GetStatusInfo", NULL);
	else
		choose(p, now);
}

static void on_description(struct portmap *p, mono now, unsigned status, struct span body)
{
	struct upnp_service services[UPNP_SERVICES_MAX];
	const struct upnp_found *f = &p->found[p->at_found];
	size_t n = status == 200 ? upnp_services_read(body, f->path, services) : 0;

	if (n == 0) {
		p->at_found++;
		next_description(p, now);
		return;
	}
	for (size_t i = 0; i < n; i++)
		p->candidates[i] = (struct candidate){ .service = services[i], .at = f->at };
	p->n_candidates = n;
	p->at_candidate = 0;
	next_candidate(p, now);
}

static void on_status(struct portmap *p, mono now, unsigned status, struct span body)
{
	struct candidate *c = &p->candidates[p->at_candidate];
	struct span text;

	c->connected = status == 200 && upnp_value(body, "NewConnectionStatus", &text) == 0 &&
	               (span_is(text, "Connected") || span_is(text, "Up"));
	call(p, now, UPNP_ADDRESS, c, "GetExternalIPAddress", NULL);
}

static void on_address(struct portmap *p, mono now, unsigned status, struct span body)
{
	struct candidate *c = &p->candidates[p->at_candidate];
	struct span text;

	if (status != 200 || upnp_value(body, "NewExternalIPAddress", &text) < 0 ||
	    ip_parse(text, &c->address) < 0 || !ip_is4(&c->address))
		c->address = (struct ip){ { 0 } };
	p->at_candidate++;
	next_candidate(p, now);
}

static void on_mapped(struct portmap *p, mono now, unsigned status, struct span body)
{
	const struct candidate *c = &p->candidates[p->chosen];
	struct addr outside = { .ip = c->address, .port = p->outside_port };
	struct span text;
	uint64_t port;

	if (status == 200) {
		if (upnp_value(body, "NewReservedPort", &text) == 0 &&
		    span_u64(text, UINT16_MAX, &port) == 0)
			outside.port = (uint16_t)port;
		mapped(p, now, PORTMAP_BY_UPNP, &outside, LIFETIME_S, 0);
		return;
	}

	unsigned code = upnp_error(body);

	if (!p->permanent && (code == UPNP_ONLY_PERMANENT || code == UPNP_INVALID_ARGS)) {
		p->permanent = true;
		map_by_upnp(p, now);
		return;
	}
	fail(p, now);
}

void portmap_http(struct portmap *p, mono now, unsigned status, struct span body)
{
	switch (p->state) {
	case UPNP_DESCRIPTION:
		on_description(p, now, status, body);
		return;
	case UPNP_STATUS:
		on_status(p, now, status, body);
		return;
	case UPNP_ADDRESS:
		on_address(p, now, status, body);
		return;
	case UPNP_MAP:
		on_mapped(p, now, status, body);
		return;
	case IDLE:
	case PROBE:
	case ASK_PMP:
	case ASK_PCP:
		return;
	}
}

/* ---- life ----------------------------------------------------------------- */

static void release(struct portmap *p, mono now)
{
	char outside[8];

	if (!is_mapped(p, now))
		return;
	if (p->map.by == PORTMAP_BY_PMP) {
		ask_pmp_map(p, 0, 0);
	} else if (p->map.by == PORTMAP_BY_PCP) {
		ask_pcp_map(p, 0, 0);
	} else {
		(void)snprintf(outside, sizeof(outside), "%u", p->map.outside.port);

		struct upnp_arg args[] = { { "NewRemoteHost", "" },
			                   { "NewExternalPort", outside },
			                   { "NewProtocol", "UDP" },
			                   { NULL, NULL } };

		call(p, now, IDLE, &p->candidates[p->chosen], "DeletePortMapping", args);
	}
	drop_mapping(p);
}

void portmap_start(struct portmap *p, mono now, const struct portmap_cfg *cfg)
{
	bool same = p->wanted && ip_eq(&cfg->gateway, &p->cfg.gateway) &&
	            ip_eq(&cfg->self, &p->cfg.self) && cfg->local_port == p->cfg.local_port;

	if (same && (p->state != IDLE || is_mapped(p, now)))
		return;
	if (!same) {
		if (p->wanted)
			release(p, now);
		p->pmp_seen = p->pcp_seen = p->upnp_seen = (mono){ 0 };
		p->pmp_address = (struct ip){ { 0 } };
		p->n_found = 0;
	}
	p->cfg = *cfg;
	p->wanted = ip_is4(&cfg->gateway) && ip_is_private(&cfg->gateway) && ip_is4(&cfg->self);
	p->state = IDLE;
	p->deadline = MONO_NEVER;
	if (p->wanted)
		probe(p, now);
}

void portmap_stop(struct portmap *p, mono now)
{
	if (p->wanted)
		release(p, now);
	p->wanted = false;
	p->state = IDLE;
	p->deadline = MONO_NEVER;
}

void portmap_timeout(struct portmap *p, mono now)
{
	if (!mono_reached(p->deadline, now))
		return;
	if (p->map.by != PORTMAP_BY_NONE && mono_reached(p->map.end, now))
		drop_mapping(p);
	switch (p->state) {
	case IDLE:
		probe(p, now);
		return;
	case PROBE:
		ask(p, now);
		return;
	case ASK_PMP:
	case ASK_PCP:
		start_upnp(p, now);
		return;
	case UPNP_DESCRIPTION:
	case UPNP_STATUS:
	case UPNP_ADDRESS:
	case UPNP_MAP:
		portmap_http(p, now, 0, span(NULL, 0));
		return;
	}
}
