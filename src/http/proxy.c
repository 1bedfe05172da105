#include "http/proxy.h"

#include "base/err.h"
#include "base/ip.h"

static bool is_local(struct span host)
{
	struct ip ip;

	if (span_is_nocase(host, "localhost"))
		return true;
	return ip_parse(host, &ip) == 0 && ip_is_loopback(&ip);
}

static bool name_fits(struct span entry, struct span host)
{
	if (entry.n > 1 && entry.p[0] == '*' && entry.p[1] == '.')
		entry = span_from(entry, 1);
	if (entry.n > 0 && entry.p[0] == '.')
		return host.n > entry.n && span_eq_nocase(span_from(host, host.n - entry.n), entry);
	if (span_eq_nocase(entry, host))
		return true;
	/* "example.com" covers what is below it as well. */
	return host.n > entry.n && host.p[host.n - entry.n - 1] == '.' &&
	       span_eq_nocase(span_from(host, host.n - entry.n), entry);
}

static bool entry_fits(struct span entry, struct span host, uint16_t port)
{
	struct prefix prefix;
	struct ip ip;
	struct span name;
	uint16_t only;

	if (entry.n == 0)
		return false;
	if (span_is(entry, "*"))
		return true;
	if (prefix_parse(entry, &prefix) == 0)
		return ip_parse(host, &ip) == 0 && prefix_contains(&prefix, &ip);
	if (host_port_parse(entry, 0, &name, &only) == 0)
		return only == port && name_fits(name, host);
	return name_fits(entry, host);
}

bool proxy_is_exempt(struct span list, struct span host, uint16_t port)
{
	struct span entry;

	while (list.n > 0 && span_cut(&list, ',', &entry)) {
		if (entry_fits(span_trim(entry), host, port))
			return true;
	}
	return false;
}

/* "host:port" is written often enough to be meant. */
static int parse_bare(struct span text, struct url *ret)
{
	struct url u = { .target = SPAN_LIT("/"), .port_written = true };
	int r = host_port_parse(text, 0, &u.host, &u.port);

	u.host_is_ip6 = text.n > 0 && text.p[0] == '[';
	if (r == 0)
		*ret = u;
	return r;
}

int proxy_for(const struct proxy_env *env, bool https, struct span host, uint16_t port,
              struct url *ret, bool *ret_use)
{
	struct span text = span_str(https ? env->https : env->http);
	int r;

	*ret_use = false;
	if (text.n == 0 || is_local(host) || proxy_is_exempt(span_str(env->none), host, port))
		return 0;
	r = url_parse(text, ret);
	if (r < 0 && r != ERR_UNKNOWN)
		r = parse_bare(text, ret);
	else if (r == 0 && ret->https)
		r = ERR_UNKNOWN;
	*ret_use = r == 0;
	return r;
}
