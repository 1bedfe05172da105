/* The map that goes to disk and comes back says the same. */
#include "node/mapcache.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "test/check.h"

#define KEY(c)                                                                                     \
	"nodekey:" c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c \
		c c c c c c c c c c c c c c c c c c c c c c c c

static const char message[] =
	"{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"me.ts.test.\",\"User\":7,\"Key\":"
	"\"" KEY("a") "\",\"Addresses\":[\"100.64.0.1/32\"],"
		      "\"CapMap\":{\"cache-network-maps\":null}},"
		      "\"Peers\":[{\"ID\":2,\"StableID\":\"n2\",\"Name\":\"you.ts.test.\",\"User\":"
		      "7,\"Key\":\"" KEY(
			      "b") "\",\"Addresses\":[\"100.64.0.2/32\"],"
				   "\"Endpoints\":[\"192.0.2.1:41641\"],\"HomeDERP\":1}],"
				   "\"DERPMap\":{\"Regions\":{\"1\":{\"RegionID\":1,\"RegionCode\":"
				   "\"lab\",\"Nodes\":[{\"Name\":\"1a\",\"RegionID\":1,"
				   "\"HostName\":\"derp.test\"}]}}},"
				   "\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"ts.test\"]},"
				   "\"Domain\":\"ts.test\","
				   "\"PacketFilters\":{\"base\":[{\"SrcIPs\":[\"*\"],\"DstPorts\":["
				   "{\"IP\":\"*\",\"Ports\":{\"First\":0,\"Last\":65535}}]}]},"
				   "\"UserProfiles\":[{\"ID\":7,\"LoginName\":\"ann@acme.test\","
				   "\"DisplayName\":\"Ann\"}]}";

static int apply(struct netmap *m, struct span json)
{
	struct arena a = { 0 };
	struct tc_map_response r;
	struct netmap_delta delta;
	int e = js_decode(&a, json, &tc_map_response_type, &r, NULL);

	if (e == 0)
		e = netmap_apply(m, &r, true, (wall){ 1 }, &delta);
	if (e == 0)
		netmap_delta_done(&delta);
	arena_done(&a);
	return e;
}

static void a_map_comes_back_as_it_went(void)
{
	AUTO_DONE(buf) struct buf first = { 0 }, second = { 0 };
	struct netmap m, back;

	netmap_init(&m);
	netmap_init(&back);
	CHECK_OK(apply(&m, span_str(message)));
	CHECK(mapcache_wanted(&m));
	mapcache_write(&first, &m);
	CHECK_OK(apply(&back, buf_span(&first)));
	mapcache_write(&second, &back);
	CHECK_STR(buf_text(&second), buf_text(&first));
	CHECK_EQ(netmap_n_peers(&back), 1);
	CHECK(netmap_user(&back, 7));
	CHECK_STR(back.domain, "ts.test");
	CHECK_EQ(back.filter.n, 1);
	netmap_done(&m);
	netmap_done(&back);
}

static void files_come_back_with_the_key_and_go_when_told(void)
{
	char folder[] = "/tmp/fairlead-mapcache-XXXXXX";
	AUTO_DONE(buf) struct buf text = { 0 }, want = { 0 };
	AUTO_FREE char *deep = NULL, *middle = NULL;
	struct disco_priv key, back = { { 0 } };
	struct netmap m;

	CHECK(mkdtemp(folder));
	middle = str_fmt("%s/profile-data", folder);
	deep = str_fmt("%s/0a1b", middle);
	netmap_init(&m);
	disco_priv_new(&key);
	CHECK_OK(apply(&m, span_str(message)));
	CHECK_EQ(mapcache_load(deep, &text, &back), -ENOENT);
	CHECK_OK(mapcache_save(deep, &m, &key));
	CHECK_OK(mapcache_load(deep, &text, &back));
	CHECK_MEM(back.b, key.b, sizeof(key.b));
	mapcache_write(&want, &m);
	CHECK_STR(buf_text(&text), buf_text(&want));
	mapcache_remove(deep);
	CHECK_EQ(mapcache_load(deep, &text, &back), -ENOENT);
	netmap_done(&m);
	(void)rmdir(deep);
	(void)rmdir(middle);
	(void)rmdir(folder);
}

static void what_was_cut_off_leaves_the_map_as_it_was(void)
{
	struct netmap m;

	netmap_init(&m);
	for (size_t n = 0; n + 1 < sizeof(message) - 1; n++)
		CHECK(apply(&m, span_first(span_str(message), n)) < 0);
	CHECK(!m.self);
	netmap_done(&m);
}

int main(void)
{
	RUN(a_map_comes_back_as_it_went);
	RUN(files_come_back_with_the_key_and_go_when_told);
	RUN(what_was_cut_off_leaves_the_map_as_it_was);
	return check_done();
}
