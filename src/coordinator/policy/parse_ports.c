/* Protocols and ports as the rules write them. */
#include "base/err.h"
#include "coordinator/policy/parse.h"

/* clang-format off */
static const struct {
	const char *name;
	int number;
} PROTOCOLS[] = {
	{ "icmp", 1 }, { "igmp", 2 },  { "ipv4", 4 }, { "ip-in-ip", 4 }, { "tcp", 6 },
	{ "egp", 8 },  { "igp", 9 },   { "udp", 17 }, { "gre", 47 },     { "esp", 50 },
	{ "ah", 51 },  { "ipv6-icmp", 58 }, { "sctp", 132 }, { "fc", 133 },
};
/* clang-format on */

bool policy_proto_parse(struct span text, int *ret, const char **ret_why)
{
	uint64_t number;

	*ret = -1;
	if (text.n == 0)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(PROTOCOLS); i++)
		if (span_is_nocase(text, PROTOCOLS[i].name)) {
			*ret = PROTOCOLS[i].number;
			return true;
		}
	*ret_why = "leading 0 not permitted in protocol number";
	if (text.n > 1 && text.p[0] == '0')
		return false;
	*ret_why = "protocol not known";
	int r = span_u64(text, 255, &number);

	if (r == ERR_LIMIT || (r == 0 && number == 0))
		*ret_why = "protocol number out of range (0-255)";
	if (r < 0 || number == 0)
		return false;
	*ret = (int)number;
	return true;
}

bool policy_proto_has_ports(int proto)
{
	return proto == -1 || proto == 6 || proto == 17 || proto == 132;
}

static bool all_digits(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
	return s.n > 0;
}

static bool read_port(struct px *x, size_t at, struct span range, struct span text,
                      const char *which, uint16_t *ret)
{
	uint64_t n = 0;

	if (!all_digits(text)) {
		policy_issue(x->issues, at, POLICY_PORT_SYNTAX,
		             "port range \"%.*s\": invalid %s integer", SPAN_FMT(range), which);
		return false;
	}
	if (span_u64(text, 65535, &n) < 0) {
		policy_issue(x->issues, at, POLICY_PORT_RANGE,
		             "port range \"%.*s\": port number out of range", SPAN_FMT(range));
		return false;
	}
	*ret = (uint16_t)n;
	return true;
}

static bool read_range(struct px *x, size_t at, struct span text, struct port_range *ret)
{
	size_t dash = span_find(text, '-');
	struct span last = span_from(text, dash + 1);

	if (span_is(text, "*")) {
		ret->first = 0;
		ret->last = 65535;
		return true;
	}
	if (span_find(last, '-') < last.n) {
		policy_issue(x->issues, at, POLICY_PORT_SYNTAX,
		             "port range \"%.*s\": more than one -", SPAN_FMT(text));
		return false;
	}
	if (!read_port(x, at, text, span_first(text, dash), "first", &ret->first))
		return false;
	ret->last = ret->first;
	if (dash < text.n && !read_port(x, at, text, last, "last", &ret->last))
		return false;
	if (ret->first == 0) {
		policy_issue(x->issues, at, POLICY_PORT_RANGE,
		             "port range \"%.*s\": first port must be >0, or use '*' for wildcard",
		             SPAN_FMT(text));
		return false;
	}
	if (ret->first > ret->last) {
		policy_issue(x->issues, at, POLICY_PORT_RANGE,
		             "port range \"%.*s\": first port is greater than last port",
		             SPAN_FMT(text));
		return false;
	}
	return true;
}

bool px_port_list(struct px *x, size_t at, struct span text, int proto, struct span proto_text,
                  struct px_ports *ret)
{
	struct span rest = text, part;

	if (text.n == 0) {
		policy_issue(x->issues, at, POLICY_PORT_SYNTAX,
		             "port range \"\": invalid first integer");
		return false;
	}
	if (!policy_proto_has_ports(proto) && !span_is(text, "*")) {
		policy_issue(x->issues, at, POLICY_PROTO_NO_PORTS,
		             "protocol does not support specific ports: \"%.*s\", only \"*\" is "
		             "allowed",
		             SPAN_FMT(proto_text));
		return false;
	}
	while (span_cut(&rest, ',', &part)) {
		struct port_range r = { .proto = proto };

		if (!read_range(x, at, part, &r))
			return false;
		vec_push(ret, r);
	}
	return true;
}
