#pragma once
/*
 * What is wrong, since when, and whether it is to be shown yet: some troubles
 * pass by themselves within seconds, and some only follow from others.
 *
 * Pure: facts come in with the time, warnings are looked at with it.
 * Source: tailscale v1.102.5 health/health.go, health/warnings.go.
 */
#include <stdbool.h>

#include "base/own.h"
#include "base/time.h"

/* X(name, code, title, severity, seconds until it is shown, keeps from connecting) */
/* clang-format off */
#define HEALTH_LIST(X) \
	X(NETWORK,      "network-status",              "Network down",                               "medium", 5,   true)  \
	X(STOPPED,      "wantrunning-false",           "Tailscale off",                              "low",    0,   true)  \
	X(LOGIN,        "login-state",                 "Logged out",                                 "medium", 0,   true)  \
	X(NOT_IN_POLL,  "not-in-map-poll",             "Out of sync",                                "medium", 480, false) \
	X(MAP_SILENT,   "mapresponse-timeout",         "Network map response timeout",               "medium", 0,   false) \
	X(NO_HOME,      "no-derp-home",                "No home relay server",                       "medium", 10,  true)  \
	X(NO_RELAY,     "no-derp-connection",          "Relay server unavailable",                   "medium", 10,  true)  \
	X(RELAY_ERROR,  "derp-region-error",           "Relay server error",                         "low",    0,   false) \
	X(NO_UDP,       "no-udp4-bind",                "NAT traversal setup failure",                "medium", 0,   true)  \
	X(FORWARDING,   "ip-forwarding-off",           "IP forwarding is off",                       "medium", 0,   true)  \
	X(NOSNAT_EXIT,  "nosnat-with-advertised-exit-node", "Exit node advertising may not work correctly", "medium", 0, false) \
	X(OVERLAP,      "routes-overlap",              "Routes overlap",                             "low",    0,   false) \
	X(UPDATE,       "update-available",            "Update available",                           "low",    0,   false) \
	X(SECURITY,     "security-update-available",   "Security update available",                  "medium", 0,   false) \
	X(STORE,        "state-store-health",          "State cannot be kept",                       "high",   0,   true) \
	X(DNS_SILENT,   "dns-forward-failing",         "DNS unavailable",                            "medium", 0,   true)  \
	X(DNS_READ,     "dns-read-os-config-failed",   "Failed to read system DNS configuration",    "low",    0,   false) \
	X(DNS_SET,      "dns-set-os-config-failed",    "Failed to set system DNS configuration",     "medium", 0,   false) \
	X(DNS_LOCKED,   "dns-resolv-conf-locked",      "DNS configuration is write-protected",       "medium", 0,   false) \
	X(DNS_TAKEN,    "dns-port-taken",              "DNS port taken",                             "medium", 0,   false) \
	X(DNS_LOST,     "resolv-conf-overwritten",     "DNS configuration issue",                    "medium", 0,   false)

enum health_code {
#define X(name, code, title, severity, delay, connectivity) HEALTH_##name,
	HEALTH_LIST(X)
#undef X
	HEALTH_CODES
};
/* clang-format on */

struct health_kind {
	const char *code, *title, *severity;
	unsigned delay_s;
	bool connectivity;
};
extern const struct health_kind health_kinds[HEALTH_CODES];

struct health {
	struct {
		bool broken;
		mono since;
		char *text; /* for a person */
	} at[HEALTH_CODES];
};

void health_done(struct health *h);
/* NULL: well. Otherwise what is wrong; the time counts from when that began. */
void health_set(struct health *h, enum health_code code, mono now, const char *text);
/* Broken, for long enough, and not because of something else that is. NULL: not to be shown. */
const char *health_text(const struct health *h, enum health_code code, mono now);
/* When one more may have to be shown, if nothing is told until then. */
mono health_next(const struct health *h, mono now);
