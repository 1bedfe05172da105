/*
 * The handshake state machine: two devices, and input that says what happens
 * next. Messages are delivered, lost, bent, repeated later or invented; time
 * passes; the configuration changes. Whatever it was, afterwards the two must
 * find each other again.
 */
#include <stdlib.h>

#include "test/sim/wgworld.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { STEPS_MAX = 80, BACK_MAX_S = 63, KEPT = 4 };

struct play {
	struct wgworld w;
	struct wgnode *node[2];
	struct rd in;
	struct {
		uint8_t b[256];
		size_t n;
	} kept[KEPT];
	unsigned next;
};

static void keep(struct play *p, const struct wgnode *n)
{
	if (n->last_n > sizeof(p->kept[0].b))
		return;
	memcpy(p->kept[p->next].b, n->last, n->last_n);
	p->kept[p->next].n = n->last_n;
	p->next = (p->next + 1) % KEPT;
}

static void config(struct play *p, struct wgnode *n, const struct wgnode *other)
{
	uint8_t what = rd_u8(&p->in);
	struct wg_change c = { 0 };

	switch (what % 6) {
	case 0:
		wgnode_set_keepalive(n, other, what);
		break;
	case 1:
		wgnode_set_psk(n, other, what & 8);
		break;
	case 2:
		wg_down(n->dev, wgnode_now(n));
		wg_up(n->dev, wgnode_now(n));
		break;
	case 3:
		wg_change_add_peer(&c, &other->pub)->set = WG_PEER_REMOVE;
		wgnode_apply(n, &c);
		break;
	case 4:
		wg_expire_sessions(n->dev, wgnode_now(n));
		break;
	case 5:
		n->dev->loaded_until = what & 8 ? MONO_NEVER : (mono){ 0 };
		break;
	}
	wg_change_done(&c);
}

static void invent(struct play *p, struct wgnode *n, const struct addr *from)
{
	uint8_t msg[WG_INITIATION_LEN];
	size_t len = rd_u8(&p->in) % sizeof(msg);
	struct wg_cookie_jar jar = { 0 };

	memset(msg, 0, sizeof(msg));
	for (size_t i = 0; i < len && rd_left(&p->in); i++)
		msg[i] = rd_u8(&p->in);
	if (msg[0] % 2 && len > 64) { /* with a good mac1 it comes further */
		len = msg[0] & 2 ? WG_RESPONSE_LEN : WG_INITIATION_LEN;
		put_le32(msg, len == WG_RESPONSE_LEN ? WG_MSG_RESPONSE : WG_MSG_INITIATION);
		wg_cookie_sign(&jar, wgnode_now(n), &n->pub, msg, len);
	}
	wgnode_recv(n, from, span(msg, len));
}

static void replay_bent(struct play *p, struct wgnode *n, const struct addr *from)
{
	unsigned which = rd_u8(&p->in) % KEPT;
	size_t at = rd_u8(&p->in);
	uint8_t bits = rd_u8(&p->in);
	uint8_t msg[256];
	size_t len = p->kept[which].n;

	memcpy(msg, p->kept[which].b, sizeof(msg));
	if (len)
		msg[at % len] ^= bits;
	wgnode_recv(n, from, span(msg, len));
}

static void step(struct play *p)
{
	uint8_t op = rd_u8(&p->in);
	struct wgnode *n = p->node[op >> 7], *other = p->node[!(op >> 7)];
	struct addr from = wgnode_addr(other);

	switch (op & 7) {
	case 0:
		wgworld_run(&p->w, (int64_t)rd_u8(&p->in) * rd_u8(&p->in) * 4000);
		break;
	case 1:
		wgnode_ping(n, other, 20 + (op & 0x7f));
		keep(p, n);
		break;
	case 2:
		wgworld_settle(&p->w);
		keep(p, n);
		break;
	case 3:
		invent(p, n, &from);
		break;
	case 4:
		replay_bent(p, n, &from);
		break;
	case 5:
		config(p, n, other);
		break;
	case 6:
		n->deaf = op & 8;
		break;
	case 7:
		if (op & 8)
			n->mono_skew_us -= (int64_t)(rd_u8(&p->in) % BACK_MAX_S) * US_PER_S;
		else
			n->wall_skew_us -= (int64_t)rd_u8(&p->in) * US_PER_S * 100;
		break;
	}
}

/* Whatever happened, in good conditions there is a tunnel again. */
static void check_recovery(struct play *p)
{
	for (unsigned i = 0; i < 2; i++) {
		p->node[i]->deaf = false;
		p->node[i]->dev->loaded_until = (mono){ 0 };
		wg_up(p->node[i]->dev, wgnode_now(p->node[i]));
	}
	wgworld_link(p->node[0], p->node[1]);
	wgnode_set_psk(p->node[0], p->node[1], 0);
	wgnode_set_psk(p->node[1], p->node[0], 0);
	wgnode_set_keepalive(p->node[0], p->node[1], 0);
	wgnode_set_keepalive(p->node[1], p->node[0], 0);
	/* Clocks that went back have caught up after this. */
	wgworld_run(&p->w, (int64_t)STEPS_MAX * BACK_MAX_S * US_PER_S);

	uint64_t before = p->node[1]->delivered;

	wgnode_ping(p->node[0], p->node[1], 40);
	wgworld_run(&p->w, 120 * US_PER_S);
	if (p->node[1]->delivered == before)
		abort();
	for (unsigned i = 0; i < 2; i++) {
		if (p->node[i]->dev->indices.n > 4)
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct play p = { .in = rd_of(data, n) };

	wgworld_init(&p.w, 1);
	p.node[0] = wgworld_add(&p.w, 1);
	p.node[1] = wgworld_add(&p.w, 2);
	wgworld_link(p.node[0], p.node[1]);
	for (unsigned i = 0; i < STEPS_MAX && rd_left(&p.in); i++) {
		step(&p);
		/* A peer may have been removed; the play needs it. */
		wgworld_link(p.node[0], p.node[1]);
	}
	check_recovery(&p);
	wgworld_done(&p.w);
	return 0;
}
