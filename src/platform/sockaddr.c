#include "platform/sockaddr.h"

#include <netinet/in.h>

#include "base/err.h"

static socklen_t from6(const struct addr *a, union sockaddr_any *ret)
{
	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6,
		.sin6_port = htons(a->port),
		.sin6_scope_id = a->zone,
	};

	memcpy(&in6.sin6_addr, a->ip.b, 16);
	memcpy(&ret->storage, &in6, sizeof(in6));
	return sizeof(in6);
}

socklen_t sockaddr_from(const struct addr *a, bool v6, union sockaddr_any *ret)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(a->port) };

	memset(ret, 0, sizeof(*ret));
	if (v6 || !ip_is4(&a->ip))
		return from6(a, ret);
	memcpy(&in.sin_addr, ip_v4(&a->ip), 4);
	memcpy(&ret->storage, &in, sizeof(in));
	return sizeof(in);
}

int sockaddr_to(const struct sockaddr *sa, socklen_t n, struct addr *ret)
{
	struct addr a = { 0 };

	if (n >= sizeof(struct sockaddr_in) && sa->sa_family == AF_INET) {
		struct sockaddr_in in;

		memcpy(&in, sa, sizeof(in));
		a.ip = ip4_of((const uint8_t *)&in.sin_addr);
		a.port = ntohs(in.sin_port);
	} else if (n >= sizeof(struct sockaddr_in6) && sa->sa_family == AF_INET6) {
		struct sockaddr_in6 in6;

		memcpy(&in6, sa, sizeof(in6));
		memcpy(a.ip.b, &in6.sin6_addr, 16);
		a.port = ntohs(in6.sin6_port);
		a.zone = ip_is_link_local(&a.ip) ? (uint16_t)in6.sin6_scope_id : 0;
	} else {
		return ERR_UNKNOWN;
	}
	*ret = a;
	return 0;
}
