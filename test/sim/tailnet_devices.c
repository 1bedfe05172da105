/* The nodes of a simulated tailnet, and what they say to each other. */
#include <stdio.h>

#include "base/wire.h"
#include "node/engine.h"
#include "test/check.h"
#include "test/sim/tailnet.h"

enum {
	PORT = 41641,
	/* Of what is said: each direction is a flow of its own, so no packet is an answer. */
	FROM_PORT = 1000,
	TO_PORT = 2000,
	TALK_LEN = 32,
	UDP = 17,
	FRESH_US = 3 * 1000 * 1000,
};

/* ---- talking ---- */

static void talk(struct device *d, const struct device *to)
{
	uint8_t packet[TALK_LEN] = { 0x45 };

	put_be16(packet + 2, sizeof(packet));
	packet[8] = 64;
	packet[9] = UDP;
	memcpy(packet + 12, ip_v4(&d->ip), 4);
	memcpy(packet + 16, ip_v4(&to->ip), 4);
	put_be16(packet + 20, (uint16_t)(FROM_PORT + d->i));
	put_be16(packet + 22, (uint16_t)(TO_PORT + to->i));
	put_be16(packet + 24, TALK_LEN - 20);
	machine_packet(d->m, SPAN_OF(packet));
}

static void on_packet(void *arg, struct span packet)
{
	struct device *d = arg;
	struct tailnet *t = d->t;
	unsigned from;

	if (packet.n != TALK_LEN || packet.p[9] != UDP)
		return;
	from = be16_at(packet.p + 20) - (unsigned)FROM_PORT;
	if (from >= TAILNET_NODES || be16_at(packet.p + 22) != TO_PORT + d->i)
		return;
	t->intrusions += !t->ever_allowed[from][d->i];
	d->heard[from] = world_now(t->w);
}

static void learn_address(struct device *d)
{
	const struct netmap *m = d->node ? node_map(d->node) : NULL;

	for (size_t i = 0; m && i < m->self->addresses.n; i++)
		if (prefix_is4(&m->self->addresses.v[i]))
			d->ip = m->self->addresses.v[i].ip;
}

static void talk_to_all(struct device *d)
{
	d->next_talk = mono_after(world_now(d->t->w), TAILNET_TALK_US);
	learn_address(d);
	for (unsigned i = 0; i < TAILNET_NODES; i++)
		if (i != d->i && !ip_is_zero(&d->ip) && !ip_is_zero(&d->t->devices[i].ip))
			talk(d, &d->t->devices[i]);
}

void tailnet_run(struct tailnet *t, int64_t us)
{
	mono end = mono_after(world_now(t->w), us);

	while (mono_before(world_now(t->w), end)) {
		mono next = end;

		for (unsigned i = 0; i < TAILNET_NODES; i++) {
			struct device *d = &t->devices[i];

			if (!d->talks || !d->node)
				continue;
			if (mono_reached(d->next_talk, world_now(t->w)))
				talk_to_all(d);
			next = mono_min(next, d->next_talk);
		}
		world_run(t->w, mono_since(world_now(t->w), next));
	}
}

/* ---- life ---- */

static int64_t draw_us(struct tailnet *t, int64_t below)
{
	return (int64_t)rand_src_below(world_rand(t->w), (uint64_t)below);
}

void device_on(struct device *d)
{
	struct tailnet *t = d->t;
	struct node_cfg cfg = { .ev = machine_ev(d->m),
		                .warden = machine_warden(d->m),
		                .state_path = d->state,
		                .state_dir = d->dir,
		                .var_dir = d->dir,
		                .socket = "sock",
		                .tun_name = "tailscale0",
		                .port = PORT,
		                .no_mark = true };

	machine_on_packet(d->m, on_packet, d);
	machine_enter(d->m);
	CHECK_OK(node_new(&cfg, &d->node));
	node_start(d->node);
	machine_leave(d->m);
	d->next_talk = mono_after(world_now(t->w), draw_us(t, TAILNET_TALK_US));
	if (!node_has_key(d->node))
		device_login(d);
}

void device_off(struct device *d)
{
	machine_enter(d->m);
	node_free(TAKE(d->node));
	machine_leave(d->m);
}

/* As `up --auth-key`. */
void device_login(struct device *d)
{
	struct prefs p = *node_prefs(d->node);

	p.control_url = SPAN_LIT("http://" TAILNET_CONTROL);
	p.want_running = true;
	p.logged_out = false;
	machine_enter(d->m);
	CHECK_OK(node_restart(d->node, prefs_dup(&p), d->t->auth_key[d->i]));
	node_login(d->node);
	machine_leave(d->m);
}

bool device_is_running(const struct device *d)
{
	return d->node && d->node->state == IPN_RUNNING;
}

/* ---- places ---- */

struct fakenat *tailnet_draw_nat(struct tailnet *t, struct ip *ret_ip)
{
	uint8_t n = ++t->addresses;
	struct ip outside = ip4(198, 51, 100, n);
	unsigned kind = (unsigned)rand_src_below(world_rand(t->w), FAKENAT_NO_UDP + 3);

	*ret_ip = ip4(192, 168, n, 2);
	if (kind > FAKENAT_NO_UDP || kind == FAKENAT_FIREWALL)
		*ret_ip = outside;
	if (kind > FAKENAT_NO_UDP)
		return NULL;
	return fakenet_nat(world_net(t->w), (enum fakenat_kind)kind, outside, NULL);
}

void device_move(struct device *d)
{
	struct ip ip;
	struct fakenat *nat = tailnet_draw_nat(d->t, &ip);

	machine_move(d->m, ip, nat);
}

/* ---- verdicts ---- */

/* How a device sees itself and the others, for the story of a seed that fails. */
static void describe(const struct device *d)
{
	struct session_status s = session_status(d->node->session);
	const struct netmap *m = node_map(d->node);
	char text[ADDR_TEXT_MAX], ip[IP_TEXT_MAX];
	wall now;

	machine_enter(d->m);
	now = ev_wall(machine_ev(d->m));
	machine_leave(d->m);
	printf("# %u: %s, %s, session %d, last map %.1f s ago\n", d->i, ip_text(&d->ip, ip),
	       s.in_poll ? "connected" : "not connected", (int)s.state,
	       (double)mono_since(s.last_map, world_now(d->t->w)) / 1e6);
	for (struct netmap_peer *p = m ? netmap_first(m) : NULL; p; p = netmap_next(m, p)) {
		struct engine_peer e;

		engine_peer(d->node, &p->node->key, &e);
		printf("#    %lld %s key %02x%02x home %lld handshake %.1f s ago, sent %llu, "
		       "received %llu\n",
		       (long long)p->node->id,
		       addr_is_set(&e.direct) ? addr_text(&e.direct, text) : "relayed",
		       p->node->key.b[0], p->node->key.b[1], (long long)tc_node_home_derp(p->node),
		       (double)(now.us - e.last_handshake.us) / 1e6, (unsigned long long)e.tx_bytes,
		       (unsigned long long)e.rx_bytes);
	}
}

bool devices_all_talk(struct tailnet *t, uint64_t seed)
{
	mono now = world_now(t->w);
	bool good = true;

	for (unsigned a = 0; a < TAILNET_NODES; a++)
		for (unsigned b = 0; b < TAILNET_NODES; b++) {
			mono at = t->devices[b].heard[a];

			if (!t->allowed[a][b] || (at.us && mono_since(at, now) < FRESH_US))
				continue;
			printf("# seed %llu: %u (%s) does not hear %u (%s), last %.1f s ago\n",
			       (unsigned long long)seed, b,
			       ipn_state_name(t->devices[b].node->state), a,
			       ipn_state_name(t->devices[a].node->state),
			       at.us ? (double)mono_since(at, now) / 1e6 : -1.0);
			good = false;
		}
	for (unsigned i = 0; !good && i < TAILNET_NODES; i++)
		describe(&t->devices[i]);
	return good;
}

bool devices_keep_apart(struct tailnet *t, uint64_t seed, mono since)
{
	bool good = true;

	for (unsigned a = 0; a < TAILNET_NODES; a++)
		for (unsigned b = 0; b < TAILNET_NODES; b++) {
			mono at = t->devices[b].heard[a];

			if (a == b || t->allowed[a][b] || !mono_before(since, at))
				continue;
			printf("# seed %llu: %u hears %u and may not\n", (unsigned long long)seed,
			       b, a);
			good = false;
		}
	if (t->intrusions)
		printf("# seed %llu: %u packets that no policy ever allowed\n",
		       (unsigned long long)seed, t->intrusions);
	return good && !t->intrusions;
}
