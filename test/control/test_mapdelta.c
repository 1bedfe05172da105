#include "control/mapdelta.h"

#include <stdlib.h>

#include "base/rand.h"
#include "test/check.h"

static const char base_node[] =
	"{\"ID\":2,\"StableID\":\"n2\",\"Name\":\"b.ts.example.com.\",\"User\":1,"
	"\"Key\":\"nodekey:1111111111111111111111111111111111111111111111111111111111111111\","
	"\"Addresses\":[\"100.64.0.2/"
        "32\"],\"Endpoints\":[\"192.0.2.1:1\"],\"HomeDERP\":1,\"Online\":true,"
	"\"Cap\":120,\"LastSeen\":\"2026-01-01T00:00:00Z\"}";

static struct tc_node node(struct arena *a)
{
	struct tc_node n;

	CHECK_OK(js_decode(a, SPAN_LIT(base_node), &tc_node_type, &n, NULL));
	return n;
}

static struct tc_peer_change change(struct arena *a, const char *json)
{
	struct tc_peer_change c;

	CHECK_OK(js_decode(a, span_str(json), &tc_peer_change_type, &c, NULL));
	return c;
}

static void a_patch_changes_what_it_names_and_says_so(void)
{
	struct arena a = { 0 };
	struct tc_node n = node(&a), before = n;
	struct tc_peer_change c = change(
		&a,
		"{\"NodeID\":2,\"DERPRegion\":9,\"Endpoints\":[],\"Online\":false,\"Cap\":120}");

	CHECK_EQ(tc_node_patch(&n, &c), TC_CHANGED_DERP | TC_CHANGED_ENDPOINTS | TC_CHANGED_ONLINE);
	CHECK_EQ(n.home_derp, 9);
	CHECK_EQ(n.endpoints.n, 0);
	CHECK_EQ(n.online, OBOOL_FALSE);
	CHECK_EQ(tc_node_diff(&before, &n),
	         TC_CHANGED_DERP | TC_CHANGED_ENDPOINTS | TC_CHANGED_ONLINE);
	CHECK_EQ(tc_node_patch(&n, &c), 0);
	arena_done(&a);
}

static void an_old_offline_patch_does_not_bring_an_old_disco_key_back(void)
{
	struct arena a = { 0 };
	struct tc_node n = node(&a);
	struct tc_peer_change c = change(
		&a,
		"{\"NodeID\":2,\"Online\":false,\"LastSeen\":\"2025-12-31T00:00:00Z\",\"DiscoKey\":"
		"\"discokey:2222222222222222222222222222222222222222222222222222222222222222\"}");

	CHECK_EQ(tc_node_patch(&n, &c), 0);
	CHECK(disco_pub_is_zero(&n.disco));
	c.last_seen->us = n.last_seen.us + 1;
	CHECK_EQ(tc_node_patch(&n, &c),
	         TC_CHANGED_DISCO | TC_CHANGED_ONLINE | TC_CHANGED_LAST_SEEN);
	arena_done(&a);
}

static void only_the_whole_node_can_say_some_things(void)
{
	struct arena a = { 0 };
	struct tc_node old = node(&a), new = old;
	struct tc_patch_store store;
	struct tc_peer_change c;

	new.name = SPAN_LIT("c.ts.example.com.");
	CHECK(!tc_node_make_patch(&old, &new, &store, &c));
	new = old;
	new.online = OBOOL_UNSET;
	CHECK(!tc_node_make_patch(&old, &new, &store, &c));
	new = old;
	new.home_derp = 0;
	CHECK(!tc_node_make_patch(&old, &new, &store, &c));
	arena_done(&a);
}

static void alter(struct rand_src *rand, struct tc_node *n, struct addr *addrs)
{
	switch (rand_src_below(rand, 7)) {
	case 0:
		n->home_derp = 1 + (int64_t)rand_src_below(rand, 5);
		break;
	case 1:
		for (size_t i = 0; i < 3; i++)
			addrs[i] = (struct addr){ .ip = ip4(192, 0, 2, (uint8_t)rand_src_u32(rand)),
				                  .port = 7 };
		n->endpoints = (struct js_addrs){ addrs, rand_src_below(rand, 4), true };
		break;
	case 2:
		n->online = obool(rand_src_below(rand, 2));
		break;
	case 3:
		n->last_seen.us += (int64_t)rand_src_below(rand, 1000);
		break;
	case 4:
		n->key.b[0] = (uint8_t)rand_src_u32(rand);
		break;
	case 5:
		n->disco.b[3] = (uint8_t)rand_src_u32(rand);
		break;
	default:
		n->key_expiry.us = (int64_t)rand_src_below(rand, 3);
		break;
	}
}

/* The patch travels as JSON, as it would. */
static void a_patch_made_and_applied_gives_the_new_node(void)
{
	struct rand_src rand;

	rand_seeded(&rand, 7);
	for (unsigned round = 0; round < 3000; round++) {
		struct arena a = { 0 };
		struct addr addrs[3];
		struct tc_node old = node(&a), new = old;
		struct tc_patch_store store;
		struct tc_peer_change c, sent;
		AUTO_DONE(buf) struct buf wire = { 0 };

		for (uint64_t i = rand_src_below(&rand, 6); i > 0; i--)
			alter(&rand, &new, addrs);
		if (tc_node_make_patch(&old, &new, &store, &c)) {
			unsigned want = tc_node_diff(&old, &new);

			js_encode(&wire, &tc_peer_change_type, &c);
			CHECK_OK(js_decode(&a, buf_span(&wire), &tc_peer_change_type, &sent, NULL));
			CHECK_EQ(tc_node_patch(&old, &sent), want);
			CHECK_EQ(tc_node_diff(&old, &new), 0);
		}
		arena_done(&a);
	}
}

static void what_a_partial_relay_map_leaves_out_stays(void)
{
	struct arena a = { 0 };
	struct tc_derp_map old, delta, now;
	struct tc_derp_home_params params;

	CHECK_OK(js_decode(
		&a, SPAN_LIT("{\"Regions\":{\"1\":{\"RegionID\":1}},\"omitDefaultRegions\":true}"),
		&tc_derp_map_type, &old, NULL));
	CHECK_OK(js_decode(
		&a, SPAN_LIT("{\"HomeParams\":{\"RegionScore\":{\"1\":0.5}},\"Regions\":null}"),
		&tc_derp_map_type, &delta, NULL));
	tc_derp_map_merge(&old, &delta, &now, &params);
	CHECK_EQ(now.regions.n, 1);
	CHECK(now.omit_default_regions);
	CHECK_EQ(now.home_params->region_score.n, 1);
	tc_derp_map_merge(NULL, &delta, &now, &params);
	CHECK_EQ(now.regions.n, 0);
	arena_done(&a);
}

int main(void)
{
	RUN(a_patch_changes_what_it_names_and_says_so);
	RUN(an_old_offline_patch_does_not_bring_an_old_disco_key_back);
	RUN(only_the_whole_node_can_say_some_things);
	RUN(a_patch_made_and_applied_gives_the_new_node);
	RUN(what_a_partial_relay_map_leaves_out_stays);
	return check_done();
}
