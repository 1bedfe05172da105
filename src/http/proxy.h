#pragma once
/*
 * Which HTTP proxy to use, from the environment as curl and Go read it:
 * HTTPS_PROXY or https_proxy, HTTP_PROXY or http_proxy, NO_PROXY or no_proxy.
 * Loopback addresses and "localhost" are never proxied.
 */
#include <stdbool.h>

#include "base/own.h"
#include "base/span.h"
#include "http/url.h"

/* What was found in the environment; NULL and "" alike mean none. */
struct proxy_env {
	const char *http, *https, *none;
};

/*
 * The proxy for the host, true; or false: connect directly. *ret points into
 * env. A proxy that is written wrongly is ERR_MALFORMED; only http:// proxies
 * are spoken ("host:port" means that too), others are ERR_UNKNOWN.
 */
NODISCARD int proxy_for(const struct proxy_env *env, bool https, struct span host, uint16_t port,
                        struct url *ret, bool *ret_use);
/* NO_PROXY: "*", names ("example.com", ".example.com"), addresses, prefixes; each with ":port". */
bool proxy_is_exempt(struct span list, struct span host, uint16_t port);
