#include "node/ctlplan.h"

#include "base/ip.h"

bool ctlplan_is_private(const struct url *base)
{
	struct ip ip;

	if (span_is_nocase(base->host, "localhost"))
		return true;
	if (ip_parse(base->host, &ip) < 0)
		return false;
	return ip_is_private(&ip) || ip_is_loopback(&ip) || ip_is_link_local(&ip);
}

static void add(struct ctlplan *p, bool https, uint16_t port)
{
	p->try[p->n++] = (struct ctlplan_try){ .https = https, .port = port };
}

struct ctlplan ctlplan_of(const struct url *base, bool recent, bool force_https)
{
	uint16_t clear_port = base->https ? 80 : base->port;
	uint16_t https_port = base->https ? base->port : 443;
	bool https = base->https || !ctlplan_is_private(base);
	struct ctlplan p = { 0 };

	if (https && (recent || force_https))
		add(&p, true, https_port);
	if (!https || !force_https)
		add(&p, false, clear_port);
	if (https && !recent && !force_https)
		add(&p, true, https_port);
	return p;
}
