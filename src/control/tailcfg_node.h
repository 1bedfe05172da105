#pragma once
/*
 * Types of the control protocol that describe a node. Names and meaning are
 * those of tailscale v1.102.5, tailcfg/tailcfg.go; what a field left at zero
 * means is said where it is not plain.
 *
 * Texts (struct span) that were decoded have a NUL behind them. Times: 0 is
 * "not said". Lists: `set` tells [] from null where a comment says it matters.
 */
#include "base/jsonrow.h"
#include "crypto/keys.h"

/* A capability map: name to arguments, each any JSON. null and [] both mean "present". */
struct tc_cap {
	struct span key;
	struct js_strs value; /* raw JSON texts */
};
JS_LIST_STRUCT(tc_capmap, struct tc_cap);

struct tc_service {
	struct span proto; /* tcp, udp, peerapi4, peerapi6, peerapi-dns-proxy, egg */
	uint16_t port;
	struct span description;
};
JS_LIST_STRUCT(tc_services, struct tc_service);

struct tc_location {
	struct span country, country_code, city, city_code;
	double latitude, longitude;
	int64_t priority;
};

struct tc_tpm {
	struct span manufacturer, vendor;
	int64_t model;
	uint64_t firmware_version;
	int64_t spec_revision;
	struct span family_indicator;
};

struct tc_latency {
	struct span key; /* "<region>-v4", "<region>-v6" */
	double value;    /* seconds */
};

struct tc_netinfo {
	enum js_obool mapping_varies; /* hard NAT */
	enum js_obool working_ipv6, os_has_ipv6, working_udp, working_icmpv4;
	bool have_port_map;
	enum js_obool upnp, pmp, pcp;
	int64_t preferred_derp;
	struct span link_type;
	JS_LIST_OF(struct tc_latency) derp_latency;
	struct span firewall_mode;
};

struct tc_hostinfo {
	struct span ipn_version, frontend_log_id, backend_log_id;
	struct span os, os_version;
	enum js_obool container;
	struct span env, distro, distro_version, distro_code_name, app;
	enum js_obool desktop;
	struct span package, device_model, push_device_token, hostname;
	bool shields_up, sharee_node, no_logs_no_support, remote_config;
	bool wire_ingress, ingress_enabled, allows_update;
	struct span machine, go_arch, go_arch_var, go_version;
	struct js_prefixes routable_ips;
	struct js_strs request_tags, wol_macs;
	struct tc_services services;
	struct tc_netinfo *netinfo;
	struct js_strs ssh_host_keys;
	struct span cloud;
	enum js_obool userspace, userspace_router, app_connector;
	struct span services_hash;
	bool peer_relay;
	struct span exit_node_id;
	struct tc_location *location;
	struct tc_tpm *tpm;
	enum js_obool state_encrypted;
};

struct tc_resolver {
	struct span addr; /* IP, IP:port, https://..., http://node-ip:port/... */
	struct js_ips bootstrap;
	bool use_with_exit_node;
};
JS_LIST_STRUCT(tc_resolvers, struct tc_resolver *);

struct tc_node {
	int64_t id; /* > 0 */
	struct span stable_id;
	struct span name; /* FQDN with its dot */
	int64_t user, sharer;
	struct node_pub key;
	wall key_expiry; /* 0: never */
	struct span key_signature;
	struct machine_pub machine;
	struct disco_pub disco;
	struct js_prefixes addresses;
	struct js_prefixes allowed_ips; /* not set: the same as addresses */
	struct js_addrs endpoints;
	struct span derp; /* before capability version 111: "127.3.3.40:<region>" */
	int64_t home_derp;
	struct tc_hostinfo *hostinfo;
	wall created;
	int64_t cap;
	struct js_strs tags;
	struct js_prefixes primary_routes;
	wall last_seen;
	enum js_obool online;
	bool machine_authorized;
	struct js_strs capabilities;
	struct tc_capmap cap_map;
	bool unsigned_peerapi_only;
	struct span computed_name, computed_name_with_host; /* never sent to a client */
	struct span data_plane_audit_log_id;
	bool expired;
	struct ip masq4, masq6; /* our address as this peer sees it; zero: our own */
	bool wireguard_only, jailed;
	struct tc_resolvers exit_resolvers;
};
JS_LIST_STRUCT(tc_nodes, struct tc_node *);

/* What changed of a peer. Left at zero (or not set): unchanged. */
struct tc_peer_change {
	int64_t node_id;
	int64_t derp_region, cap;
	struct tc_capmap cap_map;  /* set: replaces the whole map */
	struct js_addrs endpoints; /* set: replaces, also by none */
	struct node_pub *key;
	struct span key_signature;
	struct disco_pub *disco;
	enum js_obool online;
	wall *last_seen, *key_expiry;
};
JS_LIST_STRUCT(tc_peer_changes, struct tc_peer_change *);

struct tc_user_profile {
	int64_t id;
	struct span login_name, display_name, profile_pic_url;
	struct js_strs groups;
};
JS_LIST_STRUCT(tc_user_profiles, struct tc_user_profile);

extern const struct js_type tc_capmap_type, tc_service_type, tc_location_type, tc_netinfo_type,
	tc_hostinfo_type, tc_resolver_type, tc_resolvers_type, tc_node_type, tc_nodes_type,
	tc_peer_change_type, tc_user_profile_type;

/* The arguments of a capability, or NULL if it is not there. */
const struct tc_cap *tc_cap_find(const struct tc_capmap *m, const char *name);

/* The home relay region, from whichever field says it; 0: none. */
int64_t tc_node_home_derp(const struct tc_node *n);
/* allowed_ips, or addresses where those are not set. */
const struct js_prefixes *tc_node_allowed_ips(const struct tc_node *n);
/* Offers to be an exit node: both default routes are allowed. */
bool tc_node_is_exit(const struct tc_node *n);
