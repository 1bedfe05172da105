#include "base/heap.h"

#include "base/rand.h"
#include "test/check.h"

enum { N = 500 };

static void deadlines_come_out_in_order_whatever_is_moved_or_removed(void)
{
	struct heap h = { 0 };
	struct heap_node nodes[N] = { 0 };
	struct rand_src rand;

	rand_seeded(&rand, 7);
	for (int i = 0; i < 5000; i++) {
		struct heap_node *n = &nodes[rand_src_below(&rand, N)];

		if (rand_src_below(&rand, 4) == 0)
			heap_remove(&h, n);
		else
			heap_set(&h, n, (mono){ (int64_t)rand_src_below(&rand, 1000) });

		mono least = MONO_NEVER;

		for (int k = 0; k < N; k++) {
			if (heap_has(&nodes[k]))
				least = mono_min(least, nodes[k].at);
		}
		CHECK_EQ(heap_deadline(&h).us, least.us);
	}

	mono last = { 0 };

	while (heap_first(&h)) {
		struct heap_node *n = heap_first(&h);

		CHECK(!mono_before(n->at, last));
		last = n->at;
		heap_remove(&h, n);
		CHECK(!heap_has(n));
	}
	heap_done(&h);
}

static void never_takes_a_node_out(void)
{
	struct heap h = { 0 };
	struct heap_node n = { 0 };

	heap_set(&h, &n, (mono){ 1 });
	heap_set(&h, &n, MONO_NEVER);
	CHECK(!heap_has(&n) && heap_first(&h) == NULL);
	heap_done(&h);
}

int main(void)
{
	RUN(deadlines_come_out_in_order_whatever_is_moved_or_removed);
	RUN(never_takes_a_node_out);
	return check_done();
}
