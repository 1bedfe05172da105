#pragma once
/*
 * The texts of UPnP's Internet gateway devices: SSDP answers, device
 * descriptions, SOAP calls. A gateway is a stranger: everything is bounded, its
 * URLs are held to its own address, and nothing it says is trusted further than
 * that.
 *
 * Pure; nothing allocates.
 * Source: UPnP Device Architecture 1.1 s.1.3, 2.3, 3.2; IGD:1, IGD:2;
 * tailscale v1.102.5 net/portmapper/upnp.go (order of services, error codes).
 */
#include <stdbool.h>

#include "base/buf.h"
#include "base/ip.h"
#include "base/own.h"
#include "base/span.h"

enum {
	UPNP_URL_MAX = 256,
	UPNP_SERVICES_MAX = 8,
	UPNP_USN_MAX = 160,
	UPNP_BODY_MAX = 256 * 1024, /* of a description or an answer */
};

/* An answer to M-SEARCH. */
struct upnp_found {
	char usn[UPNP_USN_MAX];
	char path[UPNP_URL_MAX];
	struct addr at; /* host and port of LOCATION */
};

/* ERR_MALFORMED: no gateway device, or no URL of address and port in it. */
NODISCARD int upnp_found_read(struct span datagram, struct upnp_found *ret);
/* The M-SEARCH datagram for a search target. */
void upnp_search(struct buf *dst, const char *target);

enum upnp_kind {
	UPNP_WAN_IP_2,
	UPNP_WAN_IP_1,
	UPNP_WAN_PPP_1,
	UPNP_LEGACY_PPP_1,
	UPNP_LEGACY_IP_1,
	UPNP_KINDS
};

struct upnp_service {
	enum upnp_kind kind;
	char path[UPNP_URL_MAX]; /* of its control URL, from the root */
};

/* "urn:schemas-upnp-org:service:WANIPConnection:2" */
const char *upnp_kind_urn(enum upnp_kind kind);
/*
 * The services that map ports, best kind first, in the order of the text within
 * a kind. `base` is the path of the description, for relative URLs.
 */
size_t upnp_services_read(struct span xml, const char *base,
                          struct upnp_service ret[static UPNP_SERVICES_MAX]);

/* The body of a SOAP call; args end with a NULL name. */
struct upnp_arg {
	const char *name, *value;
};
void upnp_call(struct buf *dst, enum upnp_kind kind, const char *action,
               const struct upnp_arg *args);
/* The text of the first element with this local name, trimmed. ERR_UNKNOWN */
NODISCARD int upnp_value(struct span xml, const char *name, struct span *ret);
/* The UPnP error number of a SOAP fault; 0 if there is none. */
unsigned upnp_error(struct span xml);
