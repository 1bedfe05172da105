#include "base/sorted.h"

#include "test/check.h"

static void every_id_has_its_place(void)
{
	static const uint64_t ids[] = { 2, 3, 7, UINT64_MAX };

	CHECK_EQ(sorted_place(ids, 4, 0), 0);
	CHECK_EQ(sorted_place(ids, 4, 2), 0);
	CHECK_EQ(sorted_place(ids, 4, 4), 2);
	CHECK_EQ(sorted_place(ids, 4, 7), 2);
	CHECK_EQ(sorted_place(ids, 4, 8), 3);
	CHECK_EQ(sorted_place(ids, 3, UINT64_MAX), 3);
}

static void what_is_not_there_is_not_found(void)
{
	static const uint64_t ids[] = { 2, 3, 7, UINT64_MAX };

	for (uint64_t id = 0; id < 10; id++)
		CHECK_EQ(sorted_has(ids, 4, id), id == 2 || id == 3 || id == 7);
	CHECK(sorted_has(ids, 4, UINT64_MAX));
	CHECK(!sorted_has(ids, 3, UINT64_MAX));
	CHECK(!sorted_has(NULL, 0, 1));
}

int main(void)
{
	RUN(every_id_has_its_place);
	RUN(what_is_not_there_is_not_found);
	return check_done();
}
