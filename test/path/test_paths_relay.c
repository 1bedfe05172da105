/* Two nodes that no datagram joins, and a third that relays: shipped cores at all three ends. */
#include "crypto/init.h"
#include "path/paths.h"
#include "protocol/geneve.h"
#include "protocol/udprelay.h"
#include "test/check.h"

enum { REGION = 3, NODES = 3, ASKER = 0, OTHER = 1, SERVER = 2 };

struct node {
	struct node_pub key;
	struct disco_priv priv;
	struct disco_pub pub;
	struct addr at;
	struct paths *paths;
	unsigned asked; /* PATHS_ALLOCATE */
};

static struct node nodes[NODES];
static struct udprelay *relay;
static struct addr relay_at;
static struct rand_src rng;
static mono now;
static bool relay_dead, refuses;

static struct path_peer *peer_of(unsigned who, unsigned whose)
{
	return paths_peer_find(nodes[who].paths, &nodes[whose].key);
}

static void know(unsigned who, unsigned whom)
{
	struct path_peer_cfg cfg = { .node = nodes[whom].key,
		                     .disco = nodes[whom].pub,
		                     .home = REGION,
		                     .relay_capable = true };

	CHECK(paths_peer_set(nodes[who].paths, now, &cfg) != NULL);
}

static void start(void)
{
	now = (mono){ 1000 * US_PER_S };
	relay_dead = refuses = false;
	rand_seeded(&rng, 1);
	relay = udprelay_new(now, &rng);
	relay_at = (struct addr){ .ip = ip4(198, 51, 100, 9), .port = 40000 };
	udprelay_addresses(relay, &relay_at, 1);
	for (unsigned i = 0; i < NODES; i++) {
		struct node *n = &nodes[i];
		struct paths_cfg cfg = { .self = { { (uint8_t)(i + 1) } }, .rand = rng };

		*n = (struct node){ .key = cfg.self,
			            .at = { .ip = ip4(203, 0, 113, (uint8_t)i), .port = 41641 } };
		disco_priv_new(&n->priv);
		disco_priv_public(&n->priv, &n->pub);
		cfg.disco = n->priv;
		n->paths = paths_new(&cfg);
		paths_own_endpoints(n->paths, now, &n->at, 1);
	}
	for (unsigned i = 0; i < NODES; i++) {
		for (unsigned k = 0; k < NODES; k++) {
			if (i != k)
				know(i, k);
		}
	}
	paths_set_relays(nodes[ASKER].paths, &nodes[SERVER].key, 1);
}

static void end(void)
{
	for (unsigned i = 0; i < NODES; i++)
		paths_free(nodes[i].paths);
	udprelay_free(relay);
}

static void by_derp(unsigned from, const struct paths_out *out)
{
	struct path_from by = { .region = out->region, .node = nodes[from].key };

	for (unsigned i = 0; i < NODES; i++) {
		if (node_pub_eq(&nodes[i].key, &out->node))
			CHECK(paths_recv_disco(nodes[i].paths, now, &by, out->bytes));
	}
}

/* A datagram of the relay to whoever is there. */
static void from_relay(const struct udprelay_out *out)
{
	struct path_from by = { .via.addr = relay_at };
	struct geneve g;

	for (unsigned i = 0; i < NODES; i++) {
		if (!addr_eq(&nodes[i].at, &out->to))
			continue;
		CHECK_OK(geneve_read(out->bytes, &g));
		by.via.vni = g.vni;
		if (g.control)
			(void)paths_recv_control(nodes[i].paths, now, &relay_at, out->bytes);
		else
			(void)paths_recv_disco(nodes[i].paths, now, &by,
			                       span_from(out->bytes, GENEVE_HEADER));
	}
}

/* Nothing arrives by UDP but at the relay. */
static void by_udp(unsigned from, const struct paths_out *out)
{
	struct geneve g = { .protocol = GENEVE_DISCO, .vni = out->via.vni };
	uint8_t wrapped[2000];
	struct span bytes = out->bytes;
	struct udprelay_out answer;

	if (relay_dead || !addr_eq(&out->via.addr, &relay_at))
		return;
	if (out->via.vni) {
		geneve_write(wrapped, &g);
		memcpy(wrapped + GENEVE_HEADER, bytes.p, bytes.n);
		bytes = span(wrapped, GENEVE_HEADER + bytes.n);
	}
	if (udprelay_recv(relay, now, &nodes[from].at, bytes, &answer))
		from_relay(&answer);
}

static void allocate(unsigned at, const struct paths_out *out)
{
	struct disco_msg m = { .type = DISCO_ALLOCATED, .generation = out->generation };

	nodes[at].asked++;
	CHECK(at == SERVER && out->peer);
	if (!refuses && udprelay_allocate(relay, now, &out->asker, out->clients, &m.relay) == 0)
		paths_answer_ask(nodes[at].paths, out->peer, &out->asker, &m);
}

static bool pump(void)
{
	bool any = false;
	struct paths_out out;

	for (unsigned i = 0; i < NODES; i++) {
		while (paths_next(nodes[i].paths, &out)) {
			any = true;
			if (out.act == PATHS_SEND_DERP)
				by_derp(i, &out);
			else if (out.act == PATHS_SEND)
				by_udp(i, &out);
			else if (out.act == PATHS_ALLOCATE)
				allocate(i, &out);
			else if (out.act == PATHS_WANT_ENDPOINTS)
				paths_own_endpoints(nodes[i].paths, now, &nodes[i].at, 1);
		}
	}
	return any;
}

/* The asker and the other send each other something ten times a second. */
static void talk(unsigned seconds)
{
	for (unsigned i = 0; i < seconds * 10; i++) {
		now = mono_after(now, 100000);
		paths_sent(nodes[ASKER].paths, now, peer_of(ASKER, OTHER));
		paths_sent(nodes[OTHER].paths, now, peer_of(OTHER, ASKER));
		for (unsigned k = 0; k < NODES; k++)
			paths_timeout(nodes[k].paths, now);
		while (pump())
			;
	}
}

static bool relayed(unsigned who, unsigned whom)
{
	struct path_choice c = paths_choice(nodes[who].paths, peer_of(who, whom), now);

	return c.udp && c.trusted && c.via.vni && addr_eq(&c.via.addr, &relay_at);
}

static void a_pair_that_nothing_joins_ends_on_the_relay_both_ways(void)
{
	start();
	talk(2);
	CHECK(relayed(ASKER, OTHER));
	/* Who knows of no relay is told of it. */
	CHECK(relayed(OTHER, ASKER));
	CHECK_EQ(udprelay_open(relay), 1);
	talk(60);
	CHECK(relayed(ASKER, OTHER) && relayed(OTHER, ASKER));
	end();
}

static void a_relay_that_refuses_is_asked_seldom(void)
{
	start();
	refuses = true;
	talk(120);
	CHECK(!relayed(ASKER, OTHER));
	CHECK(nodes[SERVER].asked >= 4);
	CHECK(nodes[SERVER].asked <= 12);
	/* And found when it changes its mind. */
	refuses = false;
	talk(35);
	CHECK(relayed(ASKER, OTHER));
	end();
}

static void a_relay_that_dies_is_left_for_derp_and_taken_again(void)
{
	struct path_choice c;

	start();
	talk(2);
	relay_dead = true;
	talk(4);
	c = paths_choice(nodes[ASKER].paths, peer_of(ASKER, OTHER), now);
	CHECK(c.derp);
	talk(20);
	c = paths_choice(nodes[ASKER].paths, peer_of(ASKER, OTHER), now);
	CHECK(c.derp && !c.udp);
	relay_dead = false;
	talk(65);
	CHECK(relayed(ASKER, OTHER) && relayed(OTHER, ASKER));
	end();
}

static void without_permission_nobody_is_asked(void)
{
	start();
	paths_set_relays(nodes[ASKER].paths, NULL, 0);
	talk(60);
	CHECK_EQ(nodes[SERVER].asked, 0);
	CHECK(!relayed(ASKER, OTHER));
	end();
}

int main(void)
{
	crypto_start();
	RUN(a_pair_that_nothing_joins_ends_on_the_relay_both_ways);
	RUN(a_relay_that_refuses_is_asked_seldom);
	RUN(a_relay_that_dies_is_left_for_derp_and_taken_again);
	RUN(without_permission_nobody_is_asked);
	return check_done();
}
