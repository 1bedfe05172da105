#include "control/tailcfg_map.h"

#include "base/err.h"
#include "crypto/keyjson.h"

/* clang-format off */
#define IS_MAP_MEMBER(T) _Static_assert(offsetof(struct T, value) == sizeof(struct span), "layout of a map's member")
IS_MAP_MEMBER(tc_derp_region_entry);
IS_MAP_MEMBER(tc_region_score);
IS_MAP_MEMBER(tc_dns_route);
IS_MAP_MEMBER(tc_filter_chunk);
IS_MAP_MEMBER(tc_ssh_user);
IS_MAP_MEMBER(tc_display_entry);
IS_MAP_MEMBER(tc_id_bool);

#define AT(field) offsetof(struct tc_map_request, field)
static const struct js_row map_request_rows[] = {
	{ "Version",                                  &js_t_int,                   AT(version)                        },
	{ "Compress",                                 &js_t_str,                   AT(compress),              JS_OMIT },
	{ "KeepAlive",                                &js_t_bool,                  AT(keep_alive),            JS_OMIT },
	{ "NodeKey",                                  &js_t_node_pub,              AT(node_key)                       },
	{ "DiscoKey",                                 &js_t_disco_pub,             AT(disco_key)                      },
	{ "HardwareAttestationKey",                   &js_t_str,                   AT(attestation_key),       JS_OMIT },
	{ "HardwareAttestationKeySignature",          &js_t_b64,                   AT(attestation_signature), JS_OMIT },
	{ "HardwareAttestationKeySignatureTimestamp", &js_t_time,                  AT(attestation_time),      JS_OMIT },
	{ "Stream",                                   &js_t_bool,                  AT(stream),                JS_OMIT },
	{ "Hostinfo",                                 JS_PTR_T(&tc_hostinfo_type), AT(hostinfo)                       },
	{ "MapSessionHandle",                         &js_t_str,                   AT(session_handle),        JS_OMIT },
	{ "MapSessionSeq",                            &js_t_int,                   AT(session_seq),           JS_OMIT },
	{ "Endpoints",                                &js_t_addrs,                 AT(endpoints),             JS_OMIT },
	{ "EndpointTypes",                            &js_t_ints,                  AT(endpoint_types),        JS_OMIT },
	{ "TKAHead",                                  &js_t_str,                   AT(tka_head),              JS_OMIT },
	{ "ReadOnly",                                 &js_t_bool,                  AT(read_only),             JS_OMIT },
	{ "OmitPeers",                                &js_t_bool,                  AT(omit_peers),            JS_OMIT },
	{ "DebugFlags",                               &js_t_strs,                  AT(debug_flags),           JS_OMIT },
	{ "ConnectionHandleForTest",                  &js_t_str,                   AT(connection_handle),     JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_map_request_type = JS_STRUCT_OF("MapRequest", struct tc_map_request, map_request_rows);

#define AT(field) offsetof(struct tc_derp_node, field)
static const struct js_row derp_node_rows[] = {
	{ "Name",             &js_t_str,  AT(name)                        },
	{ "RegionID",         &js_t_int,  AT(region_id)                   },
	{ "HostName",         &js_t_str,  AT(host_name)                   },
	{ "CertName",         &js_t_str,  AT(cert_name),          JS_OMIT },
	{ "IPv4",             &js_t_str,  AT(ipv4),               JS_OMIT },
	{ "IPv6",             &js_t_str,  AT(ipv6),               JS_OMIT },
	{ "STUNPort",         &js_t_int,  AT(stun_port),          JS_OMIT },
	{ "STUNOnly",         &js_t_bool, AT(stun_only),          JS_OMIT },
	{ "DERPPort",         &js_t_int,  AT(derp_port),          JS_OMIT },
	{ "InsecureForTests", &js_t_bool, AT(insecure_for_tests), JS_OMIT },
	{ "STUNTestIP",       &js_t_str,  AT(stun_test_ip),       JS_OMIT },
	{ "CanPort80",        &js_t_bool, AT(can_port_80),        JS_OMIT },
	{ 0 },
};
#undef AT
static const struct js_type derp_node_type = JS_STRUCT_OF("DERPNode", struct tc_derp_node, derp_node_rows);

#define AT(field) offsetof(struct tc_derp_region, field)
static const struct js_row derp_region_rows[] = {
	{ "RegionID",        &js_t_int,                            AT(region_id)                   },
	{ "RegionCode",      &js_t_str,                            AT(region_code)                 },
	{ "RegionName",      &js_t_str,                            AT(region_name)                 },
	{ "Latitude",        &js_t_double,                         AT(latitude),           JS_OMIT },
	{ "Longitude",       &js_t_double,                         AT(longitude),          JS_OMIT },
	{ "Avoid",           &js_t_bool,                           AT(avoid),              JS_OMIT },
	{ "NoMeasureNoHome", &js_t_bool,                           AT(no_measure_no_home), JS_OMIT },
	{ "Nodes",           JS_LIST_T(JS_PTR_T(&derp_node_type)), AT(nodes)                       },
	{ 0 },
};
#undef AT
const struct js_type tc_derp_region_type = JS_STRUCT_OF("DERPRegion", struct tc_derp_region, derp_region_rows);

static const struct js_row home_params_rows[] = {
	{ "RegionScore", JS_MAP_T(&js_t_double), offsetof(struct tc_derp_home_params, region_score), JS_OMIT_NULL },
	{ 0 },
};
static const struct js_type home_params_type =
	JS_STRUCT_OF("DERPHomeParams", struct tc_derp_home_params, home_params_rows);

#define AT(field) offsetof(struct tc_derp_map, field)
static const struct js_row derp_map_rows[] = {
	{ "HomeParams",         JS_PTR_T(&home_params_type),              AT(home_params),          JS_OMIT },
	{ "Regions",            JS_MAP_T(JS_PTR_T(&tc_derp_region_type)), AT(regions)                       },
	{ "omitDefaultRegions", &js_t_bool,                               AT(omit_default_regions), JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_derp_map_type = JS_STRUCT_OF("DERPMap", struct tc_derp_map, derp_map_rows);

#define AT(field) offsetof(struct tc_dns_record, field)
static const struct js_row dns_record_rows[] = {
	{ "Name",  &js_t_str, AT(name)          },
	{ "Type",  &js_t_str, AT(type), JS_OMIT },
	{ "Value", &js_t_str, AT(value)         },
	{ 0 },
};
#undef AT
static const struct js_type dns_record_type = JS_STRUCT_OF("DNSRecord", struct tc_dns_record, dns_record_rows);

#define AT(field) offsetof(struct tc_dns_config, field)
static const struct js_row dns_config_rows[] = {
	{ "Resolvers",           &tc_resolvers_type,           AT(resolvers),              JS_OMIT },
	{ "Routes",              JS_MAP_T(&tc_resolvers_type), AT(routes),                 JS_OMIT },
	{ "FallbackResolvers",   &tc_resolvers_type,           AT(fallback_resolvers),     JS_OMIT },
	{ "Domains",             &js_t_strs,                   AT(domains),                JS_OMIT },
	{ "Proxied",             &js_t_bool,                   AT(proxied),                JS_OMIT },
	{ "Nameservers",         &js_t_ips,                    AT(nameservers),            JS_OMIT },
	{ "CertDomains",         &js_t_strs,                   AT(cert_domains),           JS_OMIT },
	{ "ExtraRecords",        JS_LIST_T(&dns_record_type),  AT(extra_records),          JS_OMIT },
	{ "ExitNodeFilteredSet", &js_t_strs,                   AT(exit_node_filtered_set), JS_OMIT },
	{ "TempCorpIssue13969",  &js_t_str,                    AT(temp_corp_issue),        JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_dns_config_type = JS_STRUCT_OF("DNSConfig", struct tc_dns_config, dns_config_rows);

static const struct js_row port_range_rows[] = {
	{ "First", &js_t_u16, offsetof(struct tc_port_range, first) },
	{ "Last",  &js_t_u16, offsetof(struct tc_port_range, last)  },
	{ 0 },
};
static const struct js_type port_range_type = JS_STRUCT_OF("PortRange", struct tc_port_range, port_range_rows);

#define AT(field) offsetof(struct tc_net_port_range, field)
static const struct js_row net_port_range_rows[] = {
	{ "IP",    &js_t_str,           AT(ip)            },
	{ "Bits",  JS_PTR_T(&js_t_int), AT(bits), JS_OMIT },
	{ "Ports", &port_range_type,    AT(ports)         },
	{ 0 },
};
#undef AT
static const struct js_type net_port_range_type =
	JS_STRUCT_OF("NetPortRange", struct tc_net_port_range, net_port_range_rows);

#define AT(field) offsetof(struct tc_cap_grant, field)
static const struct js_row cap_grant_rows[] = {
	{ "Dsts",   &js_t_prefixes,  AT(dsts)             },
	{ "Caps",   &js_t_strs,      AT(caps),    JS_OMIT },
	{ "CapMap", &tc_capmap_type, AT(cap_map), JS_OMIT },
	{ 0 },
};
#undef AT
static const struct js_type cap_grant_type = JS_STRUCT_OF("CapGrant", struct tc_cap_grant, cap_grant_rows);

#define AT(field) offsetof(struct tc_filter_rule, field)
static const struct js_row filter_rule_rows[] = {
	{ "SrcIPs",   &js_t_strs,                      AT(src_ips)            },
	{ "SrcBits",  &js_t_ints,                      AT(src_bits),  JS_OMIT },
	{ "DstPorts", JS_LIST_T(&net_port_range_type), AT(dst_ports), JS_OMIT },
	{ "IPProto",  &js_t_ints,                      AT(ip_proto),  JS_OMIT },
	{ "CapGrant", JS_LIST_T(&cap_grant_type),      AT(cap_grant), JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_filter_rule_type = JS_STRUCT_OF("FilterRule", struct tc_filter_rule, filter_rule_rows);
const struct js_type tc_filter_rules_type = { .shape = JS_LIST, .size = sizeof(struct js_list), .of = &tc_filter_rule_type };

#define AT(field) offsetof(struct tc_ssh_principal, field)
static const struct js_row ssh_principal_rows[] = {
	{ "node",      &js_t_str,  AT(node),       JS_OMIT },
	{ "nodeIP",    &js_t_str,  AT(node_ip),    JS_OMIT },
	{ "userLogin", &js_t_str,  AT(user_login), JS_OMIT },
	{ "any",       &js_t_bool, AT(any),        JS_OMIT },
	{ "pubKeys",   &js_t_strs, AT(pub_keys),   JS_OMIT },
	{ 0 },
};
#undef AT
static const struct js_type ssh_principal_type =
	JS_STRUCT_OF("SSHPrincipal", struct tc_ssh_principal, ssh_principal_rows);

#define AT(field) offsetof(struct tc_ssh_failure_action, field)
static const struct js_row ssh_failure_rows[] = {
	{ "RejectSessionWithMessage",    &js_t_str, AT(reject_message),    JS_OMIT },
	{ "TerminateSessionWithMessage", &js_t_str, AT(terminate_message), JS_OMIT },
	{ "NotifyURL",                   &js_t_str, AT(notify_url),        JS_OMIT },
	{ 0 },
};
#undef AT
static const struct js_type ssh_failure_type =
	JS_STRUCT_OF("SSHRecorderFailureAction", struct tc_ssh_failure_action, ssh_failure_rows);

#define AT(field) offsetof(struct tc_ssh_action, field)
static const struct js_row ssh_action_rows[] = {
	{ "message",                   &js_t_str,                   AT(message),                      JS_OMIT },
	{ "reject",                    &js_t_bool,                  AT(reject),                       JS_OMIT },
	{ "accept",                    &js_t_bool,                  AT(accept),                       JS_OMIT },
	{ "sessionDuration",           &js_t_int,                   AT(session_duration),             JS_OMIT },
	{ "allowAgentForwarding",      &js_t_bool,                  AT(allow_agent_forwarding),       JS_OMIT },
	{ "holdAndDelegate",           &js_t_str,                   AT(hold_and_delegate),            JS_OMIT },
	{ "allowLocalPortForwarding",  &js_t_bool,                  AT(allow_local_port_forwarding),  JS_OMIT },
	{ "allowRemotePortForwarding", &js_t_bool,                  AT(allow_remote_port_forwarding), JS_OMIT },
	{ "recorders",                 &js_t_addrs,                 AT(recorders),                    JS_OMIT },
	{ "onRecordingFailure",        JS_PTR_T(&ssh_failure_type), AT(on_recording_failure),         JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_ssh_action_type = JS_STRUCT_OF("SSHAction", struct tc_ssh_action, ssh_action_rows);

#define AT(field) offsetof(struct tc_ssh_rule, field)
static const struct js_row ssh_rule_rows[] = {
	{ "ruleExpires", &js_t_time,                               AT(rule_expires), JS_OMIT },
	{ "principals",  JS_LIST_T(JS_PTR_T(&ssh_principal_type)), AT(principals)            },
	{ "sshUsers",    JS_MAP_T(&js_t_str),                      AT(ssh_users)             },
	{ "action",      JS_PTR_T(&tc_ssh_action_type),            AT(action)                },
	{ "acceptEnv",   &js_t_strs,                               AT(accept_env),   JS_OMIT },
	{ 0 },
};
#undef AT
static const struct js_type ssh_rule_type = JS_STRUCT_OF("SSHRule", struct tc_ssh_rule, ssh_rule_rows);

static const struct js_row ssh_policy_rows[] = {
	{ "rules", JS_LIST_T(JS_PTR_T(&ssh_rule_type)), offsetof(struct tc_ssh_policy, rules) },
	{ 0 },
};
const struct js_type tc_ssh_policy_type = JS_STRUCT_OF("SSHPolicy", struct tc_ssh_policy, ssh_policy_rows);

#define AT(field) offsetof(struct tc_ping_request, field)
static const struct js_row ping_request_rows[] = {
	{ "URL",        &js_t_str,  AT(url)                   },
	{ "URLIsNoise", &js_t_bool, AT(url_is_noise), JS_OMIT },
	{ "Log",        &js_t_bool, AT(log),          JS_OMIT },
	{ "Types",      &js_t_str,  AT(types),        JS_OMIT },
	{ "IP",         &js_t_ip,   AT(ip),           JS_OMIT },
	{ "Payload",    &js_t_b64,  AT(payload),      JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_ping_request_type = JS_STRUCT_OF("PingRequest", struct tc_ping_request, ping_request_rows);

static const struct js_row display_action_rows[] = {
	{ "URL",   &js_t_str, offsetof(struct tc_display_action, url)   },
	{ "Label", &js_t_str, offsetof(struct tc_display_action, label) },
	{ 0 },
};
static const struct js_type display_action_type =
	JS_STRUCT_OF("DisplayMessageAction", struct tc_display_action, display_action_rows);

#define AT(field) offsetof(struct tc_display_message, field)
static const struct js_row display_message_rows[] = {
	{ "Title",               &js_t_str,                      AT(title)                         },
	{ "Text",                &js_t_str,                      AT(text)                          },
	{ "Severity",            &js_t_str,                      AT(severity)                      },
	{ "ImpactsConnectivity", &js_t_bool,                     AT(impacts_connectivity), JS_OMIT },
	{ "PrimaryAction",       JS_PTR_T(&display_action_type), AT(primary_action),       JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_display_message_type =
	JS_STRUCT_OF("DisplayMessage", struct tc_display_message, display_message_rows);

static const struct js_row tka_info_rows[] = {
	{ "Head",     &js_t_str,  offsetof(struct tc_tka_info, head),     JS_OMIT },
	{ "Disabled", &js_t_bool, offsetof(struct tc_tka_info, disabled), JS_OMIT },
	{ 0 },
};
static const struct js_type tka_info_type = JS_STRUCT_OF("TKAInfo", struct tc_tka_info, tka_info_rows);

#define AT(field) offsetof(struct tc_debug, field)
static const struct js_row debug_rows[] = {
	{ "SleepSeconds",   &js_t_double,        AT(sleep_seconds),    JS_OMIT },
	{ "DisableLogTail", &js_t_bool,          AT(disable_log_tail), JS_OMIT },
	{ "Exit",           JS_PTR_T(&js_t_int), AT(exit),             JS_OMIT },
	{ 0 },
};
#undef AT
static const struct js_type debug_type = JS_STRUCT_OF("Debug", struct tc_debug, debug_rows);

#define AT(field) offsetof(struct tc_dial_candidate, field)
static const struct js_row dial_candidate_rows[] = {
	{ "IP",                &js_t_ip,     AT(ip),            JS_OMIT },
	{ "ACEHost",           &js_t_str,    AT(ace_host),      JS_OMIT },
	{ "DialStartDelaySec", &js_t_double, AT(start_delay_s), JS_OMIT },
	{ "DialTimeoutSec",    &js_t_double, AT(timeout_s),     JS_OMIT },
	{ "Priority",          &js_t_int,    AT(priority),      JS_OMIT },
	{ 0 },
};
#undef AT
static const struct js_type dial_candidate_type =
	JS_STRUCT_OF("ControlIPCandidate", struct tc_dial_candidate, dial_candidate_rows);

static const struct js_row dial_plan_rows[] = {
	{ "Candidates", JS_LIST_T(&dial_candidate_type), offsetof(struct tc_dial_plan, candidates) },
	{ 0 },
};
const struct js_type tc_dial_plan_type = JS_STRUCT_OF("ControlDialPlan", struct tc_dial_plan, dial_plan_rows);

#define AT(field) offsetof(struct tc_client_version, field)
static const struct js_row client_version_rows[] = {
	{ "RunningLatest",        &js_t_bool, AT(running_latest),         JS_OMIT },
	{ "LatestVersion",        &js_t_str,  AT(latest_version),         JS_OMIT },
	{ "UrgentSecurityUpdate", &js_t_bool, AT(urgent_security_update), JS_OMIT },
	{ "Notify",               &js_t_bool, AT(notify),                 JS_OMIT },
	{ "NotifyURL",            &js_t_str,  AT(notify_url),             JS_OMIT },
	{ "NotifyText",           &js_t_str,  AT(notify_text),            JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_client_version_type =
	JS_STRUCT_OF("ClientVersion", struct tc_client_version, client_version_rows);

#define AT(field) offsetof(struct tc_map_response, field)
static const struct js_row map_response_rows[] = {
	{ "MapSessionHandle",          &js_t_str,                                    AT(session_handle),          JS_OMIT      },
	{ "Seq",                       &js_t_int,                                    AT(seq),                     JS_OMIT      },
	{ "KeepAlive",                 &js_t_bool,                                   AT(keep_alive),              JS_OMIT      },
	{ "PingRequest",               JS_PTR_T(&tc_ping_request_type),              AT(ping_request),            JS_OMIT      },
	{ "PopBrowserURL",             &js_t_str,                                    AT(pop_browser_url),         JS_OMIT      },
	{ "Node",                      JS_PTR_T(&tc_node_type),                      AT(node),                    JS_OMIT      },
	{ "DERPMap",                   JS_PTR_T(&tc_derp_map_type),                  AT(derp_map),                JS_OMIT      },
	{ "Peers",                     &tc_nodes_type,                               AT(peers),                   JS_OMIT      },
	{ "PeersChanged",              &tc_nodes_type,                               AT(peers_changed),           JS_OMIT      },
	{ "PeersRemoved",              &js_t_ints,                                   AT(peers_removed),           JS_OMIT      },
	{ "PeersChangedPatch",         JS_LIST_T(JS_PTR_T(&tc_peer_change_type)),    AT(peers_changed_patch),     JS_OMIT      },
	{ "PeerSeenChange",            JS_MAP_T(&js_t_bool),                         AT(peer_seen_change),        JS_OMIT      },
	{ "OnlineChange",              JS_MAP_T(&js_t_bool),                         AT(online_change),           JS_OMIT      },
	{ "DNSConfig",                 JS_PTR_T(&tc_dns_config_type),                AT(dns_config),              JS_OMIT      },
	{ "Domain",                    &js_t_str,                                    AT(domain),                  JS_OMIT      },
	{ "CollectServices",           &js_t_obool,                                  AT(collect_services),        JS_OMIT      },
	{ "PacketFilter",              &tc_filter_rules_type,                        AT(packet_filter),           JS_OMIT_NULL },
	{ "PacketFilters",             JS_MAP_T(&tc_filter_rules_type),              AT(packet_filters),          JS_OMIT      },
	{ "UserProfiles",              JS_LIST_T(&tc_user_profile_type),             AT(user_profiles),           JS_OMIT      },
	{ "Health",                    &js_t_strs,                                   AT(health),                  JS_OMIT_NULL },
	{ "DisplayMessages",           JS_MAP_T(JS_PTR_T(&tc_display_message_type)), AT(display_messages),        JS_OMIT      },
	{ "SSHPolicy",                 JS_PTR_T(&tc_ssh_policy_type),                AT(ssh_policy),              JS_OMIT      },
	{ "ControlTime",               &js_t_time,                                   AT(control_time),            JS_OMIT      },
	{ "TKAInfo",                   JS_PTR_T(&tka_info_type),                     AT(tka_info),                JS_OMIT      },
	{ "DomainDataPlaneAuditLogID", &js_t_str,                                    AT(data_plane_audit_log_id), JS_OMIT      },
	{ "Debug",                     JS_PTR_T(&debug_type),                        AT(debug),                   JS_OMIT      },
	{ "ControlDialPlan",           JS_PTR_T(&tc_dial_plan_type),                 AT(dial_plan),               JS_OMIT      },
	{ "ClientVersion",             JS_PTR_T(&tc_client_version_type),            AT(client_version),          JS_OMIT      },
	{ "DefaultAutoUpdate",         &js_t_obool,                                  AT(default_auto_update),     JS_OMIT      },
	{ 0 },
};
#undef AT
const struct js_type tc_map_response_type =
	JS_STRUCT_OF("MapResponse", struct tc_map_response, map_response_rows);
/* clang-format on */

int tc_id_parse(struct span key, int64_t *ret)
{
	uint64_t v;

	if (span_u64(key, INT64_MAX, &v) < 0)
		return ERR_MALFORMED;
	*ret = (int64_t)v;
	return 0;
}
