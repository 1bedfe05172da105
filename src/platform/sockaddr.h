#pragma once
/* base's addresses to and from the kernel's. The only place that knows both. */
#include <sys/socket.h>

#include "base/ip.h"

union sockaddr_any {
	struct sockaddr sa;
	struct sockaddr_storage storage;
};

/* IPv4 becomes AF_INET, or ::ffff:a.b.c.d when v6 is asked for. Returns the length. */
socklen_t sockaddr_from(const struct addr *a, bool v6, union sockaddr_any *ret);

/* IPv4 and IPv6; everything else is ERR_UNKNOWN. Mapped IPv4 comes out as IPv4. */
NODISCARD int sockaddr_to(const struct sockaddr *sa, socklen_t n, struct addr *ret);
