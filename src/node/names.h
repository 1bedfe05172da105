#pragma once
/*
 * Names of the tailnet put to work: from the network map and the preferences to
 * the resolver at the service addresses (node/dnsd) and to what the host's own
 * resolver is told (dns/plan, host/dns).
 *
 *	names_config	pure: the map -> what our resolver knows
 *	names_apply	and the host told so
 *
 * Source: tailscale v1.102.5 ipn/ipnlocal/node_backend.go: dnsConfigForNetmap.
 * Threads	that of the loop.
 */
#include "dns/config.h"
#include "dns/plan.h"
#include "netmap/netmap.h"
#include "node/prefs.h"
#include "platform/ev.h"
#include "platform/tls.h"

/* 100.100.100.100 and fd7a:115c:a1e0::53: local addresses of the tunnel's interface. */
extern const struct ip names_service4, names_service6;

struct names_input {
	const struct netmap *map;   /* NULL: no map, so no names */
	bool corp_dns;              /* the host is to use us */
	bool expired;               /* our key is: nothing of the map counts */
	const struct tc_node *exit; /* the exit node in use; NULL: none */
	/* The host's own resolvers, when it cannot split and we pass the rest on to them. */
	const struct ip *base;
	size_t n_base;
};

/* What our resolver knows. Sealed; the caller's to free. */
NODISCARD struct dns_config *names_config(const struct names_input *in);

/* What can go wrong; codes and words are in health.c. */
enum names_trouble {
	NAMES_SILENT,      /* no upstream answers */
	NAMES_UNREADABLE,  /* the host's own resolvers are not known */
	NAMES_UNTOLD,      /* the host's resolver could not be told */
	NAMES_LOCKED,      /* resolv.conf is write-protected */
	NAMES_TAKEN,       /* another DNS server has our port */
	NAMES_OVERWRITTEN, /* somebody else writes resolv.conf again and again */
	NAMES_TROUBLES
};

struct names;

struct warden;

struct names_cfg {
	struct ev *ev;
	struct tls_client *tls;
	const char *dev;       /* the tunnel's interface */
	struct warden *warden; /* tells the host; NULL: it is never told */
	void (*trouble)(void *ctx, enum names_trouble which, bool bad);
	/* The host's own resolvers changed: names_apply is to be called again. */
	void (*again)(void *ctx);
	void *ctx;
};

/* -errno: the resolver cannot listen. */
NODISCARD int names_new(const struct names_cfg *cfg, struct names **ret);
/* Puts the host back. NULL is allowed. */
void names_free(struct names *n);
/* in->base is found out here. 0, or why the host could not be told (our own resolver answers). */
NODISCARD int names_apply(struct names *n, const struct names_input *in);
/* The network changed under us: kept answers may be wrong there. */
void names_link_changed(struct names *n);
struct dnsd *names_dnsd(struct names *n);
/*
 * What the host itself asks, for peers that resolve through it: the first
 * resolver of its resolv.conf. 0: that is us, or there is none.
 */
size_t names_host_resolver(const struct names *n, struct dns_upstream *ret);
/* For `dns status`: what the host was told, and by whom. NULL: nothing, the host is left alone. */
const struct dns_os *names_told(const struct names *n);
const char *names_manager(const struct names *n);
/* Why this manager. */
const char *names_why(const struct names *n);
/* What the host had before us; NULL: not known, as systemd-resolved keeps it to itself. */
const struct dns_resolv *names_base(const struct names *n);
