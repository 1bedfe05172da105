#include "base/map.h"

#include "test/check.h"

enum { N = 1000 };

struct item {
	struct map_node node;
	uint32_t key;
	bool in;
};

static struct item *find(struct map *m, uint32_t key)
{
	uint64_t h = map_hash(m, &key, sizeof(key));

	for (struct map_node *n = map_find(m, h); n; n = map_again(n)) {
		struct item *it = CONTAINER_OF(n, struct item, node);

		if (it->key == key)
			return it;
	}
	return NULL;
}

static void finds_what_is_in_and_nothing_else(void)
{
	struct map m;
	static struct item items[N];
	size_t seen = 0;

	map_init(&m);
	for (uint32_t i = 0; i < N; i++) {
		items[i] = (struct item){ .key = i, .in = true };
		map_insert(&m, &items[i].node, map_hash(&m, &i, sizeof(i)));
	}
	for (uint32_t i = 0; i < N; i += 3) {
		map_remove(&m, &items[i].node);
		items[i].in = false;
	}
	for (uint32_t i = 0; i < N; i++)
		CHECK(find(&m, i) == (items[i].in ? &items[i] : NULL));
	for (struct map_node *n = map_first(&m); n; n = map_next(&m, n))
		seen++;
	CHECK_EQ(seen, m.n);
	for (uint32_t i = 0; i < N; i++) {
		if (items[i].in)
			map_remove(&m, &items[i].node);
	}
	CHECK_EQ(m.n, 0);
	CHECK(map_first(&m) == NULL);
	map_done(&m);
}

static void equal_hashes_are_all_walked(void)
{
	struct map m;
	struct item items[3] = { { .key = 1 }, { .key = 2 }, { .key = 3 } };
	unsigned sum = 0;

	map_init(&m);
	for (size_t i = 0; i < 3; i++)
		map_insert(&m, &items[i].node, 99);
	for (struct map_node *n = map_find(&m, 99); n; n = map_again(n))
		sum += CONTAINER_OF(n, struct item, node)->key;
	CHECK_EQ(sum, 6);
	map_done(&m);
}

static void a_walk_may_remove_all_it_passes(void)
{
	enum { MANY = 1000 };
	static struct item items[MANY];
	struct map m;

	map_init(&m);
	for (uint32_t i = 0; i < MANY; i++)
		map_insert(&m, &items[i].node, map_hash(&m, &i, sizeof(i)));
	for (struct map_node *n = map_first(&m), *next; n; n = next) {
		next = map_next(&m, n);
		map_remove(&m, n);
	}
	CHECK_EQ(m.n, 0);
	for (unsigned i = 0; i < 20; i++) { /* and later it becomes small again */
		map_insert(&m, &items[0].node, 1);
		map_remove(&m, &items[0].node);
	}
	CHECK(m.mask < 32);
	map_done(&m);
}

int main(void)
{
	RUN(finds_what_is_in_and_nothing_else);
	RUN(equal_hashes_are_all_walked);
	RUN(a_walk_may_remove_all_it_passes);
	return check_done();
}
