#include "control/tailcfg.h"

static const struct js_type *const types[] = {
	&tc_map_request_type,           &tc_map_response_type,
	&tc_register_request_type,      &tc_register_response_type,
	&tc_key_response_type,          &tc_set_dns_request_type,
	&tc_token_request_type,         &tc_token_response_type,
	&tc_query_feature_request_type, &tc_query_feature_response_type,
	&tc_web_client_auth_type,       &tc_set_device_attrs_type,
	&tc_audit_log_request_type,     &tc_health_change_type,
	&tc_ping_response_type,         &tc_ssh_event_type,
	&tc_derp_admit_request_type,    &tc_derp_admit_response_type,
};

const struct js_type *tc_type_named(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(types); i++)
		if (span_is(name, types[i]->name))
			return types[i];
	return NULL;
}
