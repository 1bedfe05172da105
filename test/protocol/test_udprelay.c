#include "protocol/udprelay.h"

#include "base/wire.h"
#include "protocol/geneve.h"
#include "test/check.h"

#define S US_PER_S

/* One of the two that want to be carried. */
struct client {
	struct disco_priv priv;
	struct disco_pub pub;
	struct box_shared shared; /* with the relay */
	struct addr at;
};

static struct udprelay *r;
static struct rand_src rand_test;
static struct client a, b;
static struct disco_relay_endpoint ep;
static mono now;
static uint8_t packet[2048];

static void make_client(struct client *c, uint8_t n)
{
	*c = (struct client){ .priv = { { n } }, .at = { .ip = ip4(192, 0, 2, n), .port = 1000 } };
	key_clamp(c->priv.b);
	c->priv.b[5] = n;
	disco_priv_public(&c->priv, &c->pub);
	CHECK_OK(box_shared_init(&c->shared, c->priv.b, udprelay_key(r)->b));
}

static int allocate(const struct client *asker)
{
	return udprelay_allocate(r, now, &asker->pub, (struct disco_pub[]){ a.pub, b.pub }, &ep);
}

static void start(void)
{
	struct addr addrs[] = { { .ip = ip4(198, 51, 100, 1), .port = 7 } };

	now = (mono){ 1000 * S };
	rand_seeded(&rand_test, 1);
	r = udprelay_new(now, &rand_test);
	udprelay_addresses(r, addrs, 1);
	make_client(&a, 1);
	make_client(&b, 2);
}

static void end(void)
{
	udprelay_free(r);
}

/* A control message of c about its pair with other. */
static bool say(const struct client *c, const struct client *other, struct disco_msg *m,
                struct udprelay_out *out)
{
	struct geneve g = { .control = true, .protocol = GENEVE_DISCO, .vni = ep.vni };
	size_t n = 0;

	m->bind.vni = ep.vni;
	m->bind.remote = other->pub;
	geneve_write(packet, &g);
	CHECK_OK(disco_seal(packet + GENEVE_HEADER, sizeof(packet) - GENEVE_HEADER, m, &c->pub,
	                    &c->shared, &rand_test, &n));
	return udprelay_recv(r, now, &c->at, span(packet, GENEVE_HEADER + n), out);
}

/* BIND; the challenge that comes back. */
static struct disco_msg ask(const struct client *c, const struct client *other, uint32_t generation)
{
	struct disco_msg m = { .type = DISCO_BIND, .bind.generation = generation }, got = { 0 };
	struct udprelay_out out;

	CHECK(say(c, other, &m, &out));
	CHECK(addr_eq(&out.to, &c->at));
	CHECK_OK(disco_open(span_from(out.bytes, GENEVE_HEADER), &c->shared, &got));
	CHECK_EQ(got.type, DISCO_BIND_CHALLENGE);
	CHECK_EQ(got.bind.generation, generation);
	CHECK(disco_pub_eq(&got.bind.remote, &other->pub));
	got.type = DISCO_BIND_ANSWER;
	return got;
}

static void bind_leg(const struct client *c, const struct client *other, uint32_t generation)
{
	struct disco_msg answer = ask(c, other, generation);
	struct udprelay_out out;

	CHECK(!say(c, other, &answer, &out));
}

/* Data from c: true if it came out at `to`, unchanged. */
static bool carries(const struct client *c, const struct client *to)
{
	uint8_t data[GENEVE_HEADER + 40] = { 0 };
	struct geneve g = { .protocol = GENEVE_WIREGUARD, .vni = ep.vni };
	struct udprelay_out out;

	geneve_write(data, &g);
	return udprelay_recv(r, now, &c->at, SPAN_OF(data), &out) && addr_eq(&out.to, &to->at) &&
	       out.bytes.p == data && out.bytes.n == sizeof(data);
}

static void a_pair_binds_both_legs_and_is_carried(void)
{
	uint64_t datagrams, bytes;

	start();
	CHECK_OK(allocate(&a));
	CHECK_EQ(ep.n_addrs, 1);
	CHECK_EQ(ep.bind_us, 30 * S);
	CHECK_EQ(ep.steady_us, 300 * S);
	CHECK(disco_pub_eq(&ep.server, udprelay_key(r)));
	bind_leg(&a, &b, 5);
	CHECK(!carries(&a, &b)); /* one leg alone carries nothing */
	bind_leg(&b, &a, 9);
	CHECK(carries(&a, &b));
	CHECK(carries(&b, &a));
	udprelay_carried(r, &datagrams, &bytes);
	CHECK_EQ(datagrams, 2);
	CHECK_EQ(bytes, 96);
	end();
}

static void either_of_a_pair_gets_the_same_endpoint(void)
{
	struct disco_relay_endpoint first;

	start();
	CHECK_OK(allocate(&a));
	first = ep;
	CHECK_OK(udprelay_allocate(r, now, &b.pub, (struct disco_pub[]){ b.pub, a.pub }, &ep));
	CHECK_EQ(ep.vni, first.vni);
	CHECK_EQ(ep.lamport_id, first.lamport_id);
	CHECK_EQ(udprelay_count(r), 1);
	end();
}

static void who_may_not_allocate_is_denied(void)
{
	struct disco_pub zero = { { 0 } };
	struct client c;

	start();
	make_client(&c, 3);
	CHECK_EQ(allocate(&c), ERR_DENIED);
	CHECK_EQ(udprelay_allocate(r, now, &a.pub, (struct disco_pub[]){ a.pub, a.pub }, &ep),
	         ERR_DENIED);
	CHECK_EQ(udprelay_allocate(r, now, &a.pub, (struct disco_pub[]){ a.pub, zero }, &ep),
	         ERR_DENIED);
	CHECK_EQ(udprelay_allocate(r, now, &a.pub, (struct disco_pub[]){ a.pub, *udprelay_key(r) },
	                           &ep),
	         ERR_DENIED);
	udprelay_addresses(r, NULL, 0);
	CHECK_EQ(allocate(&a), ERR_BADSTATE);
	CHECK_EQ(udprelay_count(r), 0);
	end();
}

static void an_answer_counts_only_from_the_address_that_was_asked(void)
{
	struct disco_msg answer;
	struct udprelay_out out;
	struct client elsewhere;

	start();
	CHECK_OK(allocate(&a));
	bind_leg(&b, &a, 1);
	answer = ask(&a, &b, 2);
	elsewhere = a;
	elsewhere.at.port++;
	CHECK(!say(&elsewhere, &b, &answer, &out));
	CHECK(!carries(&elsewhere, &b));
	answer.bind.generation = 3;
	CHECK(!say(&a, &b, &answer, &out));
	CHECK(!carries(&a, &b));
	answer.bind.generation = 2;
	CHECK(!say(&a, &b, &answer, &out));
	CHECK(carries(&a, &b));
	CHECK(!carries(&elsewhere, &b));
	end();
}

static void a_leg_that_binds_anew_has_moved(void)
{
	struct client before;

	start();
	CHECK_OK(allocate(&a));
	bind_leg(&a, &b, 1);
	bind_leg(&b, &a, 1);
	before = a;
	a.at.ip = ip4(203, 0, 113, 1);
	CHECK(!carries(&a, &b));
	bind_leg(&a, &b, 2);
	CHECK(carries(&a, &b));
	CHECK(carries(&b, &a));
	CHECK(!carries(&before, &b));
	end();
}

static void endpoints_end_unbound_after_30_s_and_silent_after_300(void)
{
	start();
	CHECK_EQ(udprelay_deadline(r).us, MONO_NEVER.us);
	CHECK_OK(allocate(&a));
	now = mono_after(udprelay_deadline(r), S);
	udprelay_timeout(r, now);
	CHECK_EQ(udprelay_count(r), 0);
	CHECK_EQ(udprelay_deadline(r).us, MONO_NEVER.us);

	uint32_t old = ep.vni;

	CHECK_OK(allocate(&a));
	CHECK(ep.vni != old);
	bind_leg(&a, &b, 1);
	bind_leg(&b, &a, 1);
	for (unsigned i = 0; i < 20; i++) { /* one leg talks, the other does not */
		now = mono_after(udprelay_deadline(r), 0);
		udprelay_timeout(r, now);
		CHECK_EQ(udprelay_count(r), i < 10 ? 1 : 0);
		if (udprelay_count(r))
			CHECK(carries(&a, &b));
		else
			break;
	}
	CHECK_EQ(udprelay_count(r), 0);
	end();
}

static void a_challenge_grows_too_old(void)
{
	struct disco_msg answer;
	struct udprelay_out out;

	start();
	CHECK_OK(allocate(&a));
	bind_leg(&b, &a, 1);
	answer = ask(&a, &b, 2);
	now = mono_after(now, 125 * S); /* the secret before is still known */
	CHECK(!say(&a, &b, &answer, &out));
	CHECK(carries(&a, &b));
	answer = ask(&a, &b, 3);
	a.at.port++;
	now = mono_after(now, 245 * S);
	CHECK(!say(&a, &b, &answer, &out));
	CHECK(!carries(&a, &b));
	end();
}

static void every_truncation_and_flipped_bit_of_a_bind_is_dropped(void)
{
	struct disco_msg m = { .type = DISCO_BIND, .bind.generation = 1 };
	struct udprelay_out out;
	enum { LEN = GENEVE_HEADER + 152 };

	start();
	CHECK_OK(allocate(&a));
	CHECK(say(&a, &b, &m, &out));
	for (size_t n = 0; n < LEN; n++)
		CHECK(!udprelay_recv(r, now, &a.at, span(packet, n), &out));
	for (size_t bit = 0; bit < LEN * 8; bit++) {
		if (bit / 8 == 7 || (bit / 8 == 1 && bit % 8 != 7))
			continue; /* reserved in Geneve */
		packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
		CHECK(!udprelay_recv(r, now, &a.at, span(packet, LEN), &out));
		packet[bit / 8] ^= (uint8_t)(1 << bit % 8);
	}
	CHECK(udprelay_recv(r, now, &a.at, span(packet, LEN), &out));
	CHECK(out.bytes.n <= LEN); /* nothing is amplified */
	end();
}

static void no_more_endpoints_than_the_maximum(void)
{
	start();
	for (uint32_t i = 0; i <= UDPRELAY_MAX; i++) {
		struct disco_pub pair[2] = { a.pub, { { 9 } } };

		put_be32(pair[1].b + 4, i);
		CHECK_EQ(udprelay_allocate(r, now, &a.pub, pair, &ep),
		         i < UDPRELAY_MAX ? 0 : ERR_LIMIT);
	}
	end();
}

/* Three datagrams end to end; the last is shorter, and may be of another endpoint. */
static bool carries_run(uint32_t last_vni, bool last_control, struct udprelay_out *out)
{
	static uint8_t run[3 * 60 - 5];
	struct geneve g = { .protocol = GENEVE_WIREGUARD, .vni = ep.vni };

	for (size_t i = 0; i < 3; i++) {
		g.vni = i == 2 ? last_vni : ep.vni;
		g.control = i == 2 && last_control;
		geneve_write(run + i * 60, &g);
	}
	return udprelay_recv_run(r, now, &a.at, SPAN_OF(run), 60, out);
}

static void datagrams_that_came_joined_are_carried_joined_if_all_are_of_one_endpoint(void)
{
	struct udprelay_out out;
	uint64_t datagrams, bytes;

	start();
	CHECK_OK(allocate(&a));
	CHECK(!carries_run(ep.vni, false, &out)); /* not bound yet */
	bind_leg(&a, &b, 1);
	bind_leg(&b, &a, 1);
	CHECK(carries_run(ep.vni, false, &out));
	CHECK(addr_eq(&out.to, &b.at));
	CHECK_EQ(out.bytes.n, 175);
	udprelay_carried(r, &datagrams, &bytes);
	CHECK_EQ(datagrams, 3);
	CHECK_EQ(bytes, 175);
	CHECK(!carries_run(ep.vni + 1, false, &out));
	CHECK(!carries_run(ep.vni, true, &out));
	CHECK(!udprelay_recv_run(r, now, &a.at, SPAN_LIT("short"), 0, &out));
	end();
}

int main(void)
{
	RUN(a_pair_binds_both_legs_and_is_carried);
	RUN(either_of_a_pair_gets_the_same_endpoint);
	RUN(who_may_not_allocate_is_denied);
	RUN(an_answer_counts_only_from_the_address_that_was_asked);
	RUN(a_leg_that_binds_anew_has_moved);
	RUN(endpoints_end_unbound_after_30_s_and_silent_after_300);
	RUN(a_challenge_grows_too_old);
	RUN(every_truncation_and_flipped_bit_of_a_bind_is_dropped);
	RUN(no_more_endpoints_than_the_maximum);
	RUN(datagrams_that_came_joined_are_carried_joined_if_all_are_of_one_endpoint);
	return check_done();
}
