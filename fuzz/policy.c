/*
 * Any text as a policy. What is accepted is put to work on a small tailnet:
 * visibility is symmetric, everything that is asked has an answer, tests run.
 */
#include <assert.h>

#include "coordinator/policy/tests.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint64_t nobody(void *arg, const struct prefix *route)
{
	(void)arg;
	return prefix_is4(route) ? 3 : 0;
}

static void ask_about(struct pol_engine *e, uint64_t id)
{
	AUTO_DONE(buf) struct buf text = { 0 };
	struct pol_primaries primaries = { .of = nobody };
	struct pol_filter filter = { 0 };
	struct pol_ssh ssh = { 0 };
	struct pol_attrs attrs = { 0 };
	struct pol_ids peers = { 0 };
	struct pol_prefixes routes = { 0 };

	pol_filter_of(e, id, &filter);
	pol_filter_json(&filter, &text);
	pol_ssh_of(e, id, &ssh);
	pol_ssh_json(&ssh, "https://x", &text);
	pol_attrs_of(e, id, &attrs);
	pol_peers(e, id, &peers);
	for (size_t i = 0; i < peers.n; i++) {
		assert(peers.v[i] != id && pol_sees(e, id, peers.v[i]) &&
		       pol_sees(e, peers.v[i], id));
		pol_routes_shown(e, id, peers.v[i], &primaries, &routes);
	}
	pol_filter_done(&filter);
	pol_ssh_done(&ssh);
	pol_attrs_done(&attrs);
	vec_done(&peers);
	vec_done(&routes);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const tags[] = { "tag:web", "tag:router" };
	static const struct prefix routes[] = {
		{ { { [10] = 0xff, [11] = 0xff, 10, 20 } }, 16 },
		{ { { [10] = 0xff, [11] = 0xff } }, 0 },
		{ { { 0 } }, 0 },
	};
	static const struct posture_attr attrs[] = { { "node:os", "linux" },
		                                     { "node:osVersion", "6.1" } };
	const struct pol_user users[] = {
		{ .id = 1, .name = "ann", .email = "ann@acme.test", .role = POL_ROLE_OWNER },
		{ .id = 2, .name = "bob", .email = "bob@acme.test" },
	};
	struct pol_node nodes[] = {
		{ .id = 1,
		  .name = "a",
		  .user = 1,
		  .ip4 = ip4(100, 64, 0, 1),
		  .attrs = attrs,
		  .n_attrs = 2 },
		{ .id = 2,
		  .name = "b",
		  .user = 2,
		  .ip4 = ip4(100, 64, 0, 2),
		  .ip6 = { { 0xfd, 0x7a } } },
		{ .id = 3,
		  .name = "c",
		  .ip4 = ip4(100, 64, 0, 3),
		  .tags = tags,
		  .n_tags = 2,
		  .routes = routes,
		  .n_routes = 3,
		  .usable = true },
		{ .id = 4, .name = "d", .user = 1, .ip4 = ip4(100, 64, 0, 4) },
	};
	struct pol_tailnet tailnet = { users, ARRAY_LEN(users), nodes, ARRAY_LEN(nodes) };
	struct policy_issues issues = { 0 };
	struct pol_engine *e = NULL;
	struct pol_change change;

	if (pol_accept(span(data, n), &tailnet, &e, &issues, NULL) == 0) {
		for (uint64_t id = 1; id <= 4; id++)
			ask_about(e, id);
		pol_engine_remove(e, 3, &change);
		nodes[1].user = 1;
		pol_engine_put(e, &nodes[1], &change);
		(void)pol_filter_touched(e, 1, &change);
		ask_about(e, 1);
	} else {
		assert(policy_issues_error(&issues) && policy_issues_error(&issues)->line > 0);
	}
	pol_engine_free(e);
	policy_issues_done(&issues);
	return 0;
}
