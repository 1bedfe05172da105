#include "protocol/udprelay_client.h"

#include "protocol/geneve.h"
#include "protocol/udprelay.h"
#include "test/check.h"

#define S US_PER_S

struct node {
	struct disco_priv priv;
	struct disco_pub pub;
	struct addr at;
	struct udprelay_bind bind;
	unsigned probes, overs;
};

static struct udprelay *r;
static struct rand_src rand_test;
static struct node a, b;
static struct disco_relay_endpoint ep;
static mono now;

static void make_node(struct node *n, uint8_t number)
{
	*n = (struct node){ .at = { .ip = ip4(192, 0, 2, number), .port = 41641 } };
	n->priv.b[7] = number;
	key_clamp(n->priv.b);
	disco_priv_public(&n->priv, &n->pub);
}

static void start(void)
{
	struct addr addrs[] = { { .ip = ip4(10, 0, 0, 1), .port = 7 },
		                { .ip = ip4(198, 51, 100, 1), .port = 7 } };

	now = (mono){ 1000 * S };
	rand_seeded(&rand_test, 1);
	r = udprelay_new(now, &rand_test);
	udprelay_addresses(r, addrs, 2);
	make_node(&a, 1);
	make_node(&b, 2);
}

static void end(void)
{
	udprelay_free(r);
}

static void allocate(void)
{
	CHECK_OK(udprelay_allocate(r, now, &a.pub, (struct disco_pub[]){ a.pub, b.pub }, &ep));
}

static void begin(struct node *n, const struct node *peer, uint32_t generation)
{
	CHECK_OK(udprelay_bind_init(&n->bind, now, &n->priv, &peer->pub, &ep, generation,
	                            &rand_test));
}

/* What the node wants to send goes to the relay; only its second address is reached. */
static void run(struct node *n)
{
	struct udprelay_bind_out out;
	struct udprelay_out reply;

	while (udprelay_bind_next(&n->bind, now, &out)) {
		if (out.act == UDPRELAY_BIND_PROBE)
			n->probes++;
		else if (out.act == UDPRELAY_BIND_OVER)
			n->overs++;
		else if (addr_eq(&out.to, &ep.addrs[1]) &&
		         udprelay_recv(r, now, &n->at, out.bytes, &reply))
			CHECK(udprelay_bind_recv(&n->bind, &out.to, reply.bytes));
	}
}

static bool carries(const struct node *from, const struct node *to)
{
	uint8_t data[GENEVE_HEADER + 32] = { 0 };
	struct geneve g = { .protocol = GENEVE_WIREGUARD, .vni = ep.vni };
	struct udprelay_out out;

	geneve_write(data, &g);
	return udprelay_recv(r, now, &from->at, SPAN_OF(data), &out) && addr_eq(&out.to, &to->at);
}

static void two_nodes_bind_and_are_carried(void)
{
	start();
	allocate();
	begin(&a, &b, 1);
	begin(&b, &a, 1);
	run(&a);
	CHECK_EQ(a.probes, 1);
	CHECK(!carries(&a, &b));
	run(&b);
	CHECK_EQ(b.probes, 1);
	CHECK(carries(&a, &b));
	CHECK(carries(&b, &a));
	end();
}

static void each_ping_of_the_peer_asks_for_another_ten_in_all(void)
{
	start();
	allocate();
	begin(&a, &b, 1);
	udprelay_bind_heard_ping(&a.bind); /* before the answer: nothing to ping through */
	run(&a);
	CHECK_EQ(a.probes, 1);
	for (unsigned i = 0; i < 30; i++) {
		udprelay_bind_heard_ping(&a.bind);
		run(&a);
	}
	CHECK_EQ(a.probes, UDPRELAY_PINGS_MAX);
	end();
}

static void a_relay_that_does_not_answer_is_given_up_after_30_s(void)
{
	start();
	allocate();
	ep.n_addrs = 1; /* the one that is not reached */
	begin(&a, &b, 1);
	run(&a);
	CHECK_EQ(a.probes, 0);
	CHECK_EQ(udprelay_bind_deadline(&a.bind).us, now.us + 30 * S);
	now = udprelay_bind_deadline(&a.bind);
	run(&a);
	run(&a);
	CHECK_EQ(a.overs, 1);
	CHECK_EQ(udprelay_bind_deadline(&a.bind).us, MONO_NEVER.us);
	end();
}

static void a_challenge_that_was_not_asked_for_is_not_answered(void)
{
	struct udprelay_bind_out out;
	struct udprelay_out reply;
	uint8_t kept[512];

	start();
	allocate();
	begin(&a, &b, 2);
	CHECK(udprelay_bind_next(&a.bind, now, &out));
	CHECK(udprelay_recv(r, now, &a.at, out.bytes, &reply));
	memcpy(kept, reply.bytes.p, reply.bytes.n);
	begin(&a, &b, 3); /* another generation */
	CHECK(!udprelay_bind_recv(&a.bind, &ep.addrs[0], span(kept, reply.bytes.n)));
	begin(&a, &b, 2);
	for (size_t n = 0; n < reply.bytes.n; n++)
		CHECK(!udprelay_bind_recv(&a.bind, &ep.addrs[0], span(kept, n)));
	kept[40] ^= 1;
	CHECK(!udprelay_bind_recv(&a.bind, &ep.addrs[0], span(kept, reply.bytes.n)));
	kept[40] ^= 1;
	CHECK(udprelay_bind_recv(&a.bind, &ep.addrs[0], span(kept, reply.bytes.n)));
	CHECK(!udprelay_bind_recv(&a.bind, &ep.addrs[1], span(kept, reply.bytes.n)));
	end();
}

static void asking_is_repeated_once_and_given_up(void)
{
	static const int64_t sends_at_s[] = { 0, 3 };
	struct udprelay_ask q;
	struct disco_msg m;
	mono begun;

	start();
	begun = now;
	udprelay_ask_init(&q, now, &a.pub, &b.pub, 4);
	for (size_t i = 0; i < ARRAY_LEN(sends_at_s); i++) {
		now = udprelay_ask_deadline(&q);
		CHECK_EQ(mono_since(begun, now), sends_at_s[i] * S);
		CHECK_EQ(udprelay_ask_next(&q, now, &m), UDPRELAY_ASK_SEND);
		CHECK_EQ(m.type, DISCO_ALLOCATE);
		CHECK_EQ(udprelay_ask_next(&q, now, &m), UDPRELAY_ASK_WAIT);
	}
	now = udprelay_ask_deadline(&q);
	CHECK_EQ(mono_since(begun, now), 10 * S);
	CHECK_EQ(udprelay_ask_next(&q, now, &m), UDPRELAY_ASK_OVER);
	CHECK_EQ(udprelay_ask_next(&q, now, &m), UDPRELAY_ASK_WAIT);
	end();
}

static void only_the_answer_to_our_question_ends_it(void)
{
	struct udprelay_ask q;
	struct disco_msg m = { .type = DISCO_ALLOCATED, .generation = 4 };

	start();
	allocate();
	udprelay_ask_init(&q, now, &a.pub, &b.pub, 4);
	m.relay = ep;
	m.generation = 5;
	CHECK(!udprelay_ask_answered(&q, &m));
	m.generation = 4;
	m.relay.clients[0].b[0] ^= 1;
	CHECK(!udprelay_ask_answered(&q, &m));
	m.relay = ep;
	m.relay.server = (struct disco_pub){ { 0 } };
	CHECK(!udprelay_ask_answered(&q, &m));
	m.relay = ep;
	m.relay.n_addrs = 0;
	CHECK(!udprelay_ask_answered(&q, &m));
	m.relay = ep;
	CHECK(udprelay_ask_answered(&q, &m));
	CHECK(!udprelay_ask_answered(&q, &m));
	end();
}

int main(void)
{
	RUN(two_nodes_bind_and_are_carried);
	RUN(each_ping_of_the_peer_asks_for_another_ten_in_all);
	RUN(a_relay_that_does_not_answer_is_given_up_after_30_s);
	RUN(a_challenge_that_was_not_asked_for_is_not_answered);
	RUN(asking_is_repeated_once_and_given_up);
	RUN(only_the_answer_to_our_question_ends_it);
	return check_done();
}
