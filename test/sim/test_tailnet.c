/*
 * Random schedules of a whole tailnet (test/sim/tailnet.h), drawn from a seed: loss,
 * nodes that move to another network, restarts of nodes, relays and the coordinator,
 * in order and by power cuts, policies that change, keys that end, clocks that jump,
 * sleep. Then all is quiet, and whom the policy lets talk must be heard; nobody else
 * ever is.
 *
 * FAIRLEAD_SCHEDULES says how many are played, FAIRLEAD_SEED the first.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "crypto/init.h"
#include "test/check.h"
#include "test/sim/tailnet.h"

enum {
	SCHEDULES = 12,
	QUIET_S = 70,
	HOURS = 72,
	GROWTH_MAX = 384 << 10,
	SETTLED_S = 40, /* of that, until everybody has heard of the last policy */
};

static unsigned draw(struct tailnet *t, unsigned below)
{
	return (unsigned)rand_src_below(world_rand(t->w), below);
}

/* ---- what may happen ---- */

static void move(struct tailnet *t, struct device *d)
{
	(void)t;
	device_move(d);
}

/* In order, or as by a power cut: connections are not closed. */
static void restart(struct tailnet *t, struct device *d)
{
	if (tailnet_chance(t, 2))
		machine_cut(d->m);
	device_off(d);
	device_on(d);
}

static void another_link(struct tailnet *t, struct device *d)
{
	(void)d;
	world_set_link(t->w, &(struct fakenet_link){ .loss = (double)draw(t, 40) / 100,
	                                             .repeat = 0.05,
	                                             .delay_us = 10000,
	                                             .jitter_us = 30000 });
}

static void toggle_relay(struct tailnet *t, struct device *d)
{
	struct relay_site *r = &t->relays[draw(t, TAILNET_RELAYS)];

	(void)d;
	if (r->relay)
		relay_down(r);
	else
		relay_up(r);
}

static void toggle_control(struct tailnet *t, struct device *d)
{
	(void)d;
	if (!t->co)
		control_up(t);
	else if (tailnet_chance(t, 2))
		control_down(t);
	else
		control_crash(t);
}

static void restart_control(struct tailnet *t, struct device *d)
{
	toggle_control(t, d);
	toggle_control(t, d);
}

static void plug(struct tailnet *t, struct device *d)
{
	machine_unplug(d->m, tailnet_chance(t, 2));
}

static void fall_asleep(struct tailnet *t, struct device *d)
{
	machine_sleep(d->m, tailnet_chance(t, 2));
}

static void another_policy(struct tailnet *t, struct device *d)
{
	(void)d;
	if (t->co)
		control_draw_policy(t);
}

static void jump_clock(struct tailnet *t, struct device *d)
{
	static const int64_t by_s[] = { -86400, -3600, -60, 0, 0, 60, 3600, 86400 };

	machine_set_clock(d->m, by_s[draw(t, ARRAY_LEN(by_s))] * US_PER_S);
}

static void speak_or_not(struct tailnet *t, struct device *d)
{
	(void)t;
	d->talks = !d->talks;
}

/* clang-format off */
static const struct {
	const char *name;
	void (*fn)(struct tailnet *t, struct device *d);
	unsigned weight;
} events[] = {
	{ "another policy",      another_policy,  1 },
	{ "another link",        another_link,    1 },
	{ "clock jumps",         jump_clock,      1 },
	{ "coordinator",         toggle_control,  1 },
	{ "coordinator again",   restart_control, 1 },
	{ "key ends",            control_expire,  1 },
	{ "moves",               move,            3 },
	{ "plug",                plug,            1 },
	{ "relay",               toggle_relay,    2 },
	{ "restarts",            restart,         2 },
	{ "sleeps or wakes",     fall_asleep,     1 },
	{ "speaks or is silent", speak_or_not,    1 },
};
/* clang-format on */

static size_t draw_event(struct tailnet *t)
{
	unsigned sum = 0, at;
	size_t i = 0;

	for (size_t k = 0; k < ARRAY_LEN(events); k++)
		sum += events[k].weight;
	for (at = draw(t, sum); at >= events[i].weight; i++)
		at -= events[i].weight;
	return i;
}

static void happen(struct tailnet *t)
{
	struct device *d = &t->devices[draw(t, TAILNET_NODES)];
	size_t i = draw_event(t);

	log_info("-- %.1f s: %s (%u)", (double)world_now(t->w).us / 1e6, events[i].name, d->i);
	events[i].fn(t, d);
}

static void calm(struct tailnet *t)
{
	world_set_link(t->w, &(struct fakenet_link){ .delay_us = 10000, .jitter_us = 2000 });
	for (unsigned i = 0; i < TAILNET_RELAYS; i++)
		if (!t->relays[i].relay)
			relay_up(&t->relays[i]);
	if (!t->co)
		control_up(t);
	for (unsigned i = 0; i < TAILNET_NODES; i++) {
		struct device *d = &t->devices[i];

		machine_unplug(d->m, false);
		machine_sleep(d->m, false);
		machine_set_clock(d->m, 0);
		d->talks = true;
	}
}

/* Somebody sits down at those that want to be logged in again. */
static void log_in_again(struct tailnet *t)
{
	for (unsigned i = 0; i < TAILNET_NODES; i++)
		if (!device_is_running(&t->devices[i]))
			device_login(&t->devices[i]);
}

static void quiet(struct tailnet *t)
{
	calm(t);
	tailnet_run(t, SETTLED_S * US_PER_S);
	log_in_again(t);
	tailnet_run(t, (QUIET_S - SETTLED_S) * US_PER_S);
}

static bool verdict(struct tailnet *t, uint64_t seed)
{
	mono then = mono_after(world_now(t->w), -10 * US_PER_S);
	bool good = devices_all_talk(t, seed);

	return devices_keep_apart(t, seed, then) && good;
}

static bool play(uint64_t seed)
{
	struct tailnet t;
	bool good;

	/* With a map of last time on disk, or without. */
	(void)setenv("TS_USE_CACHED_NETMAP", seed % 2 ? "1" : "0", 1);
	tailnet_begin(&t, seed);
	tailnet_run(&t, 5 * US_PER_S);
	for (unsigned i = 0, n = 4 + draw(&t, 12); i < n; i++) {
		happen(&t);
		tailnet_run(&t, draw(&t, 15000) * US_PER_MS);
	}
	quiet(&t);
	good = verdict(&t, seed);
	tailnet_end(&t);
	return good;
}

static uint64_t number_of(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	uint64_t n;

	return text && span_u64(span_str(text), UINT64_MAX, &n) == 0 ? n : otherwise;
}

static void whom_the_policy_joins_can_talk_after_any_schedule_of_trouble(void)
{
	uint64_t first = number_of("FAIRLEAD_SEED", 1),
		 n = number_of("FAIRLEAD_SCHEDULES", SCHEDULES);
	unsigned bad = 0;

	for (uint64_t seed = first; seed < first + n; seed++)
		bad += !play(seed);
	printf("# %llu schedules from seed %llu\n", (unsigned long long)n,
	       (unsigned long long)first);
	CHECK_EQ(bad, 0);
}

/* What the programs hold of memory; 0 where the allocator does not tell. */
static size_t held(void)
{
	return mallinfo2().uordblks;
}

static void be_silent(struct tailnet *t)
{
	for (unsigned i = 0; i < TAILNET_NODES; i++)
		t->devices[i].talks = false;
}

static void an_hour(struct tailnet *t, unsigned hour)
{
	for (unsigned i = 0; i < 2; i++) {
		happen(t);
		tailnet_run(t, 20 * US_PER_S);
	}
	if (hour % 6 == 0)
		quiet(t);
	calm(t);
	be_silent(t);
	tailnet_run(t, (3600 - 40 - QUIET_S) * US_PER_S);
}

static void three_days_of_trouble_leave_nothing_behind(void)
{
	uint64_t seed = number_of("FAIRLEAD_SEED", 7);
	struct tailnet t;
	size_t before = 0;

	tailnet_begin(&t, seed);
	for (unsigned hour = 0; hour < HOURS; hour++) {
		an_hour(&t, hour);
		if (hour == HOURS / 3)
			before = held();
		if (getenv("FAIRLEAD_LOG"))
			printf("# hour %u: %zu KiB\n", hour, held() >> 10);
	}
	CHECK(held() < before + GROWTH_MAX);
	quiet(&t);
	CHECK(verdict(&t, seed));
	tailnet_end(&t);
}

int main(void)
{
	crypto_start();
	log_set_level(getenv("FAIRLEAD_LOG") ? LOG_DEBUG : LOG_ERROR);
	RUN(whom_the_policy_joins_can_talk_after_any_schedule_of_trouble);
	RUN(three_days_of_trouble_leave_nothing_behind);
	return check_done();
}
