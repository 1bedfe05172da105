#include "wireguard/config.h"

#include <string.h>

#include "base/err.h"

/* A configuration this large is an exception, and its many small pieces lie everywhere. */
enum { LARGE = 1000 };

void wg_change_done(struct wg_change *c)
{
	bool large = c->peers.n >= LARGE;

	vec_each(struct wg_peer_change *, p, &c->peers) {
		psk_wipe(&p->psk);
		vec_done(&p->ips);
	}
	vec_done(&c->peers);
	explicit_bzero(c, sizeof(*c));
	if (large)
		mem_trim();
}

/* A vector of secrets may not be grown by realloc: the old copy would stay behind. */
#define GROW_WIPED(vec)                                                                \
	do {                                                                           \
		if ((vec)->n == (vec)->cap) {                                          \
			size_t cap_ = (vec)->cap ? (vec)->cap * 2 : 4;                 \
			__typeof__((vec)->v) v_ = mem_zalloc(cap_, sizeof(*(vec)->v)); \
			if ((vec)->n) {                                                \
				memcpy(v_, (vec)->v, (vec)->n * sizeof(*v_));          \
				explicit_bzero((vec)->v, (vec)->n * sizeof(*v_));      \
			}                                                              \
			free((vec)->v);                                                \
			(vec)->v = v_;                                                 \
			(vec)->cap = cap_;                                             \
		}                                                                      \
	} while (0)

struct wg_peer_change *wg_change_add_peer(struct wg_change *c, const struct node_pub *key)
{
	GROW_WIPED(&c->peers);

	struct wg_peer_change *p = vec_add(&c->peers);

	p->key = *key;
	return p;
}

void wg_peer_change_add_ip(struct wg_peer_change *p, struct prefix prefix, bool remove)
{
	vec_push(&p->ips, ((struct wg_ip_change){ .prefix = prefix, .remove = remove }));
}

int wg_change_check(const struct wg_change *c)
{
	size_t prefixes = 0;

	if (c->peers.n > WG_PEERS_MAX)
		return ERR_LIMIT;
	vec_each(const struct wg_peer_change *, p, &c->peers) {
		prefixes += p->ips.n;
		vec_each(const struct wg_ip_change *, ip, &p->ips) {
			if (ip->prefix.bits > prefix_max_bits(&ip->prefix))
				return ERR_MALFORMED;
		}
	}
	return prefixes > WG_PREFIXES_MAX ? ERR_LIMIT : 0;
}

void wg_info_done(struct wg_info *i)
{
	bool large = i->peers.n >= LARGE;

	vec_each(struct wg_peer_info *, p, &i->peers) {
		psk_wipe(&p->psk);
		vec_done(&p->ips);
	}
	vec_done(&i->peers);
	explicit_bzero(i, sizeof(*i));
	if (large)
		mem_trim();
}

struct wg_peer_info *wg_info_add_peer(struct wg_info *i, const struct node_pub *key)
{
	GROW_WIPED(&i->peers);

	struct wg_peer_info *p = vec_add(&i->peers);

	p->key = *key;
	return p;
}
