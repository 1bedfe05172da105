#pragma once
/*
 * What the user wants of the node, and who it is: the preferences of one
 * profile. The JSON is tailscaled's, in the state file (with private keys) and
 * on the local API (with keys zeroed).
 *
 * A struct prefs is one block of memory that does not change: an edit makes a
 * new one. Source: tailscale v1.102.5, ipn/prefs.go, types/persist.
 */
#include "base/fault.h"
#include "base/jsonrow.h"
#include "control/tailcfg.h"

#define PREFS_DEFAULT_CONTROL "https://controlplane.tailscale.com"

struct persist {
	struct node_priv node_key, old_node_key;
	struct tc_user_profile user;
	struct lock_priv lock_key;
	struct span node_id; /* stable id */
	struct span attestation_key;
	struct js_strs disallowed_tka;
};

static inline void persist_wipe(struct persist *p)
{
	node_priv_wipe(&p->node_key);
	node_priv_wipe(&p->old_node_key);
	lock_priv_wipe(&p->lock_key);
}

enum prefs_netfilter { NETFILTER_OFF, NETFILTER_NODIVERT, NETFILTER_ON };

struct prefs_auto_update {
	bool check;
	enum js_obool apply;
};

struct drive_share {
	struct span name, path, who, bookmark;
};

struct prefs {
	struct span control_url;
	bool route_all;
	struct span exit_node_id;
	struct ip exit_node_ip;
	struct span auto_exit_node, exit_node_prior;
	bool exit_node_allow_lan, corp_dns, run_ssh, run_web_client;
	bool want_running, logged_out, shields_up;
	struct js_strs advertise_tags;
	struct span hostname;
	bool notepad_urls, force_daemon, egg;
	struct js_prefixes advertise_routes;
	struct js_strs advertise_services;
	enum js_obool sync;
	bool no_snat;
	enum js_obool no_stateful_filtering;
	int64_t netfilter_mode; /* enum prefs_netfilter */
	struct span operator_user, profile_name;
	struct prefs_auto_update auto_update;
	bool app_connector;
	bool posture_checking;
	struct span netfilter_kind;
	bool remote_config;
	JS_LIST_STRUCT(drive_shares, struct drive_share *) drive_shares;
	uint16_t *relay_server_port;
	struct js_addrs relay_server_endpoints;
	struct persist *persist; /* NULL: never logged in */
};

extern const struct js_type prefs_type, persist_type;

/* Wiped, then freed. NULL is allowed. */
void prefs_free(struct prefs *p);
DEFINE_AUTO(prefs_free, struct prefs *)

/* The defaults of a machine that was never configured. */
struct prefs *prefs_new(void);
struct prefs *prefs_dup(const struct prefs *p);
/* From the state file; absent fields have their defaults. ERR_MALFORMED */
NODISCARD int prefs_parse(struct span json, struct prefs **ret);
void prefs_write(struct buf *out, const struct prefs *p);
/* For the local API: private keys are zeros. */
void prefs_write_public(struct buf *out, const struct prefs *p, const char *indent);

/*
 * MaskedPrefs, the body of a PATCH: what has its "...Set" is taken. The result
 * was checked (prefs_check).
 *   ERR_MALFORMED	no JSON of that form
 *   ERR_DENIED		what was asked is refused: the fault says why, for a person
 */
NODISCARD int prefs_edit(const struct prefs *old, struct span masked, struct prefs **ret,
                         struct fault *reterr);
/* Contradictions. ERR_DENIED */
NODISCARD int prefs_check(const struct prefs *p, struct fault *reterr);

/* The coordinator's base URL without slashes at the end. */
struct span prefs_control_url(const struct prefs *p);
/* Advertises both default routes. */
bool prefs_offers_exit(const struct prefs *p);
bool prefs_uses_exit(const struct prefs *p);
