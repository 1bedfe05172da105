/* What is wrong is shown when it has lasted, and not when it only follows. */
#include "node/health_track.h"

#include <stdlib.h>

#include "test/check.h"

static mono at(int64_t s)
{
	return (mono){ (1000 + s) * US_PER_S };
}

static void a_trouble_is_shown_once_it_has_lasted(void)
{
	struct health h = { 0 };

	health_set(&h, HEALTH_NO_HOME, at(0), "no relay");
	CHECK(!health_text(&h, HEALTH_NO_HOME, at(9)));
	CHECK_EQ(health_next(&h, at(9)).us, at(10).us);
	CHECK_STR(health_text(&h, HEALTH_NO_HOME, at(10)), "no relay");
	CHECK_EQ(health_next(&h, at(10)).us, MONO_NEVER.us);
	health_done(&h);
}

static void saying_it_again_does_not_begin_its_time_anew(void)
{
	struct health h = { 0 };

	health_set(&h, HEALTH_NO_HOME, at(0), "one");
	health_set(&h, HEALTH_NO_HOME, at(9), "two");
	CHECK_STR(health_text(&h, HEALTH_NO_HOME, at(10)), "two");
	health_set(&h, HEALTH_NO_HOME, at(11), NULL);
	CHECK(!health_text(&h, HEALTH_NO_HOME, at(100)));
	health_set(&h, HEALTH_NO_HOME, at(101), "three");
	CHECK(!health_text(&h, HEALTH_NO_HOME, at(102)));
	health_done(&h);
}

static void what_only_follows_is_not_shown(void)
{
	struct health h = { 0 };

	health_set(&h, HEALTH_NO_RELAY, at(0), "relay");
	health_set(&h, HEALTH_NOT_IN_POLL, at(0), "poll");
	health_set(&h, HEALTH_NETWORK, at(0), "network");
	CHECK(!health_text(&h, HEALTH_NO_RELAY, at(1000)));
	CHECK(!health_text(&h, HEALTH_NOT_IN_POLL, at(1000)));
	CHECK(health_text(&h, HEALTH_NETWORK, at(1000)));
	health_set(&h, HEALTH_NETWORK, at(1000), NULL);
	CHECK(health_text(&h, HEALTH_NO_RELAY, at(1000)));
	health_set(&h, HEALTH_STOPPED, at(1000), "stopped");
	health_set(&h, HEALTH_LOGIN, at(1000), "login");
	CHECK(!health_text(&h, HEALTH_NO_RELAY, at(1000)) &&
	      !health_text(&h, HEALTH_LOGIN, at(1000)));
	health_done(&h);
}

static void every_kind_has_a_code_and_a_severity(void)
{
	for (size_t i = 0; i < HEALTH_CODES; i++) {
		const struct health_kind *k = &health_kinds[i];

		CHECK(k->code && *k->code && k->title && *k->title);
		CHECK(strcmp(k->severity, "low") == 0 || strcmp(k->severity, "medium") == 0 ||
		      strcmp(k->severity, "high") == 0);
		for (size_t j = 0; j < i; j++)
			CHECK(strcmp(k->code, health_kinds[j].code) != 0);
	}
}

int main(void)
{
	RUN(a_trouble_is_shown_once_it_has_lasted);
	RUN(saying_it_again_does_not_begin_its_time_anew);
	RUN(what_only_follows_is_not_shown);
	RUN(every_kind_has_a_code_and_a_severity);
	return check_done();
}
