/* What the privileged part reads from the other: plans of the network and of the resolver. */
#include "host/warden_msg.h"

#include "base/err.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena a = { 0 };
	struct router_cfg cfg;
	struct router_plan plan = { 0 };
	struct dns_os os = { 0 };
	struct warden_dns_facts facts = { 0 };
	AUTO_DONE(buf) struct buf out = { 0 };

	if (warden_get_router(span(data, n), &a, &cfg) == 0) {
		router_plan(&cfg, &plan);
		router_plan_print(&out, &plan);
		router_plan_done(&plan);
	}
	arena_done(&a);
	if (warden_get_dns(span(data, n), &os) == 0)
		dns_os_done(&os);
	if (warden_get_dns_facts(span(data, n), &facts) == 0)
		warden_dns_facts_done(&facts);
	return 0;
}
