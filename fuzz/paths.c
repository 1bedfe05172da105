/*
 * The path policy with a peer that means ill: the input is a course of events. Its
 * disco messages are sealed as its key allows, so what they say is reached; they
 * come by any way. However it goes, what we keep of it and what one message makes
 * us send stay bounded.
 */
#include <assert.h>

#include "base/wire.h"
#include "crypto/box.h"
#include "crypto/init.h"
#include "path/paths.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { STEPS_MAX = 200, PLAIN_MAX = 1200, REGION = 1, SENT_A_STEP_MAX = 1000 };

struct play {
	struct rd in;
	struct rand_src rand;
	struct paths *paths;
	struct path_peer *peer;
	struct path_peer_cfg cfg;
	struct box_shared shared;
	struct disco_pub theirs;
	mono now;
};

static struct span take(struct play *p, size_t max)
{
	size_t n = rd_u8(&p->in) * 5u;

	n = n < max ? n : max;
	n = n < rd_left(&p->in) ? n : rd_left(&p->in);
	return span(rd_view(&p->in, n), n);
}

static struct addr place(struct play *p)
{
	uint8_t b = rd_u8(&p->in);

	return (struct addr){ .ip = ip4(192, 0, 2, b & 7), .port = (uint16_t)(1 + (b >> 3)) };
}

/* What is inside is the input's; sealed by the peer. */
static void message(struct play *p, uint8_t how)
{
	static const uint8_t magic[] = { 0x54, 0x53, 0xf0, 0x9f, 0x92, 0xac };
	uint8_t datagram[sizeof(magic) + KEY_LEN + PLAIN_MAX + BOX_OVERHEAD];
	struct path_from from = { .via.addr = place(p) };
	struct span plain = take(p, PLAIN_MAX);

	if (how & 1)
		from = (struct path_from){ .region = REGION, .node = p->cfg.node };
	memcpy(datagram, magic, sizeof(magic));
	memcpy(datagram + sizeof(magic), p->theirs.b, KEY_LEN);
	box_seal(datagram + sizeof(magic) + KEY_LEN, &p->shared, &p->rand, plain);
	(void)paths_recv_disco(p->paths, p->now, &from,
	                       span(datagram, sizeof(magic) + KEY_LEN + plain.n + BOX_OVERHEAD));
}

static void drain(struct play *p)
{
	struct paths_out out;
	unsigned sent = 0;

	while (paths_next(p->paths, &out)) {
		if (out.act == PATHS_WANT_ENDPOINTS)
			paths_own_endpoints(p->paths, p->now,
			                    &(struct addr){ ip4(198, 51, 100, 1), 41641 }, 1);
		assert(++sent < SENT_A_STEP_MAX);
	}
}

static void control_says(struct play *p, uint8_t how)
{
	struct addr at[4];

	for (size_t i = 0; i < ARRAY_LEN(at); i++)
		at[i] = place(p);
	p->cfg.endpoints = at;
	p->cfg.n_endpoints = how % 5;
	p->cfg.home = how & 8 ? REGION : 0;
	p->cfg.relay_capable = how & 16;
	p->peer = paths_peer_set(p->paths, p->now, &p->cfg);
	p->cfg.endpoints = NULL;
}

static void step(struct play *p)
{
	uint8_t b = rd_u8(&p->in), how = b >> 3;
	struct path_from from = { .via.addr = { ip4(192, 0, 2, how & 7), 1 } };

	switch (b & 7) {
	case 0:
	case 1:
		message(p, how);
		break;
	case 2:
		(void)paths_recv_control(p->paths, p->now, &from.via.addr, take(p, PLAIN_MAX));
		break;
	case 3:
		p->now = mono_after(p->now, (int64_t)how * how * 50000);
		paths_timeout(p->paths, p->now);
		break;
	case 4:
		paths_sent(p->paths, p->now, p->peer);
		break;
	case 5:
		paths_heard(p->paths, p->now, p->peer, &from);
		break;
	case 6:
		control_says(p, how);
		break;
	default:
		if (how & 1)
			paths_ping(p->paths, p->now, p->peer, how, how * 64u);
		else if (how & 2)
			paths_link_changed(p->paths, p->now);
		else if (how & 4)
			paths_unreachable(p->paths, p->now, p->peer);
		else
			paths_set_relays(p->paths, &p->cfg.node, 1);
	}
	drain(p);
	(void)paths_choice(p->paths, p->peer, p->now);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct play p = { .in = rd_of(data, n), .now = { 1000 * US_PER_S } };
	struct paths_cfg cfg = { .self.b = { 1 } };
	struct disco_priv theirs;
	struct disco_pub ours;
	struct path_peer_status status;

	crypto_start();
	rand_seeded(&p.rand, 1);
	rand_seeded(&cfg.rand, 2);
	rand_fill(&p.rand, cfg.disco.b, sizeof(cfg.disco.b));
	rand_fill(&p.rand, theirs.b, sizeof(theirs.b));
	key_clamp(cfg.disco.b);
	key_clamp(theirs.b);
	disco_priv_public(&cfg.disco, &ours);
	disco_priv_public(&theirs, &p.theirs);
	if (box_shared_init(&p.shared, theirs.b, ours.b) < 0)
		return 0;
	p.paths = paths_new(&cfg);
	p.cfg = (struct path_peer_cfg){ .node.b = { 2 }, .disco = p.theirs, .home = REGION };
	control_says(&p, 0);
	for (unsigned i = 0; i < STEPS_MAX && rd_left(&p.in); i++)
		step(&p);
	paths_status(p.paths, p.peer, p.now, &status);
	assert(status.n_candidates <= PATHS_CANDIDATES_MAX);
	paths_free(p.paths);
	return 0;
}
