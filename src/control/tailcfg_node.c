#include "control/tailcfg_node.h"

#include "crypto/keyjson.h"

/* A map's members are laid out as JS_MAP_OF does it: the key, then the value. */
_Static_assert(offsetof(struct tc_cap, value) == sizeof(struct span), "layout of a map's member");
_Static_assert(offsetof(struct tc_latency, value) == sizeof(struct span),
               "layout of a map's member");

/* clang-format off */
static const struct js_type raws_type = { .shape = JS_LIST, .size = sizeof(struct js_list), .of = &js_t_raw };
const struct js_type tc_capmap_type = { .shape = JS_MAP, .size = sizeof(struct js_list), .of = &raws_type };

#define AT(field) offsetof(struct tc_service, field)
static const struct js_row service_rows[] = {
	{ "Proto",       &js_t_str, AT(proto)                },
	{ "Port",        &js_t_u16, AT(port)                 },
	{ "Description", &js_t_str, AT(description), JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_service_type = JS_STRUCT_OF("Service", struct tc_service, service_rows);

#define AT(field) offsetof(struct tc_location, field)
static const struct js_row location_rows[] = {
	{ "Country",     &js_t_str,    AT(country),      JS_OMIT },
	{ "CountryCode", &js_t_str,    AT(country_code), JS_OMIT },
	{ "City",        &js_t_str,    AT(city),         JS_OMIT },
	{ "CityCode",    &js_t_str,    AT(city_code),    JS_OMIT },
	{ "Latitude",    &js_t_double, AT(latitude),     JS_OMIT },
	{ "Longitude",   &js_t_double, AT(longitude),    JS_OMIT },
	{ "Priority",    &js_t_int,    AT(priority),     JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_location_type = JS_STRUCT_OF("Location", struct tc_location, location_rows);

#define AT(field) offsetof(struct tc_tpm, field)
static const struct js_row tpm_rows[] = {
	{ "Manufacturer",    &js_t_str,  AT(manufacturer),     JS_OMIT },
	{ "Vendor",          &js_t_str,  AT(vendor),           JS_OMIT },
	{ "Model",           &js_t_int,  AT(model),            JS_OMIT },
	{ "FirmwareVersion", &js_t_uint, AT(firmware_version), JS_OMIT },
	{ "SpecRevision",    &js_t_int,  AT(spec_revision),    JS_OMIT },
	{ "FamilyIndicator", &js_t_str,  AT(family_indicator), JS_OMIT },
	{ 0 },
};
#undef AT
static const struct js_type tpm_type = JS_STRUCT_OF("TPMInfo", struct tc_tpm, tpm_rows);

#define AT(field) offsetof(struct tc_netinfo, field)
static const struct js_row netinfo_rows[] = {
	{ "MappingVariesByDestIP", &js_t_obool,            AT(mapping_varies), JS_OMIT },
	{ "WorkingIPv6",           &js_t_obool,            AT(working_ipv6),   JS_OMIT },
	{ "OSHasIPv6",             &js_t_obool,            AT(os_has_ipv6),    JS_OMIT },
	{ "WorkingUDP",            &js_t_obool,            AT(working_udp),    JS_OMIT },
	{ "WorkingICMPv4",         &js_t_obool,            AT(working_icmpv4), JS_OMIT },
	{ "HavePortMap",           &js_t_bool,             AT(have_port_map),  JS_OMIT },
	{ "UPnP",                  &js_t_obool,            AT(upnp),           JS_OMIT },
	{ "PMP",                   &js_t_obool,            AT(pmp),            JS_OMIT },
	{ "PCP",                   &js_t_obool,            AT(pcp),            JS_OMIT },
	{ "PreferredDERP",         &js_t_int,              AT(preferred_derp), JS_OMIT },
	{ "LinkType",              &js_t_str,              AT(link_type),      JS_OMIT },
	{ "DERPLatency",           JS_MAP_T(&js_t_double), AT(derp_latency),   JS_OMIT },
	{ "FirewallMode",          &js_t_str,              AT(firewall_mode),  JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_netinfo_type = JS_STRUCT_OF("NetInfo", struct tc_netinfo, netinfo_rows);

#define AT(field) offsetof(struct tc_hostinfo, field)
static const struct js_row hostinfo_rows[] = {
	{ "IPNVersion",      &js_t_str,                   AT(ipn_version),        JS_OMIT },
	{ "FrontendLogID",   &js_t_str,                   AT(frontend_log_id),    JS_OMIT },
	{ "BackendLogID",    &js_t_str,                   AT(backend_log_id),     JS_OMIT },
	{ "OS",              &js_t_str,                   AT(os),                 JS_OMIT },
	{ "OSVersion",       &js_t_str,                   AT(os_version),         JS_OMIT },
	{ "Container",       &js_t_obool,                 AT(container),          JS_OMIT },
	{ "Env",             &js_t_str,                   AT(env),                JS_OMIT },
	{ "Distro",          &js_t_str,                   AT(distro),             JS_OMIT },
	{ "DistroVersion",   &js_t_str,                   AT(distro_version),     JS_OMIT },
	{ "DistroCodeName",  &js_t_str,                   AT(distro_code_name),   JS_OMIT },
	{ "App",             &js_t_str,                   AT(app),                JS_OMIT },
	{ "Desktop",         &js_t_obool,                 AT(desktop),            JS_OMIT },
	{ "Package",         &js_t_str,                   AT(package),            JS_OMIT },
	{ "DeviceModel",     &js_t_str,                   AT(device_model),       JS_OMIT },
	{ "PushDeviceToken", &js_t_str,                   AT(push_device_token),  JS_OMIT },
	{ "Hostname",        &js_t_str,                   AT(hostname),           JS_OMIT },
	{ "ShieldsUp",       &js_t_bool,                  AT(shields_up),         JS_OMIT },
	{ "ShareeNode",      &js_t_bool,                  AT(sharee_node),        JS_OMIT },
	{ "NoLogsNoSupport", &js_t_bool,                  AT(no_logs_no_support), JS_OMIT },
	{ "RemoteConfig",    &js_t_bool,                  AT(remote_config),      JS_OMIT },
	{ "WireIngress",     &js_t_bool,                  AT(wire_ingress),       JS_OMIT },
	{ "IngressEnabled",  &js_t_bool,                  AT(ingress_enabled),    JS_OMIT },
	{ "AllowsUpdate",    &js_t_bool,                  AT(allows_update),      JS_OMIT },
	{ "Machine",         &js_t_str,                   AT(machine),            JS_OMIT },
	{ "GoArch",          &js_t_str,                   AT(go_arch),            JS_OMIT },
	{ "GoArchVar",       &js_t_str,                   AT(go_arch_var),        JS_OMIT },
	{ "GoVersion",       &js_t_str,                   AT(go_version),         JS_OMIT },
	{ "RoutableIPs",     &js_t_prefixes,              AT(routable_ips),       JS_OMIT },
	{ "RequestTags",     &js_t_strs,                  AT(request_tags),       JS_OMIT },
	{ "WoLMACs",         &js_t_strs,                  AT(wol_macs),           JS_OMIT },
	{ "Services",        JS_LIST_T(&tc_service_type), AT(services),           JS_OMIT },
	{ "NetInfo",         JS_PTR_T(&tc_netinfo_type),  AT(netinfo),            JS_OMIT },
	{ "sshHostKeys",     &js_t_strs,                  AT(ssh_host_keys),      JS_OMIT },
	{ "Cloud",           &js_t_str,                   AT(cloud),              JS_OMIT },
	{ "Userspace",       &js_t_obool,                 AT(userspace),          JS_OMIT },
	{ "UserspaceRouter", &js_t_obool,                 AT(userspace_router),   JS_OMIT },
	{ "AppConnector",    &js_t_obool,                 AT(app_connector),      JS_OMIT },
	{ "ServicesHash",    &js_t_str,                   AT(services_hash),      JS_OMIT },
	{ "PeerRelay",       &js_t_bool,                  AT(peer_relay),         JS_OMIT },
	{ "ExitNodeID",      &js_t_str,                   AT(exit_node_id),       JS_OMIT },
	{ "Location",        JS_PTR_T(&tc_location_type), AT(location),           JS_OMIT },
	{ "TPM",             JS_PTR_T(&tpm_type),         AT(tpm),                JS_OMIT },
	{ "StateEncrypted",  &js_t_obool,                 AT(state_encrypted),    JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_hostinfo_type = JS_STRUCT_OF("Hostinfo", struct tc_hostinfo, hostinfo_rows);

#define AT(field) offsetof(struct tc_resolver, field)
static const struct js_row resolver_rows[] = {
	{ "Addr",                &js_t_str,  AT(addr),               JS_OMIT },
	{ "BootstrapResolution", &js_t_ips,  AT(bootstrap),          JS_OMIT },
	{ "UseWithExitNode",     &js_t_bool, AT(use_with_exit_node), JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_resolver_type = JS_STRUCT_OF("Resolver", struct tc_resolver, resolver_rows);
static const struct js_type resolver_ptr = { .shape = JS_PTR, .size = sizeof(void *), .of = &tc_resolver_type };
const struct js_type tc_resolvers_type = { .shape = JS_LIST, .size = sizeof(struct js_list), .of = &resolver_ptr };

#define AT(field) offsetof(struct tc_node, field)
static const struct js_row node_rows[] = {
	{ "ID",                            &js_t_int,                   AT(id)                                    },
	{ "StableID",                      &js_t_str,                   AT(stable_id)                             },
	{ "Name",                          &js_t_str,                   AT(name)                                  },
	{ "User",                          &js_t_int,                   AT(user)                                  },
	{ "Sharer",                        &js_t_int,                   AT(sharer),                  JS_OMIT      },
	{ "Key",                           &js_t_node_pub,              AT(key)                                   },
	{ "KeyExpiry",                     &js_t_time,                  AT(key_expiry),              JS_OMIT      },
	{ "KeySignature",                  &js_t_b64,                   AT(key_signature),           JS_OMIT      },
	{ "Machine",                       &js_t_machine_pub,           AT(machine),                 JS_OMIT      },
	{ "DiscoKey",                      &js_t_disco_pub,             AT(disco),                   JS_OMIT      },
	{ "Addresses",                     &js_t_prefixes,              AT(addresses)                             },
	{ "AllowedIPs",                    &js_t_prefixes,              AT(allowed_ips),             JS_OMIT_NULL },
	{ "Endpoints",                     &js_t_addrs,                 AT(endpoints),               JS_OMIT      },
	{ "DERP",                          &js_t_str,                   AT(derp),                    JS_OMIT      },
	{ "HomeDERP",                      &js_t_int,                   AT(home_derp),               JS_OMIT      },
	{ "Hostinfo",                      JS_PTR_T(&tc_hostinfo_type), AT(hostinfo),                JS_OMIT      },
	{ "Created",                       &js_t_time,                  AT(created),                 JS_OMIT      },
	{ "Cap",                           &js_t_int,                   AT(cap),                     JS_OMIT      },
	{ "Tags",                          &js_t_strs,                  AT(tags),                    JS_OMIT      },
	{ "PrimaryRoutes",                 &js_t_prefixes,              AT(primary_routes),          JS_OMIT      },
	{ "LastSeen",                      &js_t_time,                  AT(last_seen),               JS_OMIT      },
	{ "Online",                        &js_t_obool,                 AT(online),                  JS_OMIT      },
	{ "MachineAuthorized",             &js_t_bool,                  AT(machine_authorized),      JS_OMIT      },
	{ "Capabilities",                  &js_t_strs,                  AT(capabilities),            JS_OMIT      },
	{ "CapMap",                        &tc_capmap_type,             AT(cap_map),                 JS_OMIT      },
	{ "UnsignedPeerAPIOnly",           &js_t_bool,                  AT(unsigned_peerapi_only),   JS_OMIT      },
	{ "ComputedName",                  &js_t_str,                   AT(computed_name),           JS_OMIT      },
	{ "ComputedNameWithHost",          &js_t_str,                   AT(computed_name_with_host), JS_OMIT      },
	{ "DataPlaneAuditLogID",           &js_t_str,                   AT(data_plane_audit_log_id), JS_OMIT      },
	{ "Expired",                       &js_t_bool,                  AT(expired),                 JS_OMIT      },
	{ "SelfNodeV4MasqAddrForThisPeer", &js_t_ip,                    AT(masq4),                   JS_OMIT      },
	{ "SelfNodeV6MasqAddrForThisPeer", &js_t_ip,                    AT(masq6),                   JS_OMIT      },
	{ "IsWireGuardOnly",               &js_t_bool,                  AT(wireguard_only),          JS_OMIT      },
	{ "IsJailed",                      &js_t_bool,                  AT(jailed),                  JS_OMIT      },
	{ "ExitNodeDNSResolvers",          &tc_resolvers_type,          AT(exit_resolvers),          JS_OMIT      },
	{ 0 },
};
#undef AT
const struct js_type tc_node_type = JS_STRUCT_OF("Node", struct tc_node, node_rows);
static const struct js_type node_ptr = { .shape = JS_PTR, .size = sizeof(void *), .of = &tc_node_type };
const struct js_type tc_nodes_type = { .shape = JS_LIST, .size = sizeof(struct js_list), .of = &node_ptr };

#define AT(field) offsetof(struct tc_peer_change, field)
static const struct js_row peer_change_rows[] = {
	{ "NodeID",       &js_t_int,                 AT(node_id)                    },
	{ "DERPRegion",   &js_t_int,                 AT(derp_region),  JS_OMIT      },
	{ "Cap",          &js_t_int,                 AT(cap),          JS_OMIT      },
	{ "CapMap",       &tc_capmap_type,           AT(cap_map),      JS_OMIT_NULL },
	{ "Endpoints",    &js_t_addrs,               AT(endpoints),    JS_OMIT_NULL },
	{ "Key",          JS_PTR_T(&js_t_node_pub),  AT(key),          JS_OMIT      },
	{ "KeySignature", &js_t_b64,                 AT(key_signature), JS_OMIT     },
	{ "DiscoKey",     JS_PTR_T(&js_t_disco_pub), AT(disco),        JS_OMIT      },
	{ "Online",       &js_t_obool,               AT(online),       JS_OMIT      },
	{ "LastSeen",     JS_PTR_T(&js_t_time),      AT(last_seen),    JS_OMIT      },
	{ "KeyExpiry",    JS_PTR_T(&js_t_time),      AT(key_expiry),   JS_OMIT      },
	{ 0 },
};
#undef AT
const struct js_type tc_peer_change_type =
	JS_STRUCT_OF("PeerChange", struct tc_peer_change, peer_change_rows);

#define AT(field) offsetof(struct tc_user_profile, field)
static const struct js_row user_profile_rows[] = {
	{ "ID",            &js_t_int,  AT(id)                       },
	{ "LoginName",     &js_t_str,  AT(login_name)               },
	{ "DisplayName",   &js_t_str,  AT(display_name)             },
	{ "ProfilePicURL", &js_t_str,  AT(profile_pic_url), JS_OMIT },
	{ "Groups",        &js_t_strs, AT(groups),          JS_OMIT },
	{ 0 },
};
#undef AT
const struct js_type tc_user_profile_type =
	JS_STRUCT_OF("UserProfile", struct tc_user_profile, user_profile_rows);
/* clang-format on */

const struct tc_cap *tc_cap_find(const struct tc_capmap *m, const char *name)
{
	for (size_t i = 0; i < m->n; i++)
		if (span_is(m->v[i].key, name))
			return &m->v[i];
	return NULL;
}

int64_t tc_node_home_derp(const struct tc_node *n)
{
	static const char marker[] = "127.3.3.40:";
	uint64_t region;

	if (n->home_derp > 0)
		return n->home_derp;
	if (!span_starts(n->derp, marker) ||
	    span_u64(span_from(n->derp, sizeof(marker) - 1), INT32_MAX, &region) < 0)
		return 0;
	return (int64_t)region;
}

const struct js_prefixes *tc_node_allowed_ips(const struct tc_node *n)
{
	return n->allowed_ips.set ? &n->allowed_ips : &n->addresses;
}

bool tc_node_is_exit(const struct tc_node *n)
{
	const struct js_prefixes *p = tc_node_allowed_ips(n);
	bool four = false, six = false;

	for (size_t i = 0; i < p->n; i++) {
		four |= prefix_is_default(&p->v[i]) && prefix_is4(&p->v[i]);
		six |= prefix_is_default(&p->v[i]) && !prefix_is4(&p->v[i]);
	}
	return four && six;
}
