#include "protocol/disco.h"

#include "crypto/init.h"
#include "test/check.h"

static struct disco_priv a, b;
static struct disco_pub pa, pb;
static struct box_shared ab, ba;
static struct rand_src rng;

static void set_up(void)
{
	rand_seeded(&rng, 1);
	disco_priv_new(&a);
	disco_priv_new(&b);
	disco_priv_public(&a, &pa);
	disco_priv_public(&b, &pb);
	CHECK_OK(box_shared_init(&ab, a.b, pb.b));
	CHECK_OK(box_shared_init(&ba, b.b, pa.b));
}

static size_t seal(uint8_t *dst, size_t cap, const struct disco_msg *m)
{
	size_t n = 0;

	CHECK_OK(disco_seal(dst, cap, m, &pa, &ab, &rng, &n));
	return n;
}

static struct addr an_addr(uint8_t last, uint16_t port)
{
	return (struct addr){ .ip = ip4(203, 0, 113, last), .port = port };
}

/* Sizes seen of tailscale v1.102.5: a ping with node key is 124 bytes, a pong 110. */
static void datagrams_have_the_sizes_of_the_real_ones(void)
{
	struct disco_msg ping = { .type = DISCO_PING }, pong = { .type = DISCO_PONG };
	struct disco_msg bind = { .type = DISCO_BIND, .bind.generation = 1 };
	uint8_t dst[2000];

	ping.node.b[0] = 1;
	CHECK_EQ(seal(dst, sizeof(dst), &ping), 124);
	CHECK_EQ(seal(dst, sizeof(dst), &pong), 110);
	CHECK_EQ(seal(dst, sizeof(dst), &bind), 152);
	ping.padding = disco_padding_for(1280);
	CHECK_EQ(seal(dst, sizeof(dst), &ping), 1280);
	CHECK_EQ(disco_padding_for(100), 0);
}

static void every_type_comes_back_as_it_was(void)
{
	struct disco_msg rows[9];
	uint8_t dst[2000], again[2000];

	memset(rows, 0, sizeof(rows));
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct disco_msg *m = &rows[i];
		struct disco_msg back;
		size_t n, again_n = 0;

		m->type = (enum disco_type)(i + 1);
		if (m->type == DISCO_PING || m->type == DISCO_PONG)
			rand_fill(&rng, &m->txid, sizeof(m->txid));
		if (m->type == DISCO_PING)
			rand_fill(&rng, &m->node, sizeof(m->node));
		if (m->type == DISCO_PONG)
			m->source = an_addr(7, 41641);
		if (m->type == DISCO_CALL_ME_MAYBE) {
			m->n_endpoints = 3;
			for (uint8_t k = 0; k < 3; k++)
				m->endpoints[k] = an_addr(k, (uint16_t)(1000 + k));
		}
		if (m->type >= DISCO_BIND && m->type <= DISCO_BIND_ANSWER) {
			m->bind.vni = 77;
			m->bind.generation = 3;
			rand_fill(&rng, m->bind.challenge, DISCO_CHALLENGE);
		}
		if (m->type == DISCO_ALLOCATE || m->type == DISCO_ALLOCATED)
			m->generation = 9;
		if (m->type == DISCO_ALLOCATE)
			m->clients[0] = pa;
		if (m->type == DISCO_CALL_ME_MAYBE_VIA || m->type == DISCO_ALLOCATED) {
			m->relay.server = pb;
			m->relay.lamport_id = 5;
			m->relay.bind_us = 30000000;
			m->relay.steady_us = 300000000;
			m->relay.n_addrs = 2;
			m->relay.addrs[0] = an_addr(1, 1);
			m->relay.addrs[1] = an_addr(2, 2);
		}
		n = seal(dst, sizeof(dst), m);

		struct disco_pub from;

		CHECK(disco_sender(span(dst, n), &from) && disco_pub_eq(&from, &pa));
		CHECK_OK(disco_open(span(dst, n), &ba, &back));
		CHECK_EQ(memcmp(&back, m, sizeof(back)), 0);
		CHECK_OK(disco_write(again, sizeof(again), &back, &again_n));
		CHECK_EQ(again_n, n - DISCO_OVERHEAD);
	}
}

static void what_was_touched_does_not_open(void)
{
	struct disco_msg ping = { .type = DISCO_PING }, back;
	uint8_t dst[200];
	size_t n = seal(dst, sizeof(dst), &ping);

	for (size_t i = DISCO_HEADER; i < n; i++) {
		dst[i] ^= 1;
		CHECK_EQ(disco_open(span(dst, n), &ba, &back), ERR_AUTH);
		dst[i] ^= 1;
	}
	for (size_t cut = 0; cut < n; cut++)
		CHECK(disco_open(span(dst, cut), &ba, &back) < 0);
}

static void every_truncation_of_a_message_is_refused_or_shorter(void)
{
	uint8_t plain[DISCO_MESSAGE_MAX];

	for (int type = 1; type <= 9; type++) {
		struct disco_msg m, back;
		size_t n = 0;

		memset(&m, 0, sizeof(m));
		m.type = (enum disco_type)type;
		m.n_endpoints = m.relay.n_addrs = 1;
		CHECK_OK(disco_write(plain, sizeof(plain), &m, &n));
		CHECK_OK(disco_read(span(plain, n), &back));
		for (size_t cut = 0; cut < n; cut++) {
			int r = disco_read(span(plain, cut), &back);

			/* A ping without node key and a list that is no list are allowed. */
			CHECK(r < 0 || type == DISCO_PING || type == DISCO_CALL_ME_MAYBE);
			if (type == DISCO_CALL_ME_MAYBE && r == 0)
				CHECK_EQ(back.n_endpoints, 0);
		}
		plain[n] = 9;
		CHECK_EQ(disco_read(span(plain, n + 1), &back), 0);
	}
}

static void versions_and_types_of_tomorrow_do_no_harm(void)
{
	struct disco_msg m = { .type = DISCO_CALL_ME_MAYBE, .n_endpoints = 1 }, back;
	uint8_t plain[DISCO_MESSAGE_MAX];
	size_t n = 0;

	CHECK_OK(disco_write(plain, sizeof(plain), &m, &n));
	plain[1] = 1;
	CHECK_OK(disco_read(span(plain, n), &back));
	CHECK_EQ(back.n_endpoints, 0);
	plain[0] = DISCO_CALL_ME_MAYBE_VIA;
	CHECK_OK(disco_read(span(plain, n), &back));
	CHECK(disco_pub_is_zero(&back.relay.server));
	plain[0] = 10;
	CHECK_EQ(disco_read(span(plain, n), &back), ERR_VERSION);
	plain[0] = 0;
	CHECK_EQ(disco_read(span(plain, n), &back), ERR_VERSION);
}

static void a_list_of_3640_endpoints_is_read_to_its_bound(void)
{
	static uint8_t plain[2 + 3640 * DISCO_ENDPOINT];
	struct disco_msg back;

	plain[0] = DISCO_CALL_ME_MAYBE;
	CHECK_OK(disco_read(SPAN_OF(plain), &back));
	CHECK_EQ(back.n_endpoints, DISCO_ENDPOINTS_MAX);
}

static void a_wireguard_message_is_no_disco(void)
{
	uint8_t msg[148] = { 1 };
	struct disco_pub from;

	CHECK(!disco_sender(SPAN_OF(msg), &from));
	CHECK(!disco_sender(span(msg, 0), &from));
}

int main(void)
{
	crypto_start();
	set_up();
	RUN(datagrams_have_the_sizes_of_the_real_ones);
	RUN(every_type_comes_back_as_it_was);
	RUN(what_was_touched_does_not_open);
	RUN(every_truncation_of_a_message_is_refused_or_shorter);
	RUN(versions_and_types_of_tomorrow_do_no_harm);
	RUN(a_list_of_3640_endpoints_is_read_to_its_bound);
	RUN(a_wireguard_message_is_no_disco);
	return check_done();
}
