#include "node/exits.h"

#include "base/err.h"
#include "test/check.h"

enum { NODES = 4 };

static struct netmap map;
static struct tc_node nodes[NODES];
static struct tc_hostinfo infos[NODES];
static struct tc_location places[NODES];
static struct netmap_peer peers[NODES];
static struct tc_derp_map derp;
static struct tc_derp_region home_region = { .region_id = 1, .latitude = 52.5, .longitude = 13.4 };
static struct tc_derp_region_entry regions[] = { { .value = &home_region } };
static double latencies[8];

static double latency(void *ctx, int64_t region)
{
	(void)ctx;
	return region > 0 && region < 8 ? latencies[region] : -1;
}

static struct prefix pfx(const char *text)
{
	struct prefix p = { 0 };

	CHECK_OK(prefix_parse(span_str(text), &p));
	return p;
}

/* The peers in it are not its own. */
static void tear_down(void)
{
	map_done(&map.peers_by_id);
	map_done(&map.peers_by_key);
	map_done(&map.peers_by_ip);
	map_done(&map.peers_by_stable);
	map_done(&map.users);
	map = (struct netmap){ 0 };
}

/* Four that may be suggested, each behind a relay of its number. */
static void set_up(void)
{
	static struct tc_cap cap = { .key = { (const uint8_t *)"suggest-exit-node", 17 } };
	static struct prefix all[2], own[NODES];
	static const char *const ids[] = { "n0", "n1", "n2", "n3" };

	tear_down();
	netmap_init(&map);
	derp.regions.v = regions;
	derp.regions.n = 1;
	map.derp_map = &derp;
	all[0] = pfx("0.0.0.0/0");
	all[1] = pfx("::/0");
	for (int i = 0; i < NODES; i++) {
		int64_t id = i + 1;

		own[i] = pfx("100.64.0.1");
		own[i].ip.b[15] = (uint8_t)id;
		infos[i] = (struct tc_hostinfo){ 0 };
		nodes[i] = (struct tc_node){ .id = id,
			                     .stable_id = span_str(ids[i]),
			                     .home_derp = id,
			                     .online = OBOOL_TRUE,
			                     .hostinfo = &infos[i] };
		nodes[i].cap_map.v = &cap;
		nodes[i].cap_map.n = 1;
		nodes[i].allowed_ips.v = all;
		nodes[i].allowed_ips.n = 2;
		nodes[i].allowed_ips.set = true;
		nodes[i].addresses.v = &own[i];
		nodes[i].addresses.n = 1;
		peers[i] = (struct netmap_peer){ .node = &nodes[i] };
		map_insert(&map.peers_by_id, &peers[i].by_id,
		           map_hash(&map.peers_by_id, &id, sizeof(id)));
		latencies[id] = 0.010 * (double)(NODES - i); /* the last is the nearest */
	}
}

static const struct tc_node *suggest(const char *previous)
{
	struct exits_input in = {
		.map = &map, .home = 1, .latency = latency, .previous = span_str(previous)
	};
	const struct tc_node *found = NULL, *again = NULL;

	CHECK_OK(exits_suggest(&in, &found));
	in.chance = 12345;
	CHECK_OK(exits_suggest(&in, &again));
	return found;
}

static void the_one_behind_the_nearest_relay_is_suggested(void)
{
	set_up();
	CHECK(suggest("") == &nodes[3]);
	nodes[3].online = OBOOL_FALSE;
	CHECK(suggest("") == &nodes[2]);
	nodes[2].cap_map.n = 0;
	CHECK(suggest("") == &nodes[1]);
	nodes[1].allowed_ips.n = 1; /* the Internet of one family is not all of it */
	CHECK(suggest("") == &nodes[0]);
	nodes[0].online = OBOOL_UNSET;
	CHECK(suggest("") == NULL);
}

static void of_equals_the_one_before_stays(void)
{
	set_up();
	nodes[1].home_derp = nodes[2].home_derp = nodes[3].home_derp = 4;
	CHECK(suggest("n2") == &nodes[2]);
	CHECK(suggest("n1") == &nodes[1]);
	CHECK(suggest("n0") != &nodes[0]); /* it is farther away */
}

static void without_relays_the_place_decides_and_then_the_priority(void)
{
	set_up();
	for (int i = 0; i < NODES; i++) {
		nodes[i].home_derp = 0;
		places[i] = (struct tc_location){ .latitude = 52.5, .longitude = 13.4 + i };
		infos[i].location = &places[i];
	}
	places[0].priority = 1;
	places[1].priority = 2; /* 68 km away: as near as the first */
	places[3].priority = 9; /* 200 km: not */
	CHECK(suggest("") == &nodes[1]);
	nodes[2].home_derp = 5; /* but a relay is better than any place */
	CHECK(suggest("") == &nodes[2]);
}

static void before_our_own_relay_is_known_there_is_no_answer(void)
{
	const struct tc_node *found = NULL;
	struct exits_input in = { .map = &map, .latency = latency };

	set_up();
	CHECK_EQ(exits_suggest(&in, &found), ERR_BADSTATE);
	in.home = 77; /* no such region, and several to choose from */
	CHECK_EQ(exits_suggest(&in, &found), ERR_BADSTATE);
}

static void what_is_not_found_leads_nowhere_rather_than_past_the_exit_node(void)
{
	struct prefs p = { .auto_exit_node = SPAN_LIT("any") };

	set_up();
	CHECK(span_is(exits_resolve(&p, &map, NULL), EXITS_UNRESOLVED));
	CHECK(span_is(exits_resolve(&p, &map, &nodes[2]), "n2"));
	p.exit_node_id = SPAN_LIT("n1"); /* chosen before: kept */
	CHECK(span_is(exits_resolve(&p, &map, NULL), "n1"));
	p = (struct prefs){ .exit_node_id = SPAN_LIT("n3") };
	CHECK(span_is(exits_resolve(&p, &map, &nodes[0]), "n3"));
}

int main(void)
{
	RUN(the_one_behind_the_nearest_relay_is_suggested);
	RUN(of_equals_the_one_before_stays);
	RUN(without_relays_the_place_decides_and_then_the_priority);
	RUN(before_our_own_relay_is_known_there_is_no_answer);
	RUN(what_is_not_found_leads_nowhere_rather_than_past_the_exit_node);
	tear_down();
	return check_done();
}
