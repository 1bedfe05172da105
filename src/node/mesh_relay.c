#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "node/mesh_priv.h"
#include "protocol/geneve.h"

/* ---- what goes and comes behind a Geneve header ---------------------------- */

void mesh_send_geneve(struct mesh *m, const struct path_via *via, uint16_t protocol,
                      struct span run, size_t seg)
{
	struct geneve g = { .protocol = protocol, .vni = via->vni };
	size_t n = 0, count = 0;

	if (!m->wrapped)
		m->wrapped = mem_new_n(uint8_t, UDP_FRAME_MAX);
	for (struct span one; run.n > 0; run = span_from(run, one.n)) {
		one = span_first(run, seg);
		if (count == UDP_SEGMENTS_MAX || n + GENEVE_HEADER + one.n > UDP_FRAME_MAX) {
			(void)!datapath_send_run(m->dp, &via->addr, span(m->wrapped, n),
			                         GENEVE_HEADER + seg);
			n = count = 0;
		}
		geneve_write(m->wrapped + n, &g);
		memcpy(m->wrapped + n + GENEVE_HEADER, one.p, one.n);
		n += GENEVE_HEADER + one.n;
		count++;
	}
	/* What does not go is lost, as on any way. */
	(void)!datapath_send_run(m->dp, &via->addr, span(m->wrapped, n), GENEVE_HEADER + seg);
}

/* WireGuard through a peer relay: it came from the peer that this way leads to. */
size_t mesh_unwrap(void *ctx, struct span bytes, struct wg_path *path)
{
	struct mesh *m = ctx;
	struct path_via via = { .addr = path->remote };
	struct path_peer *peer;
	struct mesh_peer *p;
	struct geneve g;

	if (geneve_read(bytes, &g) < 0 || g.control || g.protocol != GENEVE_WIREGUARD)
		return 0;
	via.vni = g.vni;
	peer = paths_by_address(m->paths, &via);
	p = peer ? path_peer_user(peer) : NULL;
	if (!p)
		return 0;
	p->last_vni = g.vni;
	mesh_count_in(m, mesh_way_of(&via), bytes.n - GENEVE_HEADER);
	path->relay = p->id + RELAY_BASE;
	return GENEVE_HEADER;
}

bool mesh_recv_geneve(struct mesh *m, const struct addr *from, struct span bytes)
{
	struct path_from by = { .via.addr = *from };
	struct geneve g;

	if (geneve_read(bytes, &g) < 0 || g.protocol != GENEVE_DISCO)
		return false;
	if (g.control)
		return paths_recv_control(m->paths, mesh_now(m), from, bytes);
	by.via.vni = g.vni;
	return paths_recv_disco(m->paths, mesh_now(m), &by, span_from(bytes, GENEVE_HEADER));
}

/* ---- peers that relay -------------------------------------------------------- */

void mesh_set_peer_relays(struct mesh *m, const struct node_pub *v, size_t n)
{
	paths_set_relays(m->paths, v, n);
}

/* ---- relaying for peers -------------------------------------------------------- */

void mesh_relay_hosts(struct mesh *m)
{
	if (m->server)
		peer_relay_addresses(m->server, m->server_fixed.v, m->server_fixed.n, m->host_ips,
		                     m->n_host_ips);
}

static void set_fixed(struct mesh *m, const struct mesh_relay_server *cfg)
{
	m->server_fixed.n = 0;
	for (size_t i = 0; i < cfg->n_fixed; i++)
		vec_push(&m->server_fixed, cfg->fixed[i]);
	mesh_relay_hosts(m);
}

int mesh_set_relay_server(struct mesh *m, const struct mesh_relay_server *cfg)
{
	struct peer_relay_cfg c = { .ev = m->cfg.ev,
		                    .rand = &m->rand,
		                    .mark = m->cfg.no_mark ? 0 : MESH_FWMARK,
		                    .grow = m->cfg.grow,
		                    .grow_arg = m->cfg.grow_arg };
	int r;

	if (!cfg || !m->server || cfg->port != m->server_port)
		peer_relay_free(TAKE(m->server));
	if (!cfg)
		return 0;
	if (!m->server) {
		c.port = m->server_port = cfg->port;
		r = peer_relay_new(&c, &m->server);
		if (r < 0)
			return r;
		peer_relay_probe(m->server, &m->relays);
	}
	set_fixed(m, cfg);
	return 0;
}

bool mesh_relay_server_stats(const struct mesh *m, struct peer_relay_stats *ret)
{
	if (m->server)
		peer_relay_stats(m->server, ret);
	return m->server != NULL;
}

/* A peer, or we ourselves, want an endpoint of ours. */
void mesh_relay_asked(struct mesh *m, const struct paths_out *out)
{
	struct disco_msg answer = { .type = DISCO_ALLOCATED, .generation = out->generation };
	struct node_pub self;

	if (!m->server)
		return;
	if (out->peer && (!m->cfg.hooks.may_relay ||
	                  !m->cfg.hooks.may_relay(m->cfg.hooks.ctx, path_peer_node(out->peer))))
		return;
	if (peer_relay_allocate(m->server, &out->asker, out->clients, &answer.relay) < 0)
		return;
	if (out->peer) {
		paths_answer_ask(m->paths, out->peer, &out->asker, &answer);
		return;
	}
	node_priv_public(&m->cfg.node, &self);
	paths_allocated(m->paths, mesh_now(m), &self, &answer);
}

void mesh_relay_free(struct mesh *m)
{
	peer_relay_free(TAKE(m->server));
	vec_done(&m->server_fixed);
	free(m->wrapped);
}
