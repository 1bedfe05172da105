#pragma once
/*
 * Registration and the small calls over Noise. Names and meaning are those of
 * tailscale v1.102.5, tailcfg/tailcfg.go.
 */
#include "control/tailcfg_node.h"

/* GET /key */
struct tc_key_response {
	struct machine_pub legacy_public_key, public_key;
};

struct tc_oauth2_token {
	struct span access_token, token_type, refresh_token;
	wall expiry;
};

struct tc_register_auth {
	struct tc_oauth2_token *oauth2_token; /* old Android clients */
	struct span auth_key;
};

struct tc_register_request {
	int64_t version;
	struct node_pub node_key, old_node_key;
	struct lock_pub nl_key;
	struct tc_register_auth *auth;
	wall expiry;          /* 0: no wish; in the past with the current key: log out */
	struct span followup; /* the AuthURL that is waited for: the server holds the call */
	struct tc_hostinfo *hostinfo;
	bool ephemeral;
	struct span node_key_signature;
	struct span signature_type; /* raw JSON: text, a number from tailscale-rs */
	wall timestamp;
	struct span device_cert, signature;
	struct span tailnet;
};

struct tc_user {
	int64_t id;
	struct span display_name, profile_pic_url;
	wall created;
};

struct tc_login {
	int64_t id;
	struct span provider, login_name, display_name, profile_pic_url;
};

struct tc_register_response {
	struct tc_user user;
	struct tc_login login;
	bool node_key_expired, machine_authorized;
	struct span auth_url;
	struct span node_key_signature;
	struct span error;
};

struct tc_set_dns_request {
	int64_t version;
	struct node_pub node_key;
	struct span name, type, value;
};

struct tc_token_request {
	int64_t cap_version;
	struct node_pub node_key;
	struct span audience;
};

struct tc_token_response {
	struct span id_token;
};

struct tc_query_feature_request {
	struct span feature;
	struct node_pub node_key;
};

struct tc_query_feature_response {
	bool complete;
	struct span text, url;
	bool should_wait;
};

struct tc_web_client_auth {
	struct span id, url;
	bool complete;
};

struct tc_device_attr {
	struct span key, value; /* raw JSON: text, number, bool; null deletes */
};

struct tc_set_device_attrs {
	int64_t version;
	struct node_pub node_key;
	JS_LIST_STRUCT(tc_device_attrs, struct tc_device_attr) update;
};

struct tc_audit_log_request {
	int64_t version;
	struct node_pub node_key;
	struct span action, details;
	wall timestamp;
};

struct tc_health_change {
	struct span subsys, error;
	struct node_pub node_key;
};

struct tc_ping_response {
	struct span type, ip, node_ip, node_name, err;
	double latency_s;
	struct span endpoint, peer_relay;
	int64_t derp_region_id;
	struct span derp_region_code;
	uint16_t peerapi_port;
	bool is_local_ip;
};

struct tc_ssh_attempt {
	struct addr recorder;
	struct span failure_message;
};

struct tc_ssh_event {
	int64_t event_type; /* 1 rejected, 2 terminated, 3 failed open */
	struct span connection_id;
	int64_t cap_version;
	struct node_pub node_key;
	int64_t src_node;
	struct span ssh_user, local_user;
	JS_LIST_STRUCT(tc_ssh_attempts, struct tc_ssh_attempt *) attempts;
};

/* What derper asks about a client: POST /verify. */
struct tc_derp_admit_request {
	struct node_pub node_public;
	struct ip source;
};

struct tc_derp_admit_response {
	bool allow;
};

extern const struct js_type tc_key_response_type, tc_register_request_type,
	tc_register_response_type, tc_set_dns_request_type, tc_token_request_type,
	tc_token_response_type, tc_query_feature_request_type, tc_query_feature_response_type,
	tc_web_client_auth_type, tc_set_device_attrs_type, tc_audit_log_request_type,
	tc_health_change_type, tc_ping_response_type, tc_ssh_event_type, tc_derp_admit_request_type,
	tc_derp_admit_response_type;
