#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/json.h"
#include "coordinator/maphub.h"
#include "test/check.h"
#include "test/coordinator/tailnet.h"

/*
 * A client as simple as can be: per peer the fields that patches and full nodes
 * speak of, each as JSON text.
 */
enum { CLIENT_PEERS = 64, CLIENT_FIELDS = 16 };

static const char *const fields[CLIENT_FIELDS] = {
	"Name",       "User",      "Key",      "KeyExpiry", "DiscoKey", "Addresses",
	"AllowedIPs", "Endpoints", "HomeDERP", "Hostinfo",  "Cap",      "PrimaryRoutes",
	"Tags",       "LastSeen",  "Online",   "Expired",
};
/* What a patch calls the fields it has. */
static const struct {
	const char *patch, *field;
} patched[] = {
	{ "DERPRegion", "HomeDERP" }, { "Cap", "Cap" },
	{ "Endpoints", "Endpoints" }, { "Key", "Key" },
	{ "DiscoKey", "DiscoKey" },   { "Online", "Online" },
	{ "LastSeen", "LastSeen" },   { "KeyExpiry", "KeyExpiry" },
};

/* What a node is told of itself. */
enum { SELF_FIELDS = 9 };
static const char *const self_fields[SELF_FIELDS] = {
	"Name",       "User",          "Key",    "KeyExpiry",         "Tags",
	"AllowedIPs", "PrimaryRoutes", "CapMap", "MachineAuthorized",
};

struct peer {
	int64_t id;
	char *text[CLIENT_FIELDS];
};

struct client {
	struct mapsess *sess;
	enum piece_form form;
	VEC(struct peer) peers;
	struct node_ids users;
	VEC(char *) profiles; /* of users, in their order */
	char *dns, *filter, *ssh, *derp;
	char *self[SELF_FIELDS];
	unsigned messages, full_nodes, patches, strange;
};

static unsigned field_index(const char *name)
{
	for (unsigned i = 0; i < CLIENT_FIELDS; i++)
		if (strcmp(fields[i], name) == 0)
			return i;
	return 0;
}

static char *text_of(const struct js *v)
{
	struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	if (!v)
		return str_dup("-");
	js_wr_tree(&w, v);
	return buf_take_text(&out);
}

static void set_field(struct peer *p, unsigned i, char *taken)
{
	free(p->text[i]);
	p->text[i] = taken;
}

static struct peer *find_peer(struct client *c, int64_t id)
{
	for (size_t i = 0; i < c->peers.n; i++)
		if (c->peers.v[i].id == id)
			return &c->peers.v[i];
	return NULL;
}

static void drop_peer(struct client *c, int64_t id)
{
	struct peer *p = find_peer(c, id);

	if (!p)
		return;
	for (unsigned i = 0; i < CLIENT_FIELDS; i++)
		free(p->text[i]);
	vec_remove_swap(&c->peers, (size_t)(p - c->peers.v));
}

static void upsert(struct client *c, const struct js *node)
{
	int64_t id = js_int(js_get(node, "ID"), 0);
	struct peer *p = find_peer(c, id);

	if (!p) {
		p = vec_add(&c->peers);
		p->id = id;
	}
	for (unsigned i = 0; i < CLIENT_FIELDS; i++)
		set_field(p, i, text_of(js_get(node, fields[i])));
	c->full_nodes++;
	/* Nobody is its own peer, and every owner has a profile. */
	if ((uint64_t)id == mapsess_node(c->sess))
		c->strange++;
}

static void patch(struct client *c, const struct js *change)
{
	struct peer *p = find_peer(c, js_int(js_get(change, "NodeID"), 0));

	if (!p)
		return;
	c->patches++;
	for (size_t i = 0; i < ARRAY_LEN(patched); i++) {
		const struct js *v = js_get(change, patched[i].patch);

		if (v)
			set_field(p, field_index(patched[i].field), text_of(v));
	}
	if (js_get(change, "Online") && js_truth(js_get(change, "Online"), false))
		set_field(p, field_index("LastSeen"), str_dup("-"));
}

static void replace_all(struct client *c, const struct js *list)
{
	while (c->peers.n)
		drop_peer(c, c->peers.v[0].id);
	for (const struct js *m = js_first(list); m; m = m->next)
		upsert(c, m);
}

static void keep_text(char **slot, const struct js *v)
{
	if (!v)
		return;
	free(*slot);
	*slot = text_of(v);
}

static size_t place_of_user(const struct client *c, uint64_t id)
{
	for (size_t i = 0; i < c->users.n; i++)
		if (c->users.v[i] == id)
			return i;
	return c->users.n;
}

static void keep_profile(struct client *c, const struct js *profile)
{
	uint64_t id = (uint64_t)js_int(js_get(profile, "ID"), 0);
	size_t i = place_of_user(c, id);

	if (i == c->users.n) {
		vec_push(&c->users, id);
		vec_push(&c->profiles, NULL);
	}
	keep_text(&c->profiles.v[i], profile);
}

static void apply(struct client *c, const struct js *msg)
{
	const struct js *peers = js_get(msg, "Peers");

	c->messages++;
	if (peers && peers->n)
		replace_all(c, peers);
	for (const struct js *m = js_first(js_get(msg, "PeersRemoved")); m; m = m->next)
		drop_peer(c, js_int(m, 0));
	for (const struct js *m = js_first(js_get(msg, "PeersChanged")); m; m = m->next)
		upsert(c, m);
	for (const struct js *m = js_first(js_get(msg, "PeersChangedPatch")); m; m = m->next)
		patch(c, m);
	for (const struct js *m = js_first(js_get(msg, "UserProfiles")); m; m = m->next)
		keep_profile(c, m);
	keep_text(&c->dns, js_get(msg, "DNSConfig"));
	keep_text(&c->derp, js_get(msg, "DERPMap"));
	keep_text(&c->filter, js_get(msg, "PacketFilters"));
	keep_text(&c->ssh, js_get(msg, "SSHPolicy"));
	for (unsigned i = 0; js_get(msg, "Node") && i < SELF_FIELDS; i++) {
		free(c->self[i]);
		c->self[i] = text_of(js_get(js_get(msg, "Node"), self_fields[i]));
	}
}

static void receive(struct client *c, struct mapmsg *msg)
{
	__attribute__((cleanup(arena_done))) struct arena a = { 0 };
	struct buf wire = { 0 }, text = { 0 };
	struct js *tree = NULL;
	struct fault why;

	for (size_t i = 0; i < msg->pieces.n; i++)
		buf_add(&wire, msg->pieces.v[i]->bytes, msg->pieces.v[i]->n);
	CHECK_EQ(wire.n, msg->n);
	if (c->form == PIECE_ZSTD) {
		size_t room = 4 << 20;
		size_t n = ZSTD_decompress(buf_room(&text, room), room, wire.p, wire.n);

		CHECK(!ZSTD_isError(n));
		text.n = ZSTD_isError(n) ? 0 : n;
	} else {
		buf_add_span(&text, buf_span(&wire));
	}
	if (js_parse(&a, buf_span(&text), true, &tree, &why) < 0)
		check_fail(__FILE__, __LINE__, "no JSON: %u:%u %s: %.300s", why.line, why.column,
		           why.message, buf_text(&text));
	else
		apply(c, tree);
	buf_done(&wire);
	buf_done(&text);
}

static int drain(struct client *c, wall now)
{
	int r;

	do {
		struct mapmsg msg = { 0 };

		r = mapsess_next(c->sess, now, &msg);
		if (r > 0)
			receive(c, &msg);
		mapmsg_done(&msg);
	} while (r > 0);
	return r;
}

static struct client client_of(struct maphub *h, uint64_t node, enum piece_form form)
{
	return (struct client){ .sess = mapsess_new(h, node, form, false), .form = form };
}

static void client_done(struct client *c)
{
	while (c->peers.n)
		drop_peer(c, c->peers.v[0].id);
	vec_done(&c->peers);
	vec_done(&c->users);
	vec_each(char **, p, &c->profiles)
		free(*p);
	vec_done(&c->profiles);
	free(c->dns);
	free(c->derp);
	free(c->filter);
	free(c->ssh);
	for (unsigned i = 0; i < SELF_FIELDS; i++)
		free(c->self[i]);
	mapsess_free(c->sess);
}

static void same_profile(const struct client *got, const struct client *want, uint64_t owner)
{
	size_t g = place_of_user(got, owner), w = place_of_user(want, owner);

	CHECK(g < got->users.n && w < want->users.n);
	if (g < got->users.n && w < want->users.n)
		CHECK_STR(got->profiles.v[g], want->profiles.v[w]);
}

static void same_peers(const char *what, struct client *got, struct client *want)
{
	if (got->peers.n != want->peers.n)
		check_fail(__FILE__, __LINE__, "%s: %zu peers, wanted %zu", what, got->peers.n,
		           want->peers.n);
	for (size_t i = 0; i < want->peers.n; i++) {
		struct peer *w = &want->peers.v[i];
		struct peer *g = find_peer(got, w->id);

		for (unsigned f = 0; g && f < CLIENT_FIELDS; f++)
			if (strcmp(g->text[f], w->text[f]) != 0)
				check_fail(__FILE__, __LINE__, "%s: peer %d %s is %s, wanted %s",
				           what, (int)w->id, fields[f], g->text[f], w->text[f]);
		if (!g)
			check_fail(__FILE__, __LINE__, "%s: peer %d is missing", what, (int)w->id);
	}
	for (size_t i = 0; i < got->peers.n; i++) {
		uint64_t owner = strtoull(got->peers.v[i].text[field_index("User")], NULL, 10);

		same_profile(got, want, owner);
	}
	CHECK_EQ(got->strange, 0);
	for (unsigned i = 0; i < SELF_FIELDS; i++)
		if (strcmp(got->self[i], want->self[i]) != 0)
			check_fail(__FILE__, __LINE__, "%s: own %s is %s, wanted %s", what,
			           self_fields[i], got->self[i], want->self[i]);
	CHECK_STR(got->dns ? got->dns : "-", want->dns ? want->dns : "-");
	CHECK_STR(got->derp, want->derp);
	CHECK_STR(got->filter, want->filter);
	CHECK_STR(got->ssh, want->ssh);
}

/* ---- a world with a judge that goes by users and tags ---- */

struct world {
	struct tailnet t;
	struct maphub *hub;
	struct judge judge;
	uint64_t stamp;
	bool open; /* the policy: everybody sees everybody, or each user his own and the tagged */
	char *key;
};

static uint64_t class_key(void *arg, const struct node *n)
{
	const struct world *w = arg;

	if (w->open)
		return 1;
	return n->user_id ? n->user_id + 10 : 2;
}

static bool sees(void *arg, const struct node *a, const struct node *b)
{
	const struct world *w = arg;

	return w->open || (a->user_id && a->user_id == b->user_id) || !a->user_id != !b->user_id;
}

/* While the policy is not open, the odd routers' routes are kept from people. */
static void routes_for(void *arg, const struct node *viewer, const struct node *peer,
                       struct prefixes *routes)
{
	const struct world *w = arg;

	if (!w->open && viewer->user_id && (peer->id & 1))
		routes->n = 0;
}

static void filter_of(void *arg, const struct node *n, struct buf *json)
{
	buf_fmt(json, "{\"base\":[{\"SrcIPs\":[\"100.64.0.%u\"]}]}",
	        (unsigned)(class_key(arg, n) % 200));
}

static void ssh_of(void *arg, const struct node *n, struct buf *json)
{
	buf_fmt(json, "{\"rules\":[{\"sshUsers\":{\"u%u\":\"\"}}]}",
	        (unsigned)(class_key(arg, n) % 200));
}

static uint64_t stamp(void *arg)
{
	return ((const struct world *)arg)->stamp;
}

static void changed(void *arg, const struct change *c)
{
	struct world *w = arg;

	/* Who owns a node decides its filter here. */
	if (c->kind == CHANGE_NODE && (c->what & NODE_OWNER))
		w->stamp++;
	if (w->hub)
		maphub_changed(w->hub, c);
}

static const struct map_settings settings = { .base_domain = "tail.test",
	                                      .domain = "ctl.test",
	                                      .taildrop = true };

static void world_open(struct world *w)
{
	memset(w, 0, sizeof(*w));
	tailnet_open(&w->t, NULL);
	tailnet_listen(&w->t, changed, w);
	w->open = true;
	w->judge = judge_open;
	w->judge.class_key = class_key;
	w->judge.sees = sees;
	w->judge.routes_for = routes_for;
	w->judge.filter = filter_of;
	w->judge.ssh = ssh_of;
	w->judge.stamp = stamp;
	w->judge.arg = w;
	w->hub = maphub_new(w->t.st, &w->judge, &settings);
	w->key = tailnet_key(&w->t, w->t.ann, true, false, NULL);
}

static void world_close(struct world *w)
{
	maphub_free(w->hub);
	tailnet_close(&w->t);
	free(w->key);
}

static void join(struct world *w, unsigned n)
{
	CHECK(tailnet_join(&w->t, n, w->key) != NULL);
}

/* ---- properties ---- */

static void set_endpoints(struct world *w, uint64_t id, unsigned port)
{
	struct addr a = { .ip = ip4(192, 0, 2, 1), .port = (uint16_t)port };
	struct endpoints e = { .v = &a, .n = 1 };
	struct node_report r = { .endpoints = &e };

	(void)!state_node_report(w->t.st, id, &r);
}

static void set_hostinfo(struct world *w, uint64_t id, const char *json)
{
	struct node_report r = { .hostinfo = span_str(json) };

	(void)!state_node_report(w->t.st, id, &r);
}

static uint64_t pick(struct world *w, struct rand_src *rand)
{
	struct node_list all = { 0 };
	uint64_t id = 0;

	state_nodes(w->t.st, &all);
	if (all.n)
		id = all.v[rand_src_below(rand, all.n)]->id;
	vec_done(&all);
	return id;
}

/* The machine's key is new: its node's, or a node of its own if that is somebody else's by now. */
static void log_in_again(struct world *w, unsigned machine, unsigned number)
{
	char hostinfo[128];
	struct node_claim claim = tailnet_claim(machine, hostinfo);
	const struct node *n;

	claim.old_key = claim.key;
	memcpy(claim.key.b + 8, &number, sizeof(number));
	(void)!state_register_with_key(w->t.st, &claim, span_str(w->key), w->t.now, &n, NULL);
}

/* A device of bob's that waits for an administrator; the next time it is approved. */
static void approval(struct world *w, unsigned machine)
{
	char hostinfo[128];
	struct node_claim claim = tailnet_claim(machine, hostinfo);
	const struct node *n = state_node_by_key(w->t.st, &claim.key);

	if (n)
		CHECK_OK(state_node_authorize(w->t.st, n->id, w->t.now, "test"));
	else
		CHECK_OK(state_register_for_user(w->t.st, &claim, w->t.bob, REGISTER_CLI,
		                                 (wall){ 0 }, w->t.now, "test", &n, NULL));
}

/* One random event. Node 1 and 2 are watched and stay. */
static void something_happens(struct world *w, struct rand_src *rand, unsigned *machines)
{
	uint64_t id = pick(w, rand);
	unsigned some = rand_src_u32(rand) % 60000 + 1;
	struct texts tags = { 0 };
	struct prefixes routes = { 0 };
	AUTO_FREE char *text = NULL;

	w->t.now.us += US_PER_S;
	switch (rand_src_below(rand, 17)) {
	case 0:
		if (*machines < CLIENT_PEERS - 4)
			join(w, ++*machines);
		break;
	case 1:
		if (id > 2)
			CHECK_OK(state_node_delete(w->t.st, id, w->t.now, "test"));
		break;
	case 2:
	case 3:
		set_endpoints(w, id, some);
		break;
	case 4:
	case 5:
		state_node_online(w->t.st, id, some & 1, w->t.now);
		break;
	case 6:
		text = str_fmt("{\"Hostname\":\"h%u\",\"OS\":\"linux\",\"RoutableIPs\":[\"10.99.%u."
		               "0/24\"],"
		               "\"NetInfo\":{\"PreferredDERP\":%u}}",
		               some % 5, some % 3, some % 4);
		set_hostinfo(w, id, text);
		break;
	case 7:
		text = str_fmt("n%u", some);
		(void)!state_node_rename(w->t.st, id, span_str(text), w->t.now, "test", NULL);
		break;
	case 8:
		texts_add(&tags, SPAN_LIT("tag:web"));
		CHECK_OK(state_node_set_tags(w->t.st, id, &tags, w->t.now, "test", NULL));
		texts_done(&tags);
		break;
	case 9:
		CHECK_OK(state_node_expire(w->t.st, id,
		                           (wall){ some & 1 ? w->t.now.us + some * US_PER_S : 0 },
		                           w->t.now, "test"));
		break;
	case 10:
		CHECK_OK(state_node_move(w->t.st, id, some & 1 ? w->t.ann : w->t.bob, w->t.now,
		                         "test"));
		break;
	case 11:
		text = str_fmt("{\"Proxied\":true,\"Domains\":[\"d%u.test\"]}", some % 3);
		maphub_set_dns(w->hub, span_str(text));
		state_announce(w->t.st, CHANGE_DNS);
		break;
	case 12:
		text = str_fmt("{\"Regions\":{\"%u\":{}}}", some % 3 + 1);
		maphub_set_derp(w->hub, span_str(text));
		state_announce(w->t.st, CHANGE_DERP);
		break;
	case 13:
		log_in_again(w, 1 + some % *machines, some);
		break;
	case 14:
		approval(w, 1000 + some % 3);
		break;
	case 15:
		text = str_fmt("user-%u", some);
		(void)!state_user_rename(w->t.st, some & 1 ? w->t.ann : w->t.bob, span_str(text),
		                         w->t.now, "test", NULL);
		break;
	default:
		if (some % 4 == 0) {
			w->open = !w->open;
			w->stamp++;
			state_announce(w->t.st, CHANGE_POLICY);
		} else {
			CHECK_OK(prefixes_split(&routes, SPAN_LIT("10.99.0.0/16 0.0.0.0/0")));
			CHECK_OK(state_node_approve_routes(w->t.st, id, &routes, w->t.now, "test"));
			prefixes_done(&routes);
		}
	}
	state_tick(w->t.st, w->t.now, INT64_MAX / 2);
}

static void compare_with_full_maps(struct world *w, struct client *clients, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct client fresh = client_of(w->hub, mapsess_node(clients[i].sess), PIECE_PLAIN);

		CHECK_OK(drain(&clients[i], w->t.now));
		CHECK_OK(drain(&fresh, w->t.now));
		same_peers("after deltas", &clients[i], &fresh);
		client_done(&fresh);
	}
}

static void any_order_of_deltas_equals_the_full_map(void)
{
	for (unsigned seed = 1; seed <= 12 && !check_state.bad; seed++) {
		struct world w;
		struct rand_src rand;
		unsigned machines = 5;

		rand_seeded(&rand, seed);
		world_open(&w);
		for (unsigned i = 1; i <= machines; i++)
			join(&w, i);

		struct client c[] = { client_of(w.hub, 1, PIECE_ZSTD),
			              client_of(w.hub, 2, PIECE_PLAIN),
			              client_of(w.hub, 1, PIECE_PLAIN) };

		for (unsigned step = 0; step < 300 && !check_state.bad; step++) {
			something_happens(&w, &rand, &machines);
			/* One drains at once, one sometimes, one hardly ever. */
			CHECK_OK(drain(&c[0], w.t.now));
			if (rand_src_below(&rand, 4) == 0)
				CHECK_OK(drain(&c[1], w.t.now));
			if (rand_src_below(&rand, 60) == 0)
				compare_with_full_maps(&w, c, ARRAY_LEN(c));
		}
		compare_with_full_maps(&w, c, ARRAY_LEN(c));
		for (size_t i = 0; i < ARRAY_LEN(c); i++)
			client_done(&c[i]);
		world_close(&w);
	}
}

static void a_session_that_fell_out_of_the_journal_starts_again_with_the_whole(void)
{
	struct world w;

	world_open(&w);
	for (unsigned i = 1; i <= 4; i++)
		join(&w, i);
	struct client c = client_of(w.hub, 1, PIECE_ZSTD);

	CHECK_OK(drain(&c, w.t.now));
	CHECK_OK(state_node_delete(w.t.st, 3, w.t.now, "test"));
	for (unsigned i = 0; i < JOURNAL_LEN + 10; i++)
		state_announce(w.t.st, CHANGE_DNS);
	compare_with_full_maps(&w, &c, 1);
	CHECK_OK(state_node_delete(w.t.st, 2, w.t.now, "test"));
	CHECK_OK(state_node_delete(w.t.st, 4, w.t.now, "test"));
	for (unsigned i = 0; i < JOURNAL_LEN + 10; i++)
		state_announce(w.t.st, CHANGE_DNS);
	CHECK_OK(drain(&c, w.t.now));
	CHECK_EQ(c.peers.n, 0);
	client_done(&c);
	world_close(&w);
}

/* A stream would be brought up to date by its first delta; one answer has none. */
static void a_map_asked_for_once_is_of_now(void)
{
	struct world w;

	world_open(&w);
	join(&w, 1);

	struct client stream = client_of(w.hub, 1, PIECE_PLAIN);

	CHECK_OK(drain(&stream, w.t.now));
	join(&w, 2);

	struct client once = { .sess = mapsess_new(w.hub, 2, PIECE_PLAIN, true) };
	struct mapmsg msg = { 0 };

	CHECK_EQ(mapsess_next(once.sess, w.t.now, &msg), 1);
	receive(&once, &msg);
	CHECK_EQ(once.peers.n, 1);
	mapmsg_done(&msg);
	client_done(&once);
	client_done(&stream);
	world_close(&w);
}

static void large_classes_get_every_peer_once(void)
{
	static const unsigned sizes[] = { 1, 2, 63, 64, 65, 128, 129, 200 };

	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		struct world w;

		world_open(&w);
		for (unsigned n = 1; n <= sizes[i]; n++)
			join(&w, n);
		for (unsigned n = 1; n <= sizes[i]; n += sizes[i] > 10 ? 31 : 1) {
			struct client c = client_of(w.hub, n, n & 1 ? PIECE_ZSTD : PIECE_PLAIN);

			CHECK_OK(drain(&c, w.t.now));
			CHECK_EQ(c.peers.n, sizes[i] - 1);
			CHECK_EQ(c.strange, 0);
			client_done(&c);
		}
		world_close(&w);
	}
}

/* Lists are encoded in parts, and parts without a change are used again. */
static void a_list_of_old_and_new_parts_is_the_list(void)
{
	static const uint64_t moved[] = { 1, 64, 65, 130, 199, 200 };
	struct world w;

	world_open(&w);
	for (unsigned n = 1; n <= 200; n++)
		join(&w, n);
	for (size_t i = 0; i < ARRAY_LEN(moved); i++) {
		struct client before = client_of(w.hub, 2, PIECE_ZSTD);

		CHECK_OK(drain(&before, w.t.now));
		set_endpoints(&w, moved[i], 5000);
		join(&w, 201 + (unsigned)i);
		if (i & 1)
			CHECK_OK(state_node_delete(w.t.st, moved[i] - 1, w.t.now, "test"));

		struct maphub *anew = maphub_new(w.t.st, &w.judge, &settings);
		struct client got = { .sess = mapsess_new(w.hub, 2, PIECE_ZSTD, true),
			              .form = PIECE_ZSTD };
		struct client want = client_of(anew, 2, PIECE_PLAIN);

		CHECK_OK(drain(&got, w.t.now));
		CHECK_OK(drain(&want, w.t.now));
		same_peers("in parts", &got, &want);
		client_done(&before);
		client_done(&got);
		client_done(&want);
		maphub_free(anew);
	}
	world_close(&w);
}

static void an_endpoint_change_is_one_patch_encoded_once_for_all(void)
{
	struct world w;
	struct client c[8];

	world_open(&w);
	for (unsigned i = 0; i < ARRAY_LEN(c); i++)
		join(&w, i + 1);
	for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
		c[i] = client_of(w.hub, i + 1, PIECE_ZSTD);
		CHECK_OK(drain(&c[i], w.t.now));
		c[i].messages = c[i].full_nodes = c[i].patches = 0;
	}
	struct maphub_count before = *maphub_count(w.hub);

	set_endpoints(&w, 3, 4242);
	for (unsigned i = 0; i < ARRAY_LEN(c); i++) {
		CHECK_OK(drain(&c[i], w.t.now));
		CHECK_EQ(c[i].messages, 1);
		CHECK_EQ(c[i].full_nodes, 0);
		CHECK_EQ(c[i].patches, i == 2 ? 0 : 1);
	}
	CHECK_EQ(maphub_count(w.hub)->delta_shared - before.delta_shared, ARRAY_LEN(c) - 1);
	CHECK_EQ(maphub_count(w.hub)->private - before.private, 0);
	for (unsigned i = 0; i < ARRAY_LEN(c); i++)
		client_done(&c[i]);
	world_close(&w);
}

static void going_online_is_not_being_added(void)
{
	struct world w;

	world_open(&w);
	join(&w, 1);
	join(&w, 2);
	struct client c = client_of(w.hub, 1, PIECE_PLAIN);

	CHECK_OK(drain(&c, w.t.now));
	c.full_nodes = c.patches = 0;
	state_node_online(w.t.st, 2, true, w.t.now);
	CHECK_OK(drain(&c, w.t.now));
	CHECK_EQ(c.full_nodes, 0);
	CHECK_EQ(c.patches, 1);
	client_done(&c);
	world_close(&w);
}

static void who_is_not_concerned_is_sent_nothing(void)
{
	struct world w;

	world_open(&w);
	w.open = false;
	for (unsigned i = 1; i <= 3; i++)
		join(&w, i);
	CHECK_OK(state_node_move(w.t.st, 3, w.t.bob, w.t.now, "test"));
	struct client c = client_of(w.hub, 3, PIECE_ZSTD);

	CHECK_OK(drain(&c, w.t.now));
	CHECK_EQ(c.peers.n, 0);
	c.messages = 0;
	set_endpoints(&w, 1, 77);
	state_node_online(w.t.st, 2, true, w.t.now);
	w.stamp++;
	state_announce(w.t.st, CHANGE_POLICY); /* an edit without effect */
	CHECK_OK(drain(&c, w.t.now));
	CHECK_EQ(c.messages, 0);
	client_done(&c);
	world_close(&w);
}

static void a_policy_that_hides_the_last_peer_removes_it_by_name(void)
{
	struct world w;

	world_open(&w);
	join(&w, 1);
	join(&w, 2);
	CHECK_OK(state_node_move(w.t.st, 2, w.t.bob, w.t.now, "test"));
	struct client c = client_of(w.hub, 1, PIECE_ZSTD);

	CHECK_OK(drain(&c, w.t.now));
	CHECK_EQ(c.peers.n, 1);
	w.open = false;
	w.stamp++;
	state_announce(w.t.st, CHANGE_POLICY);
	CHECK_OK(drain(&c, w.t.now));
	CHECK_EQ(c.peers.n, 0);
	client_done(&c);
	world_close(&w);
}

static void dns_and_relays_are_sent_when_they_differ(void)
{
	struct world w;

	world_open(&w);
	join(&w, 1);
	struct client c = client_of(w.hub, 1, PIECE_ZSTD);

	maphub_set_dns(w.hub, SPAN_LIT("{\"Proxied\":true}"));
	CHECK_OK(drain(&c, w.t.now));
	CHECK_STR(c.dns, "{\"Proxied\":true}");
	c.messages = 0;
	maphub_set_dns(w.hub, SPAN_LIT("{\"Proxied\":true}"));
	CHECK_OK(drain(&c, w.t.now));
	CHECK_EQ(c.messages, 0);
	maphub_set_dns(w.hub, SPAN_LIT("{\"Proxied\":false}"));
	maphub_set_derp(w.hub, SPAN_LIT("{\"Regions\":{\"1\":{}}}"));
	CHECK_OK(drain(&c, w.t.now));
	CHECK_EQ(c.messages, 1);
	CHECK_STR(c.dns, "{\"Proxied\":false}");
	client_done(&c);
	world_close(&w);
}

static void a_node_that_is_gone_ends_its_stream(void)
{
	struct world w;

	world_open(&w);
	join(&w, 1);
	struct client c = client_of(w.hub, 1, PIECE_ZSTD);

	CHECK_OK(drain(&c, w.t.now));
	CHECK_OK(state_node_delete(w.t.st, 1, w.t.now, "test"));
	CHECK_EQ(drain(&c, w.t.now), ERR_UNKNOWN);
	client_done(&c);
	world_close(&w);
}

int main(void)
{
	RUN(any_order_of_deltas_equals_the_full_map);
	RUN(a_session_that_fell_out_of_the_journal_starts_again_with_the_whole);
	RUN(a_map_asked_for_once_is_of_now);
	RUN(large_classes_get_every_peer_once);
	RUN(a_list_of_old_and_new_parts_is_the_list);
	RUN(an_endpoint_change_is_one_patch_encoded_once_for_all);
	RUN(going_online_is_not_being_added);
	RUN(who_is_not_concerned_is_sent_nothing);
	RUN(a_policy_that_hides_the_last_peer_removes_it_by_name);
	RUN(dns_and_relays_are_sent_when_they_differ);
	RUN(a_node_that_is_gone_ends_its_stream);
	return check_done();
}
