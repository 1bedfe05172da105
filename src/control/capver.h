#pragma once
/*
 * Capability versions: what a client announces that it understands, one number
 * that only grows. The server shapes its answers by it.
 *
 * Source: the change list in tailscale v1.102.5, tailcfg/tailcfg.go.
 */
enum capver {
	CAPVER_MIN = 113,  /* the oldest client our server talks to (Headscale 0.29's floor,
	                      release 1.80) */
	CAPVER_NODE = 131, /* what our node announces: all that is listed up to here is done */

	CAPVER_NOISE = 28,             /* below: another protocol */
	CAPVER_RELAY_DNS = 26,         /* a peer from here on answers exit-node DNS over PeerAPI */
	CAPVER_PATCH = 33,             /* PeersChangedPatch */
	CAPVER_READONLY_STREAM = 68,   /* a streaming request carries no state to store */
	CAPVER_CAP_SOURCES = 109,      /* "cap:" in SrcIPs */
	CAPVER_HOME_DERP = 111,        /* Node.HomeDERP; below: Node.DERP */
	CAPVER_NULL_ALLOWED_IPS = 112, /* AllowedIPs null means Addresses */
	CAPVER_NO_MEASURE = 115,       /* DERPRegion.NoMeasureNoHome */
	CAPVER_DISPLAY_MESSAGES = 117, /* below: Health */
	CAPVER_PEER_RELAY = 121,
	CAPVER_EXIT_RESOLVER = 125, /* Resolver.UseWithExitNode */
	CAPVER_SEAMLESS_RENEWAL = 126,
	CAPVER_AUTO_UPDATE_CAP = 131, /* "default-auto-update"; below: DefaultAutoUpdate */
	CAPVER_RETRY_AFTER = 137,     /* status 429 on register */
	CAPVER_TSMP_DISCO = 144,      /* disco keys learned from the peer itself */
};
