/* systemd-resolved: what was planned, as its links have it. */
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "host/dns_priv.h"

static bool is_search(const struct dns_os *os, const char *name)
{
	for (size_t i = 0; i < os->search.n; i++)
		if (strcmp(os->search.v[i], name) == 0)
			return true;
	return false;
}

/*
 * A search domain routes too. Told twice, the second time for routing only, it
 * would not be searched any more (seen in systemd 252).
 */
int resolved_set(struct resolve1 *bus, int index, const struct dns_os *os)
{
	bool all = os->servers.n && !os->match.n;
	AUTO_FREE struct resolve1_domain *domains = mem_new_n(struct resolve1_domain,
	                                                      os->search.n + os->match.n + 1);
	struct resolve1_link link = { .servers = os->servers.v,
		                      .n_servers = os->servers.n,
		                      .domains = domains,
		                      .default_route = all };

	if (!bus)
		return ERR_UNKNOWN;
	for (size_t i = 0; i < os->search.n; i++)
		domains[link.n_domains++] = (struct resolve1_domain){ os->search.v[i], false };
	for (size_t i = 0; i < os->match.n; i++)
		if (!is_search(os, os->match.v[i]))
			domains[link.n_domains++] = (struct resolve1_domain){ os->match.v[i],
				                                              true };
	if (all)
		domains[link.n_domains++] = (struct resolve1_domain){ ".", true };
	return resolve1_set(bus, index, &link);
}
