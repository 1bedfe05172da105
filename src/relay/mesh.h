#pragma once
/*
 * Our connections to the other relays of the region. Each logs in with the mesh
 * key, asks who is there, and is the hub's way to them. A lost one is dialled
 * again every five seconds; what it knew is forgotten meanwhile.
 */
#include "platform/dial.h"
#include "relay/relay.h"

struct mesh;

struct mesh_cfg {
	struct ev *ev;
	struct rand_src *rand;
	struct relay *relay;
	const struct node_priv *key;
	const uint8_t *mesh_key; /* DERP_MESH_KEY bytes */
	struct resolver *resolver;
	struct tls_client *tls;
};

enum { MESH_LINKS_MAX = 64, MESH_RETRY_US = 5 * 1000 * 1000 };

/*
 * hosts: comma-separated "host", "host:port", with "/address" behind it to dial
 * that address instead, with "http://" in front for no TLS. ERR_MALFORMED
 */
NODISCARD int relay_mesh_new(const struct mesh_cfg *cfg, struct span hosts, struct mesh **ret);
void relay_mesh_free(struct mesh *m); /* before the relay */
/* How many there are, and how many are up. */
void relay_mesh_state(const struct mesh *m, size_t *ret_all, size_t *ret_up);
