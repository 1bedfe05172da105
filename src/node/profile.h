#pragma once
/*
 * Profiles: one for each account on this machine, with its preferences, and the
 * machine's own key. Kept in the store under tailscaled's names.
 *
 * There is always a current profile; a new one has no id until it is saved with
 * a login (profile_save).
 */
#include "node/prefs.h"
#include "node/store.h"

enum { PROFILE_ID_MAX = 16, PROFILES_MAX = 256 };

struct network_profile {
	struct span magic_dns_name, domain_name, display_name;
};

/* As in the state file and on the local API. */
struct profile {
	struct span id, name;
	struct network_profile network;
	struct span key; /* name of its preferences in the store */
	struct tc_user_profile user;
	struct span node_id, local_user_id, control_url;
	wall created;
};

extern const struct js_type profile_type;

struct profiles;

/* Reads what is there; makes the machine key if there is none. Errors of store_set. ERR_MALFORMED
 */
NODISCARD int profiles_open(struct store *store, struct profiles **ret);
void profiles_free(struct profiles *p);
DEFINE_AUTO(profiles_free, struct profiles *)

const struct machine_priv *profiles_machine_key(const struct profiles *p);
/* The current one's; good until it changes. */
const struct prefs *profiles_prefs(const struct profiles *p);
/* The current one; its id is empty while it is not saved. */
const struct profile *profiles_current(const struct profiles *p);
size_t profiles_n(const struct profiles *p);
const struct profile *profiles_at(const struct profiles *p, size_t i);
const struct profile *profiles_find(const struct profiles *p, struct span id);

/*
 * Sets the current profile's preferences (taken). Written to the store once
 * somebody has logged in; before that they live in memory.
 *   ERR_EXISTS	the profile name is another profile's
 */
NODISCARD int profiles_set_prefs(struct profiles *p, struct prefs *take, wall now);
/* What the coordinator says of the network, for the list of profiles. */
NODISCARD int profiles_set_network(struct profiles *p, const struct network_profile *n);

/* Another one becomes current. ERR_UNKNOWN */
NODISCARD int profiles_switch(struct profiles *p, struct span id);
/* A fresh one becomes current; nothing is written until it logs in. */
void profiles_new(struct profiles *p);
/* ERR_UNKNOWN. Removing the current one leaves a fresh one current. */
NODISCARD int profiles_remove(struct profiles *p, struct span id);
NODISCARD int profiles_remove_all(struct profiles *p);
