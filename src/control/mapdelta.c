#include "control/mapdelta.h"

#define AT(field) offsetof(struct tc_node, field)
/* clang-format off */
static const struct {
	size_t at;
	unsigned change;
} change_of[] = {
	{ AT(key),                   TC_CHANGED_KEY         },
	{ AT(disco),                 TC_CHANGED_DISCO       },
	{ AT(addresses),             TC_CHANGED_ADDRESSES   },
	{ AT(allowed_ips),           TC_CHANGED_ALLOWED_IPS },
	{ AT(endpoints),             TC_CHANGED_ENDPOINTS   },
	{ AT(derp),                  TC_CHANGED_DERP        },
	{ AT(home_derp),             TC_CHANGED_DERP        },
	{ AT(online),                TC_CHANGED_ONLINE      },
	{ AT(last_seen),             TC_CHANGED_LAST_SEEN   },
	{ AT(key_expiry),            TC_CHANGED_EXPIRY      },
	{ AT(expired),               TC_CHANGED_EXPIRY | TC_CHANGED_OTHER },
	{ AT(name),                  TC_CHANGED_NAME        },
	{ AT(stable_id),             TC_CHANGED_NAME        },
	{ AT(user),                  TC_CHANGED_USER        },
	{ AT(sharer),                TC_CHANGED_USER        },
	{ AT(hostinfo),              TC_CHANGED_HOSTINFO    },
	{ AT(cap),                   TC_CHANGED_CAP         },
	{ AT(cap_map),               TC_CHANGED_CAP_MAP     },
	{ AT(capabilities),          TC_CHANGED_CAP_MAP | TC_CHANGED_OTHER },
	{ AT(key_signature),         TC_CHANGED_SIGNATURE   },
	{ AT(unsigned_peerapi_only), TC_CHANGED_TUNNEL      },
	{ AT(masq4),                 TC_CHANGED_TUNNEL      },
	{ AT(masq6),                 TC_CHANGED_TUNNEL      },
	{ AT(wireguard_only),        TC_CHANGED_TUNNEL      },
	{ AT(jailed),                TC_CHANGED_TUNNEL      },
};
/* clang-format on */

static unsigned change_at(size_t at)
{
	for (size_t i = 0; i < ARRAY_LEN(change_of); i++)
		if (change_of[i].at == at)
			return change_of[i].change;
	return TC_CHANGED_OTHER;
}

unsigned tc_node_diff(const struct tc_node *old, const struct tc_node *new)
{
	unsigned mask = 0;

	for (const struct js_row *row = tc_node_type.rows; row->name; row++)
		if (!js_same(row->type, (const uint8_t *)old + row->at,
		             (const uint8_t *)new + row->at))
			mask |= change_at(row->at);
	return mask;
}

static bool rolls_back(const struct tc_node *n, const struct tc_peer_change *c)
{
	return c->disco && c->online == OBOOL_FALSE && c->last_seen &&
	       c->last_seen->us <= n->last_seen.us;
}

static unsigned patch_path(struct tc_node *n, const struct tc_peer_change *c)
{
	unsigned mask = 0;

	if (c->derp_region && c->derp_region != tc_node_home_derp(n)) {
		n->home_derp = c->derp_region;
		n->derp = (struct span){ 0 };
		mask |= TC_CHANGED_DERP;
	}
	if (c->endpoints.set && !js_same(&js_t_addrs, &n->endpoints, &c->endpoints)) {
		n->endpoints = c->endpoints;
		mask |= TC_CHANGED_ENDPOINTS;
	}
	if (c->online && c->online != n->online) {
		n->online = c->online;
		mask |= TC_CHANGED_ONLINE;
	}
	if (c->last_seen && c->last_seen->us != n->last_seen.us) {
		n->last_seen = *c->last_seen;
		mask |= TC_CHANGED_LAST_SEEN;
	}
	return mask;
}

static unsigned patch_keys(struct tc_node *n, const struct tc_peer_change *c)
{
	unsigned mask = 0;

	if (c->key && !node_pub_eq(c->key, &n->key)) {
		n->key = *c->key;
		mask |= TC_CHANGED_KEY;
	}
	if (c->disco && !disco_pub_eq(c->disco, &n->disco)) {
		n->disco = *c->disco;
		mask |= TC_CHANGED_DISCO;
	}
	if (c->key_signature.n && !span_eq(c->key_signature, n->key_signature)) {
		n->key_signature = c->key_signature;
		mask |= TC_CHANGED_SIGNATURE;
	}
	if (c->key_expiry && c->key_expiry->us != n->key_expiry.us) {
		n->key_expiry = *c->key_expiry;
		mask |= TC_CHANGED_EXPIRY;
	}
	return mask;
}

static unsigned patch_caps(struct tc_node *n, const struct tc_peer_change *c)
{
	unsigned mask = 0;

	if (c->cap && c->cap != n->cap) {
		n->cap = c->cap;
		mask |= TC_CHANGED_CAP;
	}
	if (c->cap_map.set && !js_same(&tc_capmap_type, &n->cap_map, &c->cap_map)) {
		n->cap_map = c->cap_map;
		mask |= TC_CHANGED_CAP_MAP;
	}
	return mask;
}

unsigned tc_node_patch(struct tc_node *n, const struct tc_peer_change *c)
{
	if (rolls_back(n, c))
		return 0;
	return patch_path(n, c) | patch_keys(n, c) | patch_caps(n, c);
}

/* Values that a patch cannot take away, since zero means "unchanged" there. */
static bool takes_away(const struct tc_node *old, const struct tc_node *new)
{
	return (old->online && !new->online) ||
	       (tc_node_home_derp(old) && !tc_node_home_derp(new)) || (old->cap && !new->cap) ||
	       (old->key_signature.n && !new->key_signature.n) ||
	       (old->derp.n != 0) != (new->derp.n != 0);
}

bool tc_node_make_patch(const struct tc_node *old, const struct tc_node *new,
                        struct tc_patch_store *store, struct tc_peer_change *ret)
{
	unsigned mask = tc_node_diff(old, new);

	if ((mask & ~(unsigned)TC_CHANGED_PATCHABLE) || takes_away(old, new))
		return false;
	*store = (struct tc_patch_store){ new->last_seen, new->key_expiry, new->key, new->disco };
	*ret = (struct tc_peer_change){ .node_id = new->id };
	if (mask & TC_CHANGED_KEY)
		ret->key = &store->key;
	if (mask & TC_CHANGED_DISCO)
		ret->disco = &store->disco;
	if (mask & TC_CHANGED_SIGNATURE)
		ret->key_signature = new->key_signature;
	if (mask & TC_CHANGED_EXPIRY)
		ret->key_expiry = &store->key_expiry;
	if (mask & TC_CHANGED_LAST_SEEN)
		ret->last_seen = &store->last_seen;
	if (mask & TC_CHANGED_ONLINE)
		ret->online = new->online;
	if (mask & TC_CHANGED_DERP)
		ret->derp_region = tc_node_home_derp(new);
	if (mask & TC_CHANGED_CAP)
		ret->cap = new->cap;
	if (mask & TC_CHANGED_ENDPOINTS) {
		ret->endpoints = new->endpoints;
		ret->endpoints.set = true;
	}
	if (mask & TC_CHANGED_CAP_MAP) {
		ret->cap_map = new->cap_map;
		ret->cap_map.set = true;
	}
	return !rolls_back(old, ret);
}

void tc_derp_map_merge(const struct tc_derp_map *old, const struct tc_derp_map *delta,
                       struct tc_derp_map *ret, struct tc_derp_home_params *ret_params)
{
	*ret = *delta;
	if (old && !delta->regions.set) {
		ret->regions = old->regions;
		ret->omit_default_regions = old->omit_default_regions;
	}
	if (old && !delta->home_params)
		ret->home_params = old->home_params;
	if (old && old->home_params && delta->home_params && !delta->home_params->region_score.set)
		ret->home_params = old->home_params;
	if (!ret->home_params)
		return;
	*ret_params = *ret->home_params;
	ret->home_params = ret_params;
}
