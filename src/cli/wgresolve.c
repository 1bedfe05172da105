#include "cli/wgresolve.h"

#include <errno.h>
#include <netdb.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "platform/sockaddr.h"

enum { RETRIES = 15, WAIT_FIRST_US = 1000000, WAIT_MAX_US = 20000000 };

/* -1: for ever */
static int64_t retries(void)
{
	const char *text = getenv("WG_ENDPOINT_RESOLUTION_RETRIES");
	uint64_t n;

	if (!text)
		return RETRIES;
	if (strcmp(text, "infinity") == 0)
		return -1;
	return span_u64(span_str(text), INT32_MAX, &n) < 0 ? RETRIES : (int64_t)n;
}

static bool is_final(int code)
{
	return code == EAI_NONAME || code == EAI_FAIL || code == EAI_NODATA || code == EAI_SERVICE;
}

static int look_up(const char *host, const char *service, struct addr *ret)
{
	struct addrinfo hints = { .ai_socktype = SOCK_DGRAM, .ai_protocol = IPPROTO_UDP };
	struct addrinfo *list = NULL;
	int code = getaddrinfo(host, service, &hints, &list);

	if (code)
		return code;
	code = sockaddr_to(list->ai_addr, list->ai_addrlen, ret) < 0 ? EAI_NONAME : 0;
	freeaddrinfo(list);
	return code;
}

int wg_resolve(const struct cli *cli, const struct wg_endpoint *e, struct addr *ret)
{
	int64_t left = retries();
	unsigned wait_us = WAIT_FIRST_US;

	if (wg_endpoint_numeric(e, ret) == 0 && ret->port)
		return 0;
	for (;;) {
		int code = look_up(e->host, e->service, ret);

		/* Also what is no port: libc takes its last 16 bits. */
		if (code == 0 && ret->port == 0)
			code = EAI_SERVICE;

		if (code == 0)
			return 0;

		const char *why = code == EAI_SYSTEM ? strerror(errno) : gai_strerror(code);

		if (is_final(code) || left == 0) {
			cmd_note(cli, "%s: `%s:%s'", why, e->host, e->service);
			return ERR_UNKNOWN;
		}
		if (left > 0)
			left--;
		cmd_note(cli, "%s: `%s:%s'. Trying again in %.2f seconds...", why, e->host,
		         e->service, wait_us / 1e6);
		(void)usleep(wait_us);
		wait_us = wait_us * 6 / 5 < WAIT_MAX_US ? wait_us * 6 / 5 : WAIT_MAX_US;
	}
}

int wg_resolve_service(const char *service, uint16_t *ret)
{
	struct addr a;

	if (look_up(NULL, service, &a))
		return ERR_UNKNOWN;
	*ret = a.port;
	return 0;
}

int wg_resolve_conf(const struct cli *cli, const char *file, struct wg_conf *c)
{
	if (c->listen_service &&
	    wg_resolve_service(c->listen_service, &c->change.listen_port) < 0) {
		cmd_note(cli, "%s:%u: ListenPort: expected a port from 0 to 65535", file,
		         c->listen_line);
		return ERR_UNKNOWN;
	}
	vec_each(const struct wg_conf_name *, n, &c->names)
		if (wg_resolve(cli, &n->endpoint, &c->change.peers.v[n->peer].endpoint) < 0) {
			cmd_note(cli, "%s:%u: Endpoint: no address for this name", file, n->line);
			return ERR_UNKNOWN;
		}
	return 0;
}
