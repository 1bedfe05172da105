/* The fake network itself: each kind of NAT maps and filters as its name says. */
#include "test/sim/fakenet.h"

#include "test/check.h"

struct seen {
	unsigned n;
	struct addr from;
};

static void on_datagram(void *arg, const struct addr *from, const struct addr *to,
                        struct span datagram)
{
	struct seen *s = arg;

	(void)to;
	(void)datagram;
	s->n++;
	s->from = *from;
}

static struct fakenet *net;
static struct fakehost *inside, *a, *b;
static struct seen at_inside, at_a, at_a2, at_b;

static void settle(void)
{
	fakenet_run(net, mono_after(fakenet_now(net), US_PER_S), NULL, NULL);
}

/* A host behind the NAT, and two on the internet, one of them with two ports. */
static void start(enum fakenat_kind kind)
{
	net = fakenet_new(1);
	struct fakenat *nat = fakenet_nat(net, kind, ip4(198, 51, 100, 1), NULL);

	inside = fakenet_host(net, ip4(192, 168, 1, 2), nat);
	a = fakenet_host(net, ip4(203, 0, 113, 1), NULL);
	b = fakenet_host(net, ip4(203, 0, 113, 2), NULL);
	at_inside = at_a = at_a2 = at_b = (struct seen){ 0 };
	CHECK_EQ(fakehost_bind(inside, 1000, on_datagram, &at_inside), 1000);
	CHECK_EQ(fakehost_bind(a, 1, on_datagram, &at_a), 1);
	CHECK_EQ(fakehost_bind(a, 2, on_datagram, &at_a2), 2);
	CHECK_EQ(fakehost_bind(b, 1, on_datagram, &at_b), 1);
}

static void send(struct fakehost *from, uint16_t port, struct ip ip, uint16_t to_port)
{
	struct addr to = { .ip = ip, .port = to_port };

	CHECK(fakehost_send(from, port, &to, SPAN_LIT("x")));
	settle();
}

static void each_kind_filters_as_its_name_says(void)
{
	/* clang-format off */
	static const struct {
		enum fakenat_kind kind;
		bool same_mapping, other_port, other_host;
	} rows[] = {
		{ FAKENAT_FULL_CONE,       true,  true,  true  },
		{ FAKENAT_RESTRICTED,      true,  true,  false },
		{ FAKENAT_PORT_RESTRICTED, true,  false, false },
		{ FAKENAT_SYMMETRIC,       false, false, false },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		start(rows[i].kind);
		send(inside, 1000, fakehost_ip(a), 1);
		CHECK_EQ(at_a.n, 1);
		CHECK_EQ(ip_v4(&at_a.from.ip)[0], 198);

		struct addr outside = at_a.from;

		send(a, 1, outside.ip, outside.port);
		CHECK_EQ(at_inside.n, 1);
		send(a, 2, outside.ip, outside.port);
		CHECK_EQ(at_inside.n, 1 + rows[i].other_port);
		send(b, 1, outside.ip, outside.port);
		CHECK_EQ(at_inside.n, 1 + rows[i].other_port + rows[i].other_host);
		send(inside, 1000, fakehost_ip(b), 1);
		CHECK_EQ(at_b.n, 1);
		CHECK_EQ(at_b.from.port == outside.port, rows[i].same_mapping);
		fakenet_free(net);
	}
}

static void a_firewall_keeps_the_address_and_lets_answers_in(void)
{
	start(FAKENAT_FIREWALL);
	send(b, 1, fakehost_ip(inside), 1000);
	CHECK_EQ(at_inside.n, 0);
	send(inside, 1000, fakehost_ip(b), 1);
	CHECK(ip_eq(&at_b.from.ip, &(struct ip){ { [10] = 0xff, [11] = 0xff, 192, 168, 1, 2 } }));
	send(b, 1, fakehost_ip(inside), 1000);
	CHECK_EQ(at_inside.n, 1);
	fakenet_free(net);
}

static void nothing_passes_where_udp_is_blocked(void)
{
	start(FAKENAT_NO_UDP);
	send(inside, 1000, fakehost_ip(a), 1);
	CHECK_EQ(at_a.n, 0);
	fakenet_free(net);
}

static void a_mapping_dies_of_silence_and_of_a_restart(void)
{
	start(FAKENAT_PORT_RESTRICTED);
	send(inside, 1000, fakehost_ip(a), 1);

	struct addr outside = at_a.from;

	fakenet_run(net, mono_after(fakenet_now(net), 31 * US_PER_S), NULL, NULL);
	send(a, 1, outside.ip, outside.port);
	CHECK_EQ(at_inside.n, 0);
	fakenet_free(net);
}

static void a_mapped_port_lets_everybody_in(void)
{
	struct addr in = { .ip = ip4(192, 168, 1, 2), .port = 1000 };

	net = fakenet_new(1);
	struct fakenat *nat = fakenet_nat(net, FAKENAT_SYMMETRIC, ip4(198, 51, 100, 1), NULL);

	inside = fakenet_host(net, in.ip, nat);
	b = fakenet_host(net, ip4(203, 0, 113, 2), NULL);
	at_inside = (struct seen){ 0 };
	CHECK(fakehost_bind(inside, 1000, on_datagram, &at_inside));
	fakenat_map(nat, 7777, &in);
	send(b, 5, ip4(198, 51, 100, 1), 7777);
	CHECK_EQ(at_inside.n, 1);
	fakenet_free(net);
}

static void two_hosts_of_one_lan_talk_without_their_nat(void)
{
	start(FAKENAT_SYMMETRIC);
	struct fakenat *lan = fakenet_nat(net, FAKENAT_SYMMETRIC, ip4(198, 51, 100, 9), NULL);
	struct fakehost *x = fakenet_host(net, ip4(10, 0, 0, 1), lan);
	struct fakehost *y = fakenet_host(net, ip4(10, 0, 0, 2), lan);
	struct seen at_y = { 0 };

	CHECK(fakehost_bind(y, 9, on_datagram, &at_y));
	send(x, 8, fakehost_ip(y), 9);
	CHECK_EQ(at_y.n, 1);
	CHECK_EQ(ip_v4(&at_y.from.ip)[0], 10);
	fakenet_free(net);
}

static void two_nats_in_a_row_translate_twice(void)
{
	net = fakenet_new(1);
	struct fakenat *carrier = fakenet_nat(net, FAKENAT_SYMMETRIC, ip4(198, 51, 100, 1), NULL);
	struct fakenat *home = fakenet_nat(net, FAKENAT_PORT_RESTRICTED, ip4(100, 127, 0, 2),
	                                   carrier);

	inside = fakenet_host(net, ip4(192, 168, 1, 2), home);
	b = fakenet_host(net, ip4(203, 0, 113, 2), NULL);
	at_b = at_inside = (struct seen){ 0 };
	CHECK(fakehost_bind(inside, 1000, on_datagram, &at_inside));
	CHECK(fakehost_bind(b, 1, on_datagram, &at_b));
	send(inside, 1000, fakehost_ip(b), 1);
	CHECK_EQ(ip_v4(&at_b.from.ip)[0], 198);
	send(b, 1, at_b.from.ip, at_b.from.port);
	CHECK_EQ(at_inside.n, 1);
	fakenet_free(net);
}

static void ipv6_passes_unchanged_where_it_is_allowed(void)
{
	struct ip six = { { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };
	struct ip far = { { 0x20, 0x01, 0x0d, 0xb8, 9, [15] = 1 } };

	net = fakenet_new(1);
	struct fakenat *nat = fakenet_nat(net, FAKENAT_SYMMETRIC, ip4(198, 51, 100, 1), NULL);

	fakenat_allow_v6(nat);
	inside = fakenet_host(net, ip4(192, 168, 1, 2), nat);
	fakehost_add_address(inside, six);
	b = fakenet_host(net, far, NULL);
	at_b = at_inside = (struct seen){ 0 };
	CHECK(fakehost_bind(inside, 1000, on_datagram, &at_inside));
	CHECK(fakehost_bind(b, 1, on_datagram, &at_b));
	send(b, 1, six, 1000);
	CHECK_EQ(at_inside.n, 0);
	send(inside, 1000, far, 1);
	CHECK(ip_eq(&at_b.from.ip, &six));
	send(b, 1, six, 1000);
	CHECK_EQ(at_inside.n, 1);
	fakenet_free(net);
}

static void the_link_loses_and_repeats_as_often_as_told(void)
{
	struct fakenet_link link = {
		.loss = 0.3, .repeat = 0.1, .delay_us = 1000, .jitter_us = 5000
	};

	start(FAKENAT_FULL_CONE);
	fakenet_set_link(net, &link);
	for (int i = 0; i < 2000; i++) {
		struct addr to = { .ip = fakehost_ip(b), .port = 1 };

		CHECK(fakehost_send(a, 1, &to, SPAN_LIT("x")));
	}
	settle();
	CHECK(at_b.n > 1400 && at_b.n < 1680);
	fakenet_free(net);
}

int main(void)
{
	RUN(each_kind_filters_as_its_name_says);
	RUN(a_firewall_keeps_the_address_and_lets_answers_in);
	RUN(nothing_passes_where_udp_is_blocked);
	RUN(a_mapping_dies_of_silence_and_of_a_restart);
	RUN(a_mapped_port_lets_everybody_in);
	RUN(two_hosts_of_one_lan_talk_without_their_nat);
	RUN(two_nats_in_a_row_translate_twice);
	RUN(ipv6_passes_unchanged_where_it_is_allowed);
	RUN(the_link_loses_and_repeats_as_often_as_told);
	return check_done();
}
