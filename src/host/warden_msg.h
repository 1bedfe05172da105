#pragma once
/*
 * What the two parts of the node daemon say to each other (host/warden.h): the
 * kinds of messages, and their bodies in bytes. Pure. The privileged part
 * trusts nothing it reads: every count is held against what is left.
 */
#include "base/mem.h"
#include "base/own.h"
#include "dns/plan.h"
#include "router/plan.h"

enum warden_kind {
	/* asked of the privileged part; each is answered, in order, by its ANSWER */
	WARDEN_TUN = 1,   /* -: open the interface; answered with its descriptor */
	WARDEN_GROW,      /* a UDP socket: larger buffers than others may have */
	WARDEN_ROUTE,     /* struct router_cfg: make the host's network so */
	WARDEN_BYPASS,    /* -: the rules alone, before there is an interface */
	WARDEN_UNROUTE,   /* a byte: hold the guard of an exit node */
	WARDEN_DNS_OPEN,  /* -: who keeps the resolver; answered with struct warden_dns_facts */
	WARDEN_DNS_APPLY, /* struct dns_os: tell the resolver */
	WARDEN_DNS_CLOSE, /* -: put the resolver back */

	WARDEN_ANSWER = 64, /* added to the kind; an error code, then what was asked for */
	WARDEN_READY = 128, /* unasked: -: what a crash left has been undone */
	WARDEN_DNS_CHANGED, /* unasked: a byte: lost; then struct warden_dns_facts */
};

enum {
	WARDEN_LIST_MAX = 1 << 20, /* of any one list in a message */
	WARDEN_TEXT_MAX = 1024,
};

/* Who keeps the host's resolver, and what it has without us. Texts are owned. */
struct warden_dns_facts {
	enum dns_manager manager;
	char *why;
	struct dns_resolv base;
};
void warden_dns_facts_done(struct warden_dns_facts *f);

void warden_put_result(struct buf *out, int r);
void warden_put_router(struct buf *out, const struct router_cfg *cfg);
void warden_put_dns(struct buf *out, const struct dns_os *os);
void warden_put_dns_facts(struct buf *out, enum dns_manager manager, const char *why,
                          const struct dns_resolv *base);

/* Each ERR_SHORT, ERR_TRAILING or ERR_MALFORMED; then *ret holds nothing. */

/* Takes the code off the front. A result of the other part: 0 or an error. */
NODISCARD int warden_get_result(struct span *body, int *ret);
/* Lists and names live in the arena. Addresses of our own are a host's, and not loopback or such.
 */
NODISCARD int warden_get_router(struct span body, struct arena *a, struct router_cfg *ret);
/* Zero *ret before; end it with dns_os_done. A name has no spaces and no line ends. */
NODISCARD int warden_get_dns(struct span body, struct dns_os *ret);
/* Zero *ret before; end it with warden_dns_facts_done. */
NODISCARD int warden_get_dns_facts(struct span body, struct warden_dns_facts *ret);
