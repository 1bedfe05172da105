#include "path/netcheck.h"

#include "test/check.h"

enum { REGIONS = 6 };

static struct derp_node nodes[REGIONS];
static struct derp_region regions[REGIONS];
static struct derp_map map = { regions, REGIONS };
static struct netcheck *n;
static mono now;
static struct netcheck_out out;

/* How the world answers: one way delay per region, 0 silent; the port the NAT shows to each. */
static int64_t delay_us[REGIONS];
static uint16_t shown_port[REGIONS];
static bool v6_works, https_works;
static unsigned stun_sent, https_sent;

static void set_up(void)
{
	struct rand_src rand;

	rand_seeded(&rand, 1);
	for (int i = 0; i < REGIONS; i++) {
		nodes[i] = (struct derp_node){ .name = "n", .host = "h", .stun_port = 3478 };
		regions[i] = (struct derp_region){
			.id = i + 1, .score = 1, .nodes = &nodes[i], .n_nodes = 1
		};
		delay_us[i] = 10000 * (i + 1);
		shown_port[i] = 41641;
	}
	v6_works = https_works = false;
	stun_sent = https_sent = 0;
	now = (mono){ 100 * US_PER_S };
	n = netcheck_new(&rand);
}

struct pending {
	mono at;
	uint8_t bytes[STUN_RESPONSE_MAX];
	size_t n;
	int region; /* of an HTTPS answer */
};

static void on_stun(struct pending *queue, size_t *count)
{
	uint8_t txid[STUN_TXID];
	int i = out.region - 1;
	struct addr seen = { .ip = ip4(203, 0, 113, 7), .port = shown_port[i] };

	stun_sent++;
	CHECK_OK(stun_request_parse(out.bytes, txid));
	if (!delay_us[i] || (out.v6 && !v6_works))
		return;
	if (out.v6)
		seen.ip = (struct ip){ { 0x20, 0x01, 0x0d, 0xb8, [15] = 7 } };

	struct pending *p = &queue[(*count)++];

	p->at = mono_after(now, delay_us[i]);
	p->region = 0;
	p->n = stun_response(p->bytes, txid, &seen);
}

/* Plays a run to its end; the report. */
static const struct netcheck_report *run(struct netcheck_cfg cfg)
{
	static struct pending queue[200];
	size_t count = 0;

	cfg.map = &map;
	netcheck_start(n, now, &cfg);
	for (unsigned turns = 0; turns < 1000; turns++) {
		netcheck_timeout(n, now);
		while (netcheck_next(n, &out)) {
			if (out.act == NETCHECK_DONE)
				return netcheck_report(n);
			if (out.act == NETCHECK_STUN) {
				on_stun(queue, &count);
				continue;
			}
			https_sent++;
			queue[count++] = (struct pending){
				.at = mono_after(now, delay_us[out.region - 1] * 3),
				.region = out.region
			};
		}

		mono next = netcheck_deadline(n);
		size_t first = count;

		for (size_t i = 0; i < count; i++) {
			if (mono_before(queue[i].at, next)) {
				next = queue[i].at;
				first = i;
			}
		}
		now = next;
		if (first == count)
			continue;

		struct pending p = queue[first];

		queue[first] = queue[--count];
		if (p.region)
			netcheck_https(n, now, p.region,
			               https_works ? delay_us[p.region - 1] * 3 : 0);
		else
			(void)netcheck_recv(n, now, span(p.bytes, p.n));
	}
	check_fail(__FILE__, __LINE__, "the run never ends");
	return netcheck_report(n);
}

static const struct netcheck_cfg v4_only = { .have4 = true };

static void a_full_run_measures_the_regions_and_the_mapping(void)
{
	set_up();

	mono start = now;
	const struct netcheck_report *r = run(v4_only);

	CHECK(r->full && r->udp && r->ipv4 && !r->ipv6);
	CHECK_EQ(r->regions[0].v4_us, 10000);
	CHECK_EQ(r->regions[2].v4_us, 30000);
	CHECK_EQ(r->mapping_varies, TRI_FALSE);
	CHECK_EQ(r->global4.port, 41641);
	CHECK_EQ(r->n_mapped, 1);
	/* Three answers after 30 ms: twice as long again and it is over. */
	CHECK(mono_since(start, now) <= 90000);
	netcheck_free(n);
}

static void a_symmetric_nat_is_seen(void)
{
	set_up();
	shown_port[1] = 50001;
	shown_port[2] = 50002;

	const struct netcheck_report *r = run(v4_only);

	CHECK_EQ(r->mapping_varies, TRI_TRUE);
	CHECK(r->n_mapped >= 3);
	netcheck_free(n);
}

static void one_region_leaves_the_mapping_unknown_and_does_not_wait(void)
{
	set_up();
	map.n_regions = 1;

	mono start = now;
	const struct netcheck_report *r = run(v4_only);

	map.n_regions = REGIONS;
	CHECK_EQ(r->mapping_varies, TRI_UNKNOWN);
	CHECK_EQ(mono_since(start, now), 10000);
	CHECK_EQ(stun_sent, 1);
	netcheck_free(n);
}

static void the_second_run_asks_the_nearest_alone(void)
{
	set_up();
	(void)run(v4_only);
	stun_sent = 0;

	const struct netcheck_report *r = run((struct netcheck_cfg){ .have4 = true, .home = 1 });

	CHECK(!r->full);
	CHECK_EQ(stun_sent, 3);
	CHECK(!r->regions[4].v4_us);
	now = mono_after(now, NETCHECK_FULL_EVERY_US + 1);
	CHECK(run(v4_only)->full);
	netcheck_free(n);
}

static void both_families_are_measured(void)
{
	set_up();
	v6_works = true;

	const struct netcheck_report *r = run(
		(struct netcheck_cfg){ .have4 = true, .have6 = true });

	CHECK(r->ipv4 && r->ipv6);
	CHECK(!ip_is4(&r->global6.ip));
	netcheck_free(n);
}

static void without_udp_https_stands_in(void)
{
	set_up();
	for (int i = 0; i < REGIONS; i++)
		delay_us[i] = 0;
	https_works = true;

	mono start = now;
	const struct netcheck_report *r;

	delay_us[0] = 0;
	r = run(v4_only);
	CHECK(!r->udp);
	CHECK_EQ(https_sent, REGIONS);
	CHECK(mono_since(start, now) <= 5 * US_PER_S);
	netcheck_free(n);
	set_up();
	https_works = true;
	r = run((struct netcheck_cfg){ .have4 = true, .no_udp = true });
	CHECK(!r->udp);
	CHECK_EQ(stun_sent, 0);
	CHECK_EQ(r->regions[3].https_us, 120000);
	netcheck_free(n);
}

static void nothing_at_all_ends_in_five_seconds(void)
{
	set_up();
	for (int i = 0; i < REGIONS; i++)
		delay_us[i] = 0;

	mono start = now;
	const struct netcheck_report *r = run((struct netcheck_cfg){ 0 });

	CHECK(!r->udp && !r->global4.port);
	CHECK(mono_since(start, now) <= 5 * US_PER_S);
	netcheck_free(n);
}

static void foreign_datagrams_are_left_to_others(void)
{
	uint8_t txid[STUN_TXID] = { 1 }, b[STUN_RESPONSE_MAX];
	struct addr a = { .ip = ip4(1, 2, 3, 4), .port = 5 };
	struct netcheck_cfg cfg = v4_only;

	set_up();
	cfg.map = &map;
	netcheck_start(n, now, &cfg);
	CHECK(!netcheck_recv(n, now, span(b, stun_response(b, txid, &a))));
	CHECK(!netcheck_recv(n, now, SPAN_LIT("junk")));
	netcheck_free(n);
}

static int home(int current, bool pinned, int heard)
{
	struct home_heard h = { heard, now };
	struct home_cfg cfg = { .map = &map,
		                .current = current,
		                .heard = &h,
		                .n_heard = heard != 0,
		                .pinned = pinned };

	return netcheck_home(n, now, &cfg);
}

static void home_is_the_nearest_and_changes_only_for_a_clear_gain(void)
{
	set_up();
	delay_us[0] = 12000;
	delay_us[1] = 10000;
	delay_us[2] = 40000;
	delay_us[5] = 0;
	(void)run(v4_only);
	CHECK_EQ(home(0, false, 0), 2);
	CHECK_EQ(home(1, false, 0), 1);
	CHECK_EQ(home(3, false, 0), 2);
	CHECK_EQ(home(3, true, 0), 3);
	/* Not measured now, but it speaks to us. */
	CHECK_EQ(home(6, false, 6), 6);
	CHECK_EQ(home(99, false, 0), 2);
	regions[1].avoid = true;
	CHECK_EQ(home(0, false, 0), 1);
	regions[0].no_measure = true;
	CHECK_EQ(home(0, false, 0), 3);
	netcheck_free(n);
}

int main(void)
{
	RUN(a_full_run_measures_the_regions_and_the_mapping);
	RUN(a_symmetric_nat_is_seen);
	RUN(one_region_leaves_the_mapping_unknown_and_does_not_wait);
	RUN(the_second_run_asks_the_nearest_alone);
	RUN(both_families_are_measured);
	RUN(without_udp_https_stands_in);
	RUN(nothing_at_all_ends_in_five_seconds);
	RUN(foreign_datagrams_are_left_to_others);
	RUN(home_is_the_nearest_and_changes_only_for_a_clear_gain);
	return check_done();
}
