#include "protocol/udprelay_client.h"

#include <string.h>

#include "protocol/geneve.h"

/* ---- asking -------------------------------------------------------------- */

void udprelay_ask_init(struct udprelay_ask *q, mono now, const struct disco_pub *self,
                       const struct disco_pub *peer, uint32_t generation)
{
	*q = (struct udprelay_ask){
		.clients = { *self, *peer }, .generation = generation, .asked = now, .again = now
	};
}

mono udprelay_ask_deadline(const struct udprelay_ask *q)
{
	if (q->over)
		return MONO_NEVER;
	return mono_min(q->again, mono_after(q->asked, UDPRELAY_ASK_S * US_PER_S));
}

enum udprelay_ask_act udprelay_ask_next(struct udprelay_ask *q, mono now, struct disco_msg *msg)
{
	if (q->over)
		return UDPRELAY_ASK_WAIT;
	if (mono_since(q->asked, now) >= UDPRELAY_ASK_S * US_PER_S) {
		q->over = true;
		return UDPRELAY_ASK_OVER;
	}
	if (!mono_reached(q->again, now))
		return UDPRELAY_ASK_WAIT;
	q->again = q->again.us == q->asked.us
	                   ? mono_after(q->asked, UDPRELAY_ASK_AGAIN_S * US_PER_S)
	                   : MONO_NEVER;
	*msg = (struct disco_msg){ .type = DISCO_ALLOCATE,
		                   .clients = { q->clients[0], q->clients[1] },
		                   .generation = q->generation };
	return UDPRELAY_ASK_SEND;
}

bool udprelay_endpoint_ok(const struct disco_relay_endpoint *ep, const struct disco_pub *self,
                          const struct disco_pub *peer)
{
	bool straight = disco_pub_eq(&ep->clients[0], self) && disco_pub_eq(&ep->clients[1], peer);
	bool crossed = disco_pub_eq(&ep->clients[1], self) && disco_pub_eq(&ep->clients[0], peer);

	return (straight || crossed) && !disco_pub_is_zero(&ep->server) && ep->vni &&
	       ep->vni <= GENEVE_VNI_MAX && ep->n_addrs;
}

bool udprelay_ask_answered(struct udprelay_ask *q, const struct disco_msg *msg)
{
	if (q->over || msg->type != DISCO_ALLOCATED || msg->generation != q->generation ||
	    !udprelay_endpoint_ok(&msg->relay, &q->clients[0], &q->clients[1]))
		return false;
	q->over = true;
	return true;
}

/* ---- binding ------------------------------------------------------------- */

int udprelay_bind_init(struct udprelay_bind *b, mono now, const struct disco_priv *priv,
                       const struct disco_pub *peer, const struct disco_relay_endpoint *ep,
                       uint32_t generation, const struct rand_src *rand)
{
	int64_t us = ep->bind_us;

	if (us <= 0 || us > UDPRELAY_HANDSHAKE_S * US_PER_S)
		us = UDPRELAY_HANDSHAKE_S * US_PER_S;
	*b = (struct udprelay_bind){ .peer = *peer,
		                     .ep = *ep,
		                     .rand = *rand,
		                     .generation = generation,
		                     .deadline = mono_after(now, us) };
	disco_priv_public(priv, &b->self);
	return box_shared_init(&b->shared, priv->b, ep->server.b);
}

bool udprelay_bind_recv(struct udprelay_bind *b, const struct addr *from, struct span datagram)
{
	struct disco_pub sender;
	struct disco_msg m;
	struct geneve g;
	struct span inner = span_from(datagram, GENEVE_HEADER);

	if (b->over || addr_is_set(&b->by) || geneve_read(datagram, &g) < 0)
		return false;
	if (!g.control || g.protocol != GENEVE_DISCO || g.vni != b->ep.vni ||
	    !disco_sender(inner, &sender) || !disco_pub_eq(&sender, &b->ep.server) ||
	    disco_open(inner, &b->shared, &m) < 0)
		return false;
	if (m.type != DISCO_BIND_CHALLENGE || m.bind.vni != b->ep.vni ||
	    m.bind.generation != b->generation || !disco_pub_eq(&m.bind.remote, &b->peer))
		return false;
	b->by = *from;
	b->answer = m.bind;
	b->answer_due = true;
	b->probes_due = 1;
	return true;
}

void udprelay_bind_heard_ping(struct udprelay_bind *b)
{
	if (!b->over && addr_is_set(&b->by) && b->probes + b->probes_due < UDPRELAY_PINGS_MAX)
		b->probes_due++;
}

static bool send_message(struct udprelay_bind *b, enum disco_type type,
                         const struct disco_bind *bind, const struct addr *to,
                         struct udprelay_bind_out *ret)
{
	struct geneve g = { .control = true, .protocol = GENEVE_DISCO, .vni = b->ep.vni };
	struct disco_msg m = { .type = type, .bind = *bind };
	size_t n;

	geneve_write(b->packet, &g);
	if (disco_seal(b->packet + GENEVE_HEADER, sizeof(b->packet) - GENEVE_HEADER, &m, &b->self,
	               &b->shared, &b->rand, &n) < 0)
		return false;
	*ret = (struct udprelay_bind_out){ .act = UDPRELAY_BIND_SEND,
		                           .to = *to,
		                           .bytes = span(b->packet, GENEVE_HEADER + n) };
	return true;
}

bool udprelay_bind_next(struct udprelay_bind *b, mono now, struct udprelay_bind_out *ret)
{
	struct disco_bind first = { .vni = b->ep.vni,
		                    .generation = b->generation,
		                    .remote = b->peer };

	if (b->over)
		return false;
	if (mono_reached(b->deadline, now)) {
		b->over = true;
		*ret = (struct udprelay_bind_out){ .act = UDPRELAY_BIND_OVER };
		return true;
	}
	if (!addr_is_set(&b->by)) {
		if (b->asked >= b->ep.n_addrs)
			return false;
		b->asked++;
		return send_message(b, DISCO_BIND, &first, &b->ep.addrs[b->asked - 1], ret);
	}
	if (b->answer_due) {
		b->answer_due = false;
		return send_message(b, DISCO_BIND_ANSWER, &b->answer, &b->by, ret);
	}
	if (!b->probes_due)
		return false;
	b->probes_due--;
	b->probes++;
	*ret = (struct udprelay_bind_out){ .act = UDPRELAY_BIND_PROBE, .to = b->by };
	return true;
}
