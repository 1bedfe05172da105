#include "control/tailcfg_rpc.h"

#include "crypto/keyjson.h"

/* clang-format off */
_Static_assert(offsetof(struct tc_device_attr, value) == sizeof(struct span), "layout of a map's member");

static const struct js_row key_response_rows[] = {
	{ "legacyPublicKey", &js_t_machine_pub, offsetof(struct tc_key_response, legacy_public_key) },
	{ "publicKey",       &js_t_machine_pub, offsetof(struct tc_key_response, public_key)        },
	{ 0 },
};
const struct js_type tc_key_response_type =
	JS_STRUCT_OF("OverTLSPublicKeyResponse", struct tc_key_response, key_response_rows);

#define AT(field) offsetof(struct tc_oauth2_token, field)
static const struct js_row oauth2_rows[] = {
	{ "access_token",  &js_t_str,  AT(access_token)           },
	{ "token_type",    &js_t_str,  AT(token_type),    JS_OMIT },
	{ "refresh_token", &js_t_str,  AT(refresh_token), JS_OMIT },
	{ "expiry",        &js_t_time, AT(expiry),        JS_OMIT },
	{ 0 },
};
#undef AT
static const struct js_type oauth2_type = JS_STRUCT_OF("Oauth2Token", struct tc_oauth2_token, oauth2_rows);

#define AT(field) offsetof(struct tc_register_auth, field)
static const struct js_row register_auth_rows[] = {
	{ "Oauth2Token", JS_PTR_T(&oauth2_type), AT(oauth2_token), JS_OMIT },
	{ "AuthKey",     &js_t_str,              AT(auth_key),     JS_OMIT },
	{ 0 },
};
#undef AT
static const struct js_type register_auth_type =
	JS_STRUCT_OF("RegisterResponseAuth", struct tc_register_auth, register_auth_rows);

#define AT(field) offsetof(struct tc_register_request, field)
static const struct js_row register_request_rows[] = {
	{ "Version",          &js_t_int,                     AT(version)                 },
	{ "NodeKey",          &js_t_node_pub,                AT(node_key)                },
	{ "OldNodeKey",       &js_t_node_pub,                AT(old_node_key)            },
	{ "NLKey",            &js_t_lock_pub,                AT(nl_key)                  },
	{ "Auth",             JS_PTR_T(&register_auth_type), AT(auth),           JS_OMIT },
	{ "Expiry",           &js_t_time,                    AT(expiry)                  },
	{ "Followup",         &js_t_str,                     AT(followup)                },
	{ "Hostinfo",         JS_PTR_T(&tc_hostinfo_type),   AT(hostinfo)                },
	{ "Ephemeral",        &js_t_bool,                    AT(ephemeral),      JS_OMIT },
	{ "NodeKeySignature", &js_t_b64,                     AT(node_key_signature)      },
	{ "SignatureType",    &js_t_raw,                     AT(signature_type), JS_OMIT },
	{ "Timestamp",        &js_t_time,                    AT(timestamp),      JS_OMIT },
	{ "DeviceCert",       &js_t_b64,                     AT(device_cert),    JS_OMIT },
	{ "Signature",        &js_t_b64,                     AT(signature),      JS_OMIT },
	{ "Tailnet",          &js_t_str,                     AT(tailnet),        JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_register_request_type =
	JS_STRUCT_OF("RegisterRequest", struct tc_register_request, register_request_rows);

#define AT(field) offsetof(struct tc_user, field)
static const struct js_row user_rows[] = {
	{ "ID",            &js_t_int,  AT(id)                       },
	{ "DisplayName",   &js_t_str,  AT(display_name)             },
	{ "ProfilePicURL", &js_t_str,  AT(profile_pic_url), JS_OMIT },
	{ "Created",       &js_t_time, AT(created),         JS_OMIT },
	{ 0 },
};
#undef AT
static const struct js_type user_type = JS_STRUCT_OF("User", struct tc_user, user_rows);

#define AT(field) offsetof(struct tc_login, field)
static const struct js_row login_rows[] = {
	{ "ID",            &js_t_int, AT(id)                       },
	{ "Provider",      &js_t_str, AT(provider)                 },
	{ "LoginName",     &js_t_str, AT(login_name)               },
	{ "DisplayName",   &js_t_str, AT(display_name)             },
	{ "ProfilePicURL", &js_t_str, AT(profile_pic_url), JS_OMIT },
	{ 0 },
};
#undef AT
static const struct js_type login_type = JS_STRUCT_OF("Login", struct tc_login, login_rows);

#define AT(field) offsetof(struct tc_register_response, field)
static const struct js_row register_response_rows[] = {
	{ "User",              &user_type,  AT(user)               },
	{ "Login",             &login_type, AT(login)              },
	{ "NodeKeyExpired",    &js_t_bool,  AT(node_key_expired)   },
	{ "MachineAuthorized", &js_t_bool,  AT(machine_authorized) },
	{ "AuthURL",           &js_t_str,   AT(auth_url)           },
	{ "NodeKeySignature",  &js_t_b64,   AT(node_key_signature) },
	{ "Error",             &js_t_str,   AT(error)              },
	{ 0 },
};
#undef AT
const struct js_type tc_register_response_type =
	JS_STRUCT_OF("RegisterResponse", struct tc_register_response, register_response_rows);

#define AT(field) offsetof(struct tc_set_dns_request, field)
static const struct js_row set_dns_rows[] = {
	{ "Version", &js_t_int,      AT(version)  },
	{ "NodeKey", &js_t_node_pub, AT(node_key) },
	{ "Name",    &js_t_str,      AT(name)     },
	{ "Type",    &js_t_str,      AT(type)     },
	{ "Value",   &js_t_str,      AT(value)    },
	{ 0 },
};
#undef AT
const struct js_type tc_set_dns_request_type = JS_STRUCT_OF("SetDNSRequest", struct tc_set_dns_request, set_dns_rows);

#define AT(field) offsetof(struct tc_token_request, field)
static const struct js_row token_request_rows[] = {
	{ "CapVersion", &js_t_int,      AT(cap_version) },
	{ "NodeKey",    &js_t_node_pub, AT(node_key)    },
	{ "Audience",   &js_t_str,      AT(audience)    },
	{ 0 },
};
#undef AT
const struct js_type tc_token_request_type = JS_STRUCT_OF("TokenRequest", struct tc_token_request, token_request_rows);

static const struct js_row token_response_rows[] = {
	{ "id_token", &js_t_str, offsetof(struct tc_token_response, id_token) },
	{ 0 },
};
const struct js_type tc_token_response_type =
	JS_STRUCT_OF("TokenResponse", struct tc_token_response, token_response_rows);

static const struct js_row query_feature_request_rows[] = {
	{ "Feature", &js_t_str,      offsetof(struct tc_query_feature_request, feature),  JS_OMIT },
	{ "NodeKey", &js_t_node_pub, offsetof(struct tc_query_feature_request, node_key), JS_OMIT },
	{ 0 },
};
const struct js_type tc_query_feature_request_type =
	JS_STRUCT_OF("QueryFeatureRequest", struct tc_query_feature_request, query_feature_request_rows);

#define AT(field) offsetof(struct tc_query_feature_response, field)
static const struct js_row query_feature_response_rows[] = {
	{ "Complete",   &js_t_bool, AT(complete),    JS_OMIT },
	{ "Text",       &js_t_str,  AT(text),        JS_OMIT },
	{ "URL",        &js_t_str,  AT(url),         JS_OMIT },
	{ "ShouldWait", &js_t_bool, AT(should_wait), JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_query_feature_response_type =
	JS_STRUCT_OF("QueryFeatureResponse", struct tc_query_feature_response, query_feature_response_rows);

#define AT(field) offsetof(struct tc_web_client_auth, field)
static const struct js_row web_client_auth_rows[] = {
	{ "ID",       &js_t_str,  AT(id),       JS_OMIT },
	{ "URL",      &js_t_str,  AT(url),      JS_OMIT },
	{ "Complete", &js_t_bool, AT(complete), JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_web_client_auth_type =
	JS_STRUCT_OF("WebClientAuthResponse", struct tc_web_client_auth, web_client_auth_rows);

#define AT(field) offsetof(struct tc_set_device_attrs, field)
static const struct js_row set_device_attrs_rows[] = {
	{ "Version", &js_t_int,           AT(version)  },
	{ "NodeKey", &js_t_node_pub,      AT(node_key) },
	{ "Update",  JS_MAP_T(&js_t_raw), AT(update)   },
	{ 0 },
};
#undef AT
const struct js_type tc_set_device_attrs_type =
	JS_STRUCT_OF("SetDeviceAttributesRequest", struct tc_set_device_attrs, set_device_attrs_rows);

#define AT(field) offsetof(struct tc_audit_log_request, field)
static const struct js_row audit_log_rows[] = {
	{ "Version",   &js_t_int,      AT(version),   JS_OMIT },
	{ "NodeKey",   &js_t_node_pub, AT(node_key),  JS_OMIT },
	{ "Action",    &js_t_str,      AT(action),    JS_OMIT },
	{ "Details",   &js_t_str,      AT(details),   JS_OMIT },
	{ "Timestamp", &js_t_time,     AT(timestamp), JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_audit_log_request_type =
	JS_STRUCT_OF("AuditLogRequest", struct tc_audit_log_request, audit_log_rows);

static const struct js_row health_change_rows[] = {
	{ "Subsys",  &js_t_str,      offsetof(struct tc_health_change, subsys)   },
	{ "Error",   &js_t_str,      offsetof(struct tc_health_change, error)    },
	{ "NodeKey", &js_t_node_pub, offsetof(struct tc_health_change, node_key) },
	{ 0 },
};
const struct js_type tc_health_change_type =
	JS_STRUCT_OF("HealthChangeRequest", struct tc_health_change, health_change_rows);

#define AT(field) offsetof(struct tc_ping_response, field)
static const struct js_row ping_response_rows[] = {
	{ "Type",           &js_t_str,    AT(type)                      },
	{ "IP",             &js_t_str,    AT(ip),               JS_OMIT },
	{ "NodeIP",         &js_t_str,    AT(node_ip),          JS_OMIT },
	{ "NodeName",       &js_t_str,    AT(node_name),        JS_OMIT },
	{ "Err",            &js_t_str,    AT(err),              JS_OMIT },
	{ "LatencySeconds", &js_t_double, AT(latency_s),        JS_OMIT },
	{ "Endpoint",       &js_t_str,    AT(endpoint),         JS_OMIT },
	{ "PeerRelay",      &js_t_str,    AT(peer_relay),       JS_OMIT },
	{ "DERPRegionID",   &js_t_int,    AT(derp_region_id),   JS_OMIT },
	{ "DERPRegionCode", &js_t_str,    AT(derp_region_code), JS_OMIT },
	{ "PeerAPIPort",    &js_t_u16,    AT(peerapi_port),     JS_OMIT },
	{ "IsLocalIP",      &js_t_bool,   AT(is_local_ip),      JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_ping_response_type = JS_STRUCT_OF("PingResponse", struct tc_ping_response, ping_response_rows);

static const struct js_row ssh_attempt_rows[] = {
	{ "Recorder",       &js_t_addr, offsetof(struct tc_ssh_attempt, recorder)        },
	{ "FailureMessage", &js_t_str,  offsetof(struct tc_ssh_attempt, failure_message) },
	{ 0 },
};
static const struct js_type ssh_attempt_type =
	JS_STRUCT_OF("SSHRecordingAttempt", struct tc_ssh_attempt, ssh_attempt_rows);

#define AT(field) offsetof(struct tc_ssh_event, field)
static const struct js_row ssh_event_rows[] = {
	{ "EventType",         &js_t_int,                              AT(event_type)    },
	{ "ConnectionID",      &js_t_str,                              AT(connection_id) },
	{ "CapVersion",        &js_t_int,                              AT(cap_version)   },
	{ "NodeKey",           &js_t_node_pub,                         AT(node_key)      },
	{ "SrcNode",           &js_t_int,                              AT(src_node)      },
	{ "SSHUser",           &js_t_str,                              AT(ssh_user)      },
	{ "LocalUser",         &js_t_str,                              AT(local_user)    },
	{ "RecordingAttempts", JS_LIST_T(JS_PTR_T(&ssh_attempt_type)), AT(attempts)      },
	{ 0 },
};
#undef AT
const struct js_type tc_ssh_event_type = JS_STRUCT_OF("SSHEventNotifyRequest", struct tc_ssh_event, ssh_event_rows);

static const struct js_row admit_request_rows[] = {
	{ "NodePublic", &js_t_node_pub, offsetof(struct tc_derp_admit_request, node_public) },
	{ "Source",     &js_t_ip,       offsetof(struct tc_derp_admit_request, source)      },
	{ 0 },
};
const struct js_type tc_derp_admit_request_type =
	JS_STRUCT_OF("DERPAdmitClientRequest", struct tc_derp_admit_request, admit_request_rows);

static const struct js_row admit_response_rows[] = {
	{ "Allow", &js_t_bool, offsetof(struct tc_derp_admit_response, allow) },
	{ 0 },
};
const struct js_type tc_derp_admit_response_type =
	JS_STRUCT_OF("DERPAdmitClientResponse", struct tc_derp_admit_response, admit_response_rows);
/* clang-format on */
