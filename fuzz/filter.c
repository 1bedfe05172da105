/*
 * A filter built from the input's rules, then asked about the input's packets.
 * Lines: "s TEXT" source, "d TEXT" destination, "p N" protocol, "r" next rule,
 * "l" shields up; anything else is a packet.
 */
#include "filter/filter.h"
#include "base/rand.h"
#include "filter/flow.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void feed(struct filter_build *b, struct span line, enum filter_mode *mode)
{
	struct span text = span_from(line, 2);
	uint64_t number;

	if (line.n == 0)
		return;
	if (line.p[0] == 'r')
		(void)!filter_build_rule(b);
	if (line.p[0] == 's')
		(void)!filter_build_src(b, text);
	if (line.p[0] == 'd')
		(void)!filter_build_dst(b, text, line.p[line.n - 1], 60000);
	if (line.p[0] == 'p' && span_u64(text, UINT32_MAX, &number) == 0)
		filter_build_proto(b, (int64_t)number);
	if (line.p[0] == 'l')
		*mode = FILTER_SHIELDS_UP;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const uint64_t key[2] = { 1, 2 };
	struct filter_build *b = filter_build_new(NULL);
	struct span rest = span(data, n), line;
	enum filter_mode mode = FILTER_BY_RULES;
	AUTO_DONE(ipset) struct ipset local = { 0 };

	ipset_add_all(&local);
	ipset_seal(&local);
	filter_build_local(b, &local);
	while (span_cut(&rest, '\n', &line))
		feed(b, line, &mode);

	AUTO(filter_free) struct filter *f = filter_build_done(b, mode);
	AUTO(flow_table_free) struct flow_table *flows = flow_table_new(16, key);

	rest = span(data, n);
	while (span_cut(&rest, '\n', &line)) {
		struct ippkt p;

		ippkt_parse(line, &p);
		(void)!filter_out(flows, &p, (mono){ 1 });
		(void)!filter_in(f, flows, &p, FILTER_PEER, (mono){ 2 });
	}
	return 0;
}
