#pragma once
/*
 * The map: what a node asks for and what the server streams to it. Names and
 * meaning are those of tailscale v1.102.5, tailcfg/tailcfg.go and derpmap.go.
 *
 * In tc_map_response a field that is absent or null means "unchanged"; `set`
 * tells an empty list, which means "now none", from that.
 */
#include "control/tailcfg_node.h"

/* ---- request ---- */

enum tc_endpoint_type {
	TC_ENDPOINT_UNKNOWN,
	TC_ENDPOINT_LOCAL,
	TC_ENDPOINT_STUN,
	TC_ENDPOINT_PORTMAPPED,
	TC_ENDPOINT_STUN4_LOCAL_PORT,
	TC_ENDPOINT_EXPLICIT,
};

struct tc_map_request {
	int64_t version;
	struct span compress; /* "zstd" or empty */
	bool keep_alive;
	struct node_pub node_key;
	struct disco_pub disco_key;
	struct span attestation_key, attestation_signature;
	wall attestation_time;
	bool stream;
	struct tc_hostinfo *hostinfo;
	struct span session_handle;
	int64_t session_seq;
	struct js_addrs endpoints;
	struct js_ints endpoint_types; /* enum tc_endpoint_type, one for each endpoint */
	struct span tka_head;
	bool read_only, omit_peers;
	struct js_strs debug_flags;
	struct span connection_handle;
};

/* ---- relays ---- */

struct tc_derp_node {
	struct span name;
	int64_t region_id;
	struct span host_name, cert_name;
	struct span ipv4, ipv6; /* an address to dial; any other text: not this family */
	int64_t stun_port;      /* 0: 3478, -1: none */
	bool stun_only;
	int64_t derp_port; /* 0: 443 */
	bool insecure_for_tests;
	struct span stun_test_ip;
	bool can_port_80;
};

struct tc_derp_region {
	int64_t region_id;
	struct span region_code, region_name;
	double latitude, longitude;
	bool avoid, no_measure_no_home;
	JS_LIST_OF(struct tc_derp_node *) nodes;
};

struct tc_derp_region_entry {
	struct span key;
	struct tc_derp_region *value;
};
struct tc_region_score {
	struct span key;
	double value;
};
struct tc_derp_home_params {
	JS_LIST_STRUCT(tc_region_scores, struct tc_region_score) region_score;
};

struct tc_derp_map {
	struct tc_derp_home_params *home_params;
	JS_LIST_STRUCT(tc_derp_regions, struct tc_derp_region_entry) regions;
	bool omit_default_regions;
};

/* ---- names ---- */

struct tc_dns_record {
	struct span name, type, value;
};

struct tc_dns_route {
	struct span key; /* suffix */
	struct tc_resolvers value;
};

struct tc_dns_config {
	struct tc_resolvers resolvers;
	JS_LIST_STRUCT(tc_dns_routes, struct tc_dns_route) routes;
	struct tc_resolvers fallback_resolvers;
	struct js_strs domains;
	bool proxied;
	struct js_ips nameservers;
	struct js_strs cert_domains;
	JS_LIST_STRUCT(tc_dns_records, struct tc_dns_record) extra_records;
	struct js_strs exit_node_filtered_set;
	struct span temp_corp_issue; /* "TempCorpIssue13969", never acted on */
};

/* ---- packet filter ---- */

struct tc_port_range {
	uint16_t first, last;
};

struct tc_net_port_range {
	struct span ip; /* "*", an address, a prefix, a range "a-b" */
	int64_t *bits;  /* a relic; its presence voids the filter */
	struct tc_port_range ports;
};

struct tc_cap_grant {
	struct js_prefixes dsts;
	struct js_strs caps;
	struct tc_capmap cap_map;
};

struct tc_filter_rule {
	struct js_strs src_ips; /* as tc_net_port_range.ip; also "cap:<name>" */
	struct js_ints src_bits;
	JS_LIST_STRUCT(tc_net_port_ranges, struct tc_net_port_range) dst_ports;
	struct js_ints ip_proto; /* none: TCP, UDP, ICMP, ICMPv6 */
	JS_LIST_STRUCT(tc_cap_grants, struct tc_cap_grant) cap_grant;
};
JS_LIST_STRUCT(tc_filter_rules, struct tc_filter_rule);

struct tc_filter_chunk {
	struct span key;
	struct tc_filter_rules value; /* not set: the chunk is deleted */
};
JS_LIST_STRUCT(tc_filter_chunks, struct tc_filter_chunk);

/* ---- SSH ---- */

struct tc_ssh_principal {
	struct span node, node_ip, user_login;
	bool any;
	struct js_strs pub_keys; /* never looked at */
};

struct tc_ssh_failure_action {
	struct span reject_message, terminate_message, notify_url;
};

struct tc_ssh_action {
	struct span message;
	bool reject, accept;
	int64_t session_duration; /* nanoseconds; 0: no end */
	bool allow_agent_forwarding;
	struct span hold_and_delegate;
	bool allow_local_port_forwarding, allow_remote_port_forwarding;
	struct js_addrs recorders;
	struct tc_ssh_failure_action *on_recording_failure;
};

struct tc_ssh_user {
	struct span key, value;
};

struct tc_ssh_rule {
	wall rule_expires;
	JS_LIST_STRUCT(tc_ssh_principals, struct tc_ssh_principal *) principals;
	JS_LIST_STRUCT(tc_ssh_users, struct tc_ssh_user) ssh_users;
	struct tc_ssh_action *action;
	struct js_strs accept_env;
};

struct tc_ssh_policy {
	JS_LIST_STRUCT(tc_ssh_rules, struct tc_ssh_rule *) rules;
};

/* ---- smaller things a map carries ---- */

struct tc_ping_request {
	struct span url;
	bool url_is_noise, log;
	struct span types;
	struct ip ip;
	struct span payload;
};

struct tc_display_action {
	struct span url, label;
};

struct tc_display_message {
	struct span title, text, severity; /* "high", "medium", "low" */
	bool impacts_connectivity;
	struct tc_display_action *primary_action;
};

struct tc_display_entry {
	struct span key;
	struct tc_display_message *value; /* NULL: deleted */
};

struct tc_tka_info {
	struct span head;
	bool disabled;
};

struct tc_debug {
	double sleep_seconds;
	bool disable_log_tail;
	int64_t *exit;
};

struct tc_dial_candidate {
	struct ip ip;
	struct span ace_host;
	double start_delay_s, timeout_s;
	int64_t priority;
};

struct tc_dial_plan {
	JS_LIST_STRUCT(tc_dial_candidates, struct tc_dial_candidate) candidates;
};

struct tc_client_version {
	bool running_latest;
	struct span latest_version;
	bool urgent_security_update, notify;
	struct span notify_url, notify_text;
};

struct tc_id_bool {
	struct span key; /* decimal node id */
	bool value;
};
JS_LIST_STRUCT(tc_id_bools, struct tc_id_bool);

/* ---- response ---- */

struct tc_map_response {
	struct span session_handle;
	int64_t seq;
	bool keep_alive;
	struct tc_ping_request *ping_request;
	struct span pop_browser_url;
	struct tc_node *node;
	struct tc_derp_map *derp_map;
	struct tc_nodes peers; /* some: the complete list. None says nothing */
	struct tc_nodes peers_changed;
	struct js_ints peers_removed;
	struct tc_peer_changes peers_changed_patch;
	struct tc_id_bools peer_seen_change, online_change;
	struct tc_dns_config *dns_config;
	struct span domain;
	enum js_obool collect_services;
	struct tc_filter_rules packet_filter;
	struct tc_filter_chunks packet_filters;
	struct tc_user_profiles user_profiles;
	struct js_strs health;
	JS_LIST_STRUCT(tc_display_messages, struct tc_display_entry) display_messages;
	struct tc_ssh_policy *ssh_policy;
	wall control_time;
	struct tc_tka_info *tka_info;
	struct span data_plane_audit_log_id;
	struct tc_debug *debug;
	struct tc_dial_plan *dial_plan;
	struct tc_client_version *client_version;
	enum js_obool default_auto_update;
};

extern const struct js_type tc_map_request_type, tc_map_response_type, tc_derp_map_type,
	tc_derp_region_type, tc_dns_config_type, tc_filter_rule_type, tc_filter_rules_type,
	tc_ssh_policy_type, tc_ssh_action_type, tc_ping_request_type, tc_dial_plan_type,
	tc_client_version_type, tc_display_message_type;

/* A decimal node id as the key of a map. ERR_MALFORMED */
NODISCARD int tc_id_parse(struct span key, int64_t *ret);
