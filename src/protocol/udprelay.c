#include "protocol/udprelay.h"

#include <string.h>

#include "base/map.h"
#include "base/mem.h"
#include "base/wire.h"
#include "crypto/blake2s.h"
#include "protocol/geneve.h"

struct leg {
	struct disco_pub key;
	struct box_shared shared;
	uint32_t generation; /* of the handshake under way; 0: none */
	struct addr bound;   /* port 0: not yet */
	mono seen;
};

struct endpoint {
	struct map_node by_vni, by_pair;
	struct leg legs[2]; /* the smaller key first */
	uint32_t vni;
	uint64_t lamport;
	mono made;
};

struct udprelay {
	struct rand_src rand;
	struct disco_priv priv;
	struct disco_pub pub;
	uint8_t secrets[2][32]; /* of challenges: the present one, the one before */
	mono secret_born;
	struct map vnis, pairs;
	uint32_t last_vni;
	uint64_t lamport;
	mono sweep; /* next */
	size_t n_addrs;
	struct addr addrs[DISCO_ENDPOINTS_MAX];
	uint8_t reply[UDPRELAY_REPLY_MAX];
	uint64_t datagrams, bytes;
};

struct udprelay *udprelay_new(mono now, const struct rand_src *rand)
{
	struct udprelay *r = mem_new(struct udprelay);

	r->rand = *rand;
	rand_fill(&r->rand, r->priv.b, sizeof(r->priv.b));
	key_clamp(r->priv.b);
	disco_priv_public(&r->priv, &r->pub);
	rand_fill(&r->rand, r->secrets, sizeof(r->secrets));
	r->secret_born = now;
	r->sweep = MONO_NEVER;
	map_init(&r->vnis);
	map_init(&r->pairs);
	return r;
}

static void drop(struct udprelay *r, struct endpoint *e)
{
	map_remove(&r->vnis, &e->by_vni);
	map_remove(&r->pairs, &e->by_pair);
	explicit_bzero(e, sizeof(*e));
	free(e);
}

void udprelay_free(struct udprelay *r)
{
	if (!r)
		return;
	for (struct map_node *n; (n = map_first(&r->vnis));)
		drop(r, CONTAINER_OF(n, struct endpoint, by_vni));
	map_done(&r->vnis);
	map_done(&r->pairs);
	explicit_bzero(r, sizeof(*r));
	free(r);
}

const struct disco_pub *udprelay_key(const struct udprelay *r)
{
	return &r->pub;
}

void udprelay_addresses(struct udprelay *r, const struct addr *v, size_t n)
{
	r->n_addrs = n < DISCO_ENDPOINTS_MAX ? n : DISCO_ENDPOINTS_MAX;
	if (n)
		memcpy(r->addrs, v, r->n_addrs * sizeof(*v));
}

/* ---- endpoints ----------------------------------------------------------- */

static struct endpoint *find_vni(const struct udprelay *r, uint32_t vni)
{
	uint64_t hash = map_hash(&r->vnis, &vni, sizeof(vni));

	for (struct map_node *n = map_find(&r->vnis, hash); n; n = map_again(n)) {
		struct endpoint *e = CONTAINER_OF(n, struct endpoint, by_vni);

		if (e->vni == vni)
			return e;
	}
	return NULL;
}

static struct endpoint *find_pair(const struct udprelay *r, const struct disco_pub pair[static 2],
                                  uint64_t hash)
{
	for (struct map_node *n = map_find(&r->pairs, hash); n; n = map_again(n)) {
		struct endpoint *e = CONTAINER_OF(n, struct endpoint, by_pair);

		if (disco_pub_eq(&e->legs[0].key, &pair[0]) &&
		    disco_pub_eq(&e->legs[1].key, &pair[1]))
			return e;
	}
	return NULL;
}

/* In turn, so that a number that was just given up is not used again at once. */
static uint32_t free_vni(struct udprelay *r)
{
	do
		r->last_vni = r->last_vni < GENEVE_VNI_MAX ? r->last_vni + 1 : 1;
	while (find_vni(r, r->last_vni));
	return r->last_vni;
}

static int make(struct udprelay *r, mono now, const struct disco_pub pair[static 2], uint64_t hash,
                struct endpoint **ret)
{
	if (r->vnis.n >= UDPRELAY_MAX)
		return ERR_LIMIT;

	struct endpoint *e = mem_new(struct endpoint);

	for (size_t i = 0; i < 2; i++) {
		e->legs[i].key = pair[i];
		if (box_shared_init(&e->legs[i].shared, r->priv.b, pair[i].b) < 0) {
			free(e);
			return ERR_DENIED;
		}
	}
	e->vni = free_vni(r);
	e->lamport = ++r->lamport;
	e->made = now;
	map_insert(&r->vnis, &e->by_vni, map_hash(&r->vnis, &e->vni, sizeof(e->vni)));
	map_insert(&r->pairs, &e->by_pair, hash);
	if (r->sweep.us == MONO_NEVER.us)
		r->sweep = mono_after(now, UDPRELAY_SWEEP_S * US_PER_S);
	*ret = e;
	return 0;
}

static void describe(const struct udprelay *r, const struct endpoint *e,
                     struct disco_relay_endpoint *ret)
{
	*ret = (struct disco_relay_endpoint){ .server = r->pub,
		                              .clients = { e->legs[0].key, e->legs[1].key },
		                              .lamport_id = e->lamport,
		                              .vni = e->vni,
		                              .bind_us = UDPRELAY_BIND_S * US_PER_S,
		                              .steady_us = UDPRELAY_STEADY_S * US_PER_S,
		                              .n_addrs = r->n_addrs };
	memcpy(ret->addrs, r->addrs, r->n_addrs * sizeof(r->addrs[0]));
}

static bool may_be_client(const struct udprelay *r, const struct disco_pub *key)
{
	return !disco_pub_is_zero(key) && !disco_pub_eq(key, &r->pub);
}

int udprelay_allocate(struct udprelay *r, mono now, const struct disco_pub *asker,
                      const struct disco_pub clients[static 2], struct disco_relay_endpoint *ret)
{
	bool swap = memcmp(clients[0].b, clients[1].b, KEY_LEN) > 0;
	struct disco_pub pair[2] = { clients[swap], clients[!swap] };
	struct endpoint *e;

	if (disco_pub_eq(&pair[0], &pair[1]) || !may_be_client(r, &pair[0]) ||
	    !may_be_client(r, &pair[1]))
		return ERR_DENIED;
	if (!disco_pub_eq(asker, &pair[0]) && !disco_pub_eq(asker, &pair[1]))
		return ERR_DENIED;
	if (!r->n_addrs)
		return ERR_BADSTATE;

	uint64_t hash = map_hash(&r->pairs, pair, sizeof(pair));
	int made = 0;

	e = find_pair(r, pair, hash);
	if (!e)
		made = make(r, now, pair, hash, &e);
	if (made < 0)
		return made;
	describe(r, e, ret);
	return 0;
}

/* ---- binding ------------------------------------------------------------- */

static void renew_secrets(struct udprelay *r, mono now)
{
	int64_t age = mono_since(r->secret_born, now);

	if (age < UDPRELAY_SECRET_S * US_PER_S)
		return;
	if (age < 2 * UDPRELAY_SECRET_S * US_PER_S)
		memcpy(r->secrets[1], r->secrets[0], sizeof(r->secrets[0]));
	else
		rand_fill(&r->rand, r->secrets[1], sizeof(r->secrets[1]));
	rand_fill(&r->rand, r->secrets[0], sizeof(r->secrets[0]));
	r->secret_born = now;
}

static void challenge(const uint8_t secret[static 32], const struct disco_bind *b,
                      const struct addr *from, uint8_t ret[static DISCO_CHALLENGE])
{
	uint8_t what[4 + 4 + KEY_LEN + 16 + 2];

	put_be32(what, b->vni);
	put_be32(what + 4, b->generation);
	memcpy(what + 8, b->remote.b, KEY_LEN);
	memcpy(what + 8 + KEY_LEN, from->ip.b, 16);
	put_be16(what + 8 + KEY_LEN + 16, from->port);
	blake2s(ret, DISCO_CHALLENGE, secret, 32, SPAN_OF(what));
}

static bool answer_is_good(const struct udprelay *r, const struct disco_bind *b,
                           const struct addr *from)
{
	uint8_t want[DISCO_CHALLENGE];
	bool good = false;

	for (size_t i = 0; i < 2; i++) {
		challenge(r->secrets[i], b, from, want);
		good |= ct_eq(want, b->challenge, sizeof(want));
	}
	return good;
}

static bool reply_challenge(struct udprelay *r, const struct endpoint *e, const struct leg *leg,
                            const struct disco_bind *asked, const struct addr *from,
                            struct udprelay_out *ret)
{
	struct geneve g = { .control = true, .protocol = GENEVE_DISCO, .vni = e->vni };
	struct disco_msg m = { .type = DISCO_BIND_CHALLENGE, .bind = *asked };
	size_t n;

	challenge(r->secrets[0], asked, from, m.bind.challenge);
	geneve_write(r->reply, &g);
	if (disco_seal(r->reply + GENEVE_HEADER, sizeof(r->reply) - GENEVE_HEADER, &m, &r->pub,
	               &leg->shared, &r->rand, &n) < 0)
		return false;
	*ret = (struct udprelay_out){ .to = *from, .bytes = span(r->reply, GENEVE_HEADER + n) };
	return true;
}

/* Whose leg a disco message claims to be of; NULL: neither's. */
static struct leg *leg_of(struct endpoint *e, struct span datagram)
{
	struct disco_pub sender;

	if (!disco_sender(datagram, &sender))
		return NULL;
	for (size_t i = 0; i < 2; i++) {
		if (disco_pub_eq(&e->legs[i].key, &sender))
			return &e->legs[i];
	}
	return NULL;
}

static bool control(struct udprelay *r, mono now, struct endpoint *e, const struct addr *from,
                    struct span datagram, struct udprelay_out *ret)
{
	struct leg *leg = leg_of(e, datagram);
	struct disco_msg m;

	if (!leg || disco_open(datagram, &leg->shared, &m) < 0)
		return false;
	if (m.type != DISCO_BIND && m.type != DISCO_BIND_ANSWER)
		return false;

	const struct leg *other = leg == &e->legs[0] ? &e->legs[1] : &e->legs[0];

	if (m.bind.vni != e->vni || !disco_pub_eq(&m.bind.remote, &other->key) ||
	    !m.bind.generation)
		return false;
	renew_secrets(r, now);
	if (m.type == DISCO_BIND) {
		leg->generation = m.bind.generation;
		return reply_challenge(r, e, leg, &m.bind, from, ret);
	}
	if (m.bind.generation == leg->generation && answer_is_good(r, &m.bind, from)) {
		leg->generation = 0;
		leg->bound = *from;
		leg->seen = now;
	}
	return false;
}

/* ---- carrying ------------------------------------------------------------ */

static bool is_bound(const struct endpoint *e)
{
	return addr_is_set(&e->legs[0].bound) && addr_is_set(&e->legs[1].bound);
}

static bool carry(struct udprelay *r, mono now, struct endpoint *e, const struct addr *from,
                  struct span bytes, size_t datagrams, struct udprelay_out *ret)
{
	for (size_t i = 0; i < 2 && is_bound(e); i++) {
		if (!addr_eq(&e->legs[i].bound, from))
			continue;
		e->legs[i].seen = now;
		*ret = (struct udprelay_out){ .to = e->legs[!i].bound, .bytes = bytes };
		r->datagrams += datagrams;
		r->bytes += bytes.n;
		return true;
	}
	return false;
}

bool udprelay_recv(struct udprelay *r, mono now, const struct addr *from, struct span datagram,
                   struct udprelay_out *ret)
{
	struct geneve g;

	if (geneve_read(datagram, &g) < 0)
		return false;

	struct endpoint *e = find_vni(r, g.vni);

	if (!e)
		return false;
	if (!g.control)
		return carry(r, now, e, from, datagram, 1, ret);
	return g.protocol == GENEVE_DISCO &&
	       control(r, now, e, from, span_from(datagram, GENEVE_HEADER), ret);
}

bool udprelay_recv_run(struct udprelay *r, mono now, const struct addr *from, struct span run,
                       size_t seg, struct udprelay_out *ret)
{
	struct geneve first, g;
	struct endpoint *e;
	size_t datagrams = 1;

	if (seg == 0 || geneve_read(run, &first) < 0 || first.control)
		return false;
	for (size_t at = seg; at < run.n; at += seg, datagrams++) {
		if (geneve_read(span_from(run, at), &g) < 0 || g.control || g.vni != first.vni)
			return false;
	}
	e = find_vni(r, first.vni);
	return e && carry(r, now, e, from, run, datagrams, ret);
}

/* ---- time ---------------------------------------------------------------- */

static bool is_over(const struct endpoint *e, mono now)
{
	const int64_t steady = UDPRELAY_STEADY_S * US_PER_S;

	if (!is_bound(e))
		return mono_since(e->made, now) > UDPRELAY_BIND_S * US_PER_S;
	return mono_since(e->legs[0].seen, now) > steady ||
	       mono_since(e->legs[1].seen, now) > steady;
}

void udprelay_timeout(struct udprelay *r, mono now)
{
	if (!mono_reached(r->sweep, now))
		return;
	for (struct map_node *n = map_first(&r->vnis), *next; n; n = next) {
		struct endpoint *e = CONTAINER_OF(n, struct endpoint, by_vni);

		next = map_next(&r->vnis, n);
		if (is_over(e, now))
			drop(r, e);
	}
	r->sweep = r->vnis.n ? mono_after(now, UDPRELAY_SWEEP_S * US_PER_S) : MONO_NEVER;
}

mono udprelay_deadline(const struct udprelay *r)
{
	return r->sweep;
}

size_t udprelay_count(const struct udprelay *r)
{
	return r->vnis.n;
}

size_t udprelay_open(const struct udprelay *r)
{
	size_t n = 0;

	for (struct map_node *m = map_first(&r->vnis); m; m = map_next(&r->vnis, m))
		n += is_bound(CONTAINER_OF(m, struct endpoint, by_vni));
	return n;
}

void udprelay_carried(const struct udprelay *r, uint64_t *ret_datagrams, uint64_t *ret_bytes)
{
	*ret_datagrams = r->datagrams;
	*ret_bytes = r->bytes;
}
