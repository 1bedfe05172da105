/* The memory of outgoing flows. */
#include "filter/flow.h"

#include "test/check.h"

static const uint64_t KEY[2] = { 1, 2 };

static struct ippkt udp(uint8_t src, uint16_t src_port, uint8_t dst, uint16_t dst_port)
{
	return (struct ippkt){ .version = 4,
		               .proto = IPPKT_UDP,
		               .src = ip4(10, 0, 0, src),
		               .dst = ip4(10, 0, 0, dst),
		               .src_port = src_port,
		               .dst_port = dst_port };
}

static void the_answer_is_known_and_nothing_else(void)
{
	AUTO(flow_table_free) struct flow_table *t = flow_table_new(64, KEY);
	struct ippkt out = udp(1, 1000, 2, 53), answer = udp(2, 53, 1, 1000);
	struct ippkt other = udp(2, 54, 1, 1000), third = udp(3, 53, 1, 1000);

	CHECK(!flow_known(t, &answer, (mono){ 0 }));
	flow_note(t, &out, (mono){ 0 });
	CHECK(flow_known(t, &answer, (mono){ 1 }));
	CHECK(!flow_known(t, &out, (mono){ 1 }));
	CHECK(!flow_known(t, &other, (mono){ 1 }));
	CHECK(!flow_known(t, &third, (mono){ 1 }));
	answer.proto = IPPKT_SCTP;
	CHECK(!flow_known(t, &answer, (mono){ 1 }));
	flow_table_clear(t);
	answer.proto = IPPKT_UDP;
	CHECK(!flow_known(t, &answer, (mono){ 1 }));
}

static void a_flood_of_flows_pushes_out_the_quiet_ones_first(void)
{
	AUTO(flow_table_free) struct flow_table *t = flow_table_new(1024, KEY);
	struct ippkt busy = udp(1, 7, 2, 7), answer = udp(2, 7, 1, 7);
	unsigned kept = 0;

	for (unsigned i = 0; i < 20000; i++) {
		mono now = { (int64_t)i * US_PER_S };
		struct ippkt other = udp(1, (uint16_t)i, 3, (uint16_t)(i * 7));

		flow_note(t, &busy, now);
		flow_note(t, &other, now);
	}
	CHECK(flow_known(t, &answer, (mono){ 20000 * US_PER_S }));
	for (unsigned i = 0; i < 20000; i++) {
		struct ippkt back = udp(3, (uint16_t)(i * 7), 1, (uint16_t)i);

		kept += flow_known(t, &back, (mono){ 20000 * US_PER_S });
	}
	CHECK(kept <= 1024 && kept > 900);
}

int main(void)
{
	RUN(the_answer_is_known_and_nothing_else);
	RUN(a_flood_of_flows_pushes_out_the_quiet_ones_first);
	return check_done();
}
