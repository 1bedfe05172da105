#include "coordinator/crowd.h"

#include "test/check.h"

enum { MAX = 64, SHARE = 16, SAFE = 4 };

static struct ip source(unsigned i)
{
	return ip4(10, 0, (uint8_t)(i >> 8), (uint8_t)i);
}

static enum crowd_answer come(struct crowd *c, const struct ip *from, struct ip *whose)
{
	enum crowd_answer r = crowd_ask(c, from, whose);

	if (r == CROWD_PUSH)
		crowd_remove(c, whose);
	if (r != CROWD_FULL)
		crowd_add(c, from);
	return r;
}

static void one_source_has_no_more_than_its_share(void)
{
	struct crowd *c = crowd_new(MAX, SHARE, SAFE);
	struct ip a = source(1), b = source(2), whose;

	for (unsigned i = 0; i < SHARE; i++)
		CHECK_EQ(come(c, &a, &whose), CROWD_ROOM);
	CHECK_EQ(come(c, &a, &whose), CROWD_FULL);
	CHECK_EQ(come(c, &b, &whose), CROWD_ROOM);
	crowd_remove(c, &a);
	CHECK_EQ(come(c, &a, &whose), CROWD_ROOM);
	crowd_free(c);
}

/* Four that took all there is: whoever else comes gets in at their cost, and stays. */
static void those_who_hold_much_make_room_for_those_who_hold_little(void)
{
	struct crowd *c = crowd_new(MAX, SHARE, SAFE);
	struct ip guest = source(900), whose;

	CHECK_EQ(come(c, &guest, &whose), CROWD_ROOM);
	for (unsigned i = 0; i < 1000; i++) {
		struct ip bad = source(i % 4);

		if (come(c, &bad, &whose) == CROWD_PUSH)
			CHECK(!ip_eq(&whose, &guest));
	}
	for (unsigned i = 1; i < SAFE; i++)
		CHECK_EQ(come(c, &guest, &whose), CROWD_PUSH);
	for (unsigned i = 0; i < 1000; i++) {
		struct ip bad = source(i % 4);

		if (come(c, &bad, &whose) == CROWD_PUSH)
			CHECK(!ip_eq(&whose, &guest));
	}
	crowd_free(c);
}

/* With a source for each entry there is nobody to take from: the newcomer waits. */
static void a_thousand_strangers_push_out_nobody(void)
{
	struct crowd *c = crowd_new(MAX, SHARE, SAFE);
	struct ip guest = source(2000), whose;

	for (unsigned i = 0; i < SAFE; i++)
		CHECK_EQ(come(c, &guest, &whose), CROWD_ROOM);
	for (unsigned i = 0; i < 1000; i++) {
		struct ip bad = source(i);

		CHECK_EQ(come(c, &bad, &whose), i < MAX - SAFE ? CROWD_ROOM : CROWD_FULL);
	}
	crowd_remove(c, &guest);
	CHECK_EQ(come(c, &guest, &whose), CROWD_ROOM);
	crowd_free(c);
}

static void behind_a_proxy_that_is_not_trusted_all_is_one_source_and_the_oldest_goes(void)
{
	struct crowd *c = crowd_new(MAX, SHARE, SAFE);
	struct ip home = ip4(127, 0, 0, 1), whose;

	for (unsigned i = 0; i < 2 * MAX; i++) {
		CHECK_EQ(come(c, &home, &whose), i < MAX ? CROWD_ROOM : CROWD_PUSH);
		if (i >= MAX)
			CHECK(ip_eq(&whose, &home));
	}
	crowd_free(c);
}

int main(void)
{
	RUN(one_source_has_no_more_than_its_share);
	RUN(those_who_hold_much_make_room_for_those_who_hold_little);
	RUN(a_thousand_strangers_push_out_nobody);
	RUN(behind_a_proxy_that_is_not_trusted_all_is_one_source_and_the_oldest_goes);
	return check_done();
}
