#include "netmap/netmap.h"

#include <stdlib.h>

#include "base/rand.h"
#include "test/check.h"

static const wall now = { 1000000 };

static int apply(struct netmap *m, const char *json, bool first, struct netmap_delta *d)
{
	struct arena a = { 0 };
	struct fault f = { 0 };
	struct tc_map_response r;
	int e;

	if (js_decode(&a, span_str(json), &tc_map_response_type, &r, &f) < 0)
		check_fail(__FILE__, __LINE__, "column %u: %s", f.column, f.message);
	e = netmap_apply(m, &r, first, now, d);
	arena_done(&a);
	return e;
}

static const char hello[] =
	"{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"a.ts.example.com.\",\"User\":7,"
        "\"Addresses\":[\"100.64.0.1/32\"]},"
	"\"Domain\":\"example.com\",\"DNSConfig\":{\"Proxied\":true},"
	"\"Peers\":[{\"ID\":2,\"StableID\":\"n2\",\"Name\":\"b.ts.example.com.\",\"Addresses\":["
        "\"100.64.0.2/32\",\"fd7a:115c:a1e0::2/128\"],\"User\":7},"
	"{\"ID\":3,\"StableID\":\"n3\",\"Name\":\"c.other.net.\",\"Addresses\":[\"100.64.0.3/"
        "32\"]}],"
	"\"UserProfiles\":[{\"ID\":7,\"LoginName\":\"x@example.com\",\"DisplayName\":\"x\"}],"
	"\"PacketFilters\":{\"base\":[{\"SrcIPs\":[\"*\"]}],\"more\":[]}}";

struct fixture {
	struct netmap m;
	struct netmap_delta d;
};

static void open_map(struct fixture *f)
{
	netmap_init(&f->m);
	CHECK_OK(apply(&f->m, hello, true, &f->d));
}

static void next(struct fixture *f, const char *json)
{
	netmap_delta_done(&f->d);
	CHECK_OK(apply(&f->m, json, false, &f->d));
}

static void close_map(struct fixture *f)
{
	netmap_delta_done(&f->d);
	netmap_done(&f->m);
}

static struct ip ip_of(const char *text)
{
	struct ip ip = { 0 };

	CHECK_OK(ip_parse(span_str(text), &ip));
	return ip;
}

static void peers_are_found_by_id_address_and_name(void)
{
	struct fixture f;
	struct ip six, none = ip4(100, 64, 0, 9);

	open_map(&f);
	six = ip_of("fd7a:115c:a1e0::2");
	CHECK_EQ(f.d.peers.n, 2);
	CHECK(f.d.what & NETMAP_SELF);
	CHECK_EQ(netmap_n_peers(&f.m), 2);
	CHECK_EQ(netmap_peer(&f.m, 2)->node->id, 2);
	CHECK_EQ(netmap_peer_by_ip(&f.m, &six)->node->id, 2);
	CHECK(netmap_peer_by_ip(&f.m, &none) == NULL);
	CHECK_EQ(netmap_peer_by_name(&f.m, SPAN_LIT("B.ts.example.com"))->node->id, 2);
	CHECK_EQ(netmap_peer_by_name(&f.m, SPAN_LIT("c"))->node->id, 3);
	CHECK_EQ(netmap_peer_by_stable(&f.m, SPAN_LIT("n3"))->node->id, 3);
	CHECK(span_is(netmap_suffix(&f.m), "ts.example.com"));
	CHECK(span_is(netmap_user(&f.m, 7)->login_name, "x@example.com"));
	close_map(&f);
}

static void a_patch_reports_one_peer_and_what_of_it(void)
{
	struct fixture f;

	open_map(&f);
	next(&f, "{\"PeersChangedPatch\":[{\"NodeID\":3,\"DERPRegion\":5,\"Online\":true},null,{"
	         "\"NodeID\":99}]}");
	CHECK_EQ(f.d.peers.n, 1);
	CHECK_EQ(f.d.peers.v[0].peer->node->id, 3);
	CHECK_EQ(f.d.peers.v[0].mask, TC_CHANGED_DERP | TC_CHANGED_ONLINE);
	CHECK_EQ(f.d.what, 0);
	close_map(&f);
}

static void a_new_key_is_found_and_the_old_one_is_told(void)
{
	struct fixture f;
	struct node_pub key = { { 0 } };

	open_map(&f);
	next(&f, "{\"PeersChangedPatch\":[{\"NodeID\":3,\"Key\":\"nodekey:"
	         "1100000000000000000000000000000000000000000000000000000000000000\"}]}");
	CHECK(node_pub_is_zero(&f.d.peers.v[0].old_key));
	CHECK(f.d.peers.v[0].mask & TC_CHANGED_KEY);
	key.b[0] = 0x11;
	CHECK_EQ(netmap_peer_by_key(&f.m, &key)->node->id, 3);
	close_map(&f);
}

static void a_removed_peer_can_be_looked_at_once_more(void)
{
	struct fixture f;
	struct ip three = ip4(100, 64, 0, 3);

	open_map(&f);
	next(&f, "{\"PeersRemoved\":[3,77]}");
	CHECK_EQ(f.d.peers.n, 1);
	CHECK(f.d.peers.v[0].removed);
	CHECK_EQ(f.d.peers.v[0].peer->node->id, 3);
	CHECK(netmap_peer_by_ip(&f.m, &three) == NULL);
	close_map(&f);
}

static void an_address_that_moved_belongs_to_its_new_peer(void)
{
	struct fixture f;
	struct ip three = ip4(100, 64, 0, 3);

	open_map(&f);
	next(&f, "{\"PeersChanged\":[{\"ID\":4,\"StableID\":\"n4\",\"Addresses\":[\"100.64.0.3/"
	         "32\"]}]}");
	next(&f, "{\"PeersRemoved\":[3]}");
	CHECK_EQ(netmap_peer_by_ip(&f.m, &three)->node->id, 4);
	close_map(&f);
}

static void an_empty_list_of_peers_says_nothing_but_in_a_first_message(void)
{
	struct fixture f;

	open_map(&f);
	next(&f, "{\"Peers\":[]}");
	CHECK_EQ(netmap_n_peers(&f.m), 2);
	netmap_delta_done(&f.d);
	CHECK_OK(apply(&f.m, "{\"Node\":{\"ID\":1}}", true, &f.d));
	CHECK_EQ(netmap_n_peers(&f.m), 0);
	CHECK_EQ(f.d.peers.n, 2);
	CHECK(f.m.dns == NULL);
	CHECK_EQ(f.m.filter.n, 0);
	close_map(&f);
}

static void the_same_map_again_changes_nothing(void)
{
	struct fixture f;

	open_map(&f);
	netmap_delta_done(&f.d);
	CHECK_OK(apply(&f.m, hello, true, &f.d));
	CHECK_EQ(f.d.what, 0);
	CHECK_EQ(f.d.peers.n, 0);
	close_map(&f);
}

static void filter_chunks_are_set_deleted_and_cleared(void)
{
	struct fixture f;

	open_map(&f);
	CHECK_EQ(f.m.filter.n, 2);
	next(&f, "{\"PacketFilters\":{\"base\":[{\"SrcIPs\":[\"*\"]}]}}");
	CHECK_EQ(f.d.what, 0);
	next(&f, "{\"PacketFilters\":{\"more\":null}}");
	CHECK_EQ(f.d.what, NETMAP_FILTER);
	CHECK_EQ(f.m.filter.n, 1);
	next(&f, "{\"PacketFilters\":{\"*\":null,\"new\":[]}}");
	CHECK_EQ(f.m.filter.n, 1);
	CHECK_STR(f.m.filter.v[0].name, "new");
	next(&f, "{\"PacketFilter\":[]}");
	CHECK_EQ(f.m.filter.n, 2);
	close_map(&f);
}

static void a_first_message_without_ourselves_is_refused(void)
{
	struct netmap m;
	struct netmap_delta d = { 0 };

	netmap_init(&m);
	CHECK_EQ(apply(&m, "{\"Peers\":[]}", true, &d), ERR_BADSTATE);
	netmap_done(&m);
}

/* ---- any order of deltas equals the full map ---- */

enum { IDS = 12 };

struct model {
	bool there[IDS];
	int64_t derp[IDS];
	bool online[IDS];
	unsigned key[IDS];
};

static void put_node(struct buf *b, const struct model *s, int id)
{
	buf_fmt(b,
	        "{\"ID\":%d,\"StableID\":\"n%d\",\"Addresses\":[\"100.64.0.%d/"
	        "32\"],\"HomeDERP\":%d,\"Online\":%s,"
	        "\"Key\":\"nodekey:%064x\"}",
	        id, id, id, (int)s->derp[id], s->online[id] ? "true" : "false", s->key[id]);
}

static void put_full(struct buf *b, const struct model *s)
{
	const char *comma = "";

	buf_add_str(b, "{\"Node\":{\"ID\":1},\"Peers\":[");
	for (int id = 2; id < IDS; id++)
		if (s->there[id]) {
			buf_add_str(b, comma);
			put_node(b, s, id);
			comma = ",";
		}
	buf_add_str(b, "]}");
}

static void change(struct rand_src *rand, struct model *s, int id)
{
	s->derp[id] = 1 + (int64_t)rand_src_below(rand, 3);
	s->online[id] = rand_src_below(rand, 2);
	if (rand_src_below(rand, 3) == 0)
		s->key[id] = rand_src_u32(rand);
}

/* One step of the server: what it changes, and the message that says so. */
static void step(struct rand_src *rand, struct model *s, struct buf *b)
{
	int id = 2 + (int)rand_src_below(rand, IDS - 2);

	if (!s->there[id]) {
		s->there[id] = true;
		change(rand, s, id);
		buf_add_str(b, "{\"PeersChanged\":[");
		put_node(b, s, id);
		buf_add_str(b, "]}");
	} else if (rand_src_below(rand, 4) == 0) {
		s->there[id] = false;
		buf_fmt(b, "{\"PeersRemoved\":[%d]}", id);
	} else if (rand_src_below(rand, 3) == 0) {
		s->online[id] = !s->online[id];
		buf_fmt(b, "{\"OnlineChange\":{\"%d\":%s}}", id, s->online[id] ? "true" : "false");
	} else {
		change(rand, s, id);
		buf_fmt(b,
		        "{\"PeersChangedPatch\":[{\"NodeID\":%d,\"DERPRegion\":%d,\"Online\":%s,"
		        "\"Key\":\"nodekey:%064x\"}]}",
		        id, (int)s->derp[id], s->online[id] ? "true" : "false", s->key[id]);
	}
}

static void expect_model(struct netmap *m, const struct model *s)
{
	AUTO_DONE(buf) struct buf full = { 0 };
	struct netmap_delta d;

	/* A full map of what the server holds must differ in nothing. */
	put_full(&full, s);
	CHECK_OK(apply(m, buf_text(&full), true, &d));
	CHECK_EQ(d.peers.n, 0);
	netmap_delta_done(&d);
}

static void any_order_of_deltas_equals_the_full_map(void)
{
	struct rand_src rand;

	rand_seeded(&rand, 11);
	for (unsigned round = 0; round < 60; round++) {
		struct model s = { 0 };
		struct netmap m;
		struct netmap_delta d;

		netmap_init(&m);
		CHECK_OK(apply(&m, "{\"Node\":{\"ID\":1}}", true, &d));
		netmap_delta_done(&d);
		for (unsigned i = 0; i < 60; i++) {
			AUTO_DONE(buf) struct buf b = { 0 };

			step(&rand, &s, &b);
			CHECK_OK(apply(&m, buf_text(&b), false, &d));
			netmap_delta_done(&d);
			if (i % 7 == 0)
				expect_model(&m, &s);
		}
		expect_model(&m, &s);
		netmap_done(&m);
	}
}

int main(void)
{
	RUN(peers_are_found_by_id_address_and_name);
	RUN(a_patch_reports_one_peer_and_what_of_it);
	RUN(a_new_key_is_found_and_the_old_one_is_told);
	RUN(a_removed_peer_can_be_looked_at_once_more);
	RUN(an_address_that_moved_belongs_to_its_new_peer);
	RUN(an_empty_list_of_peers_says_nothing_but_in_a_first_message);
	RUN(the_same_map_again_changes_nothing);
	RUN(filter_chunks_are_set_deleted_and_cleared);
	RUN(a_first_message_without_ourselves_is_refused);
	RUN(any_order_of_deltas_equals_the_full_map);
	return check_done();
}
