/*
 * A map stream: each line of the input is a message, one that begins with "!" the
 * first of a new stream. Whatever came of it, the map that is kept on disk and
 * read back by the next start says the same.
 */
#include <assert.h>

#include "node/mapcache.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int take(struct netmap *m, struct span json, bool first)
{
	AUTO_DONE(arena) struct arena a = { 0 };
	struct tc_map_response r;
	struct netmap_delta delta;
	int e = js_decode(&a, json, &tc_map_response_type, &r, NULL);

	if (e == 0)
		e = netmap_apply(m, &r, first, (wall){ 1 }, &delta);
	if (e == 0)
		netmap_delta_done(&delta);
	return e;
}

static void keep_and_read_back(const struct netmap *m)
{
	AUTO_DONE(buf) struct buf kept = { .max = MAPCACHE_MAX };
	struct netmap back;

	netmap_init(&back);
	mapcache_write(&kept, m);
	assert(take(&back, buf_span(&kept), true) == 0);
	assert(netmap_n_peers(&back) == netmap_n_peers(m));
	for (struct netmap_peer *p = netmap_first(m); p; p = netmap_next(m, p))
		assert(netmap_peer(&back, p->node->id));
	netmap_done(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span rest = span(data, n), line;
	struct netmap m;
	bool first = true;

	netmap_init(&m);
	while (span_cut(&rest, '\n', &line)) {
		bool anew = line.n && line.p[0] == '!';

		if (anew)
			line = span_from(line, 1);
		if (take(&m, line, first || anew) == 0)
			first = false;
	}
	if (m.self)
		keep_and_read_back(&m);
	netmap_done(&m);
	return 0;
}
