#pragma once
/*
 * How often one source may do a thing: a bucket of `burst` that refills one
 * every `every_us`. A source is an IPv4 address or an IPv6 /64, as far as it is
 * seen through trusted proxies; what comes from this machine itself is not held
 * back, as everybody behind a proxy that is not trusted looks like it.
 *
 * Bounded: at most THROTTLE_SOURCES are remembered, and full buckets are
 * forgotten first. When all of them are at their end, strangers wait with them.
 *
 * Threads	that of the owner.
 */
#include "base/ip.h"
#include "base/own.h"
#include "base/time.h"

enum { THROTTLE_SOURCES = 4096 };

struct throttle;

/* Who is meant by a source: the address, or its /64. */
struct ip throttle_source(const struct ip *from);

struct throttle *throttle_new(unsigned burst, int64_t every_us);
void throttle_free(struct throttle *t);
/* Takes one; false: there is none. NULL throttle: true. */
bool throttle_take(struct throttle *t, const struct ip *from, wall now);
/* Whether there is one, and takes none. */
bool throttle_has(struct throttle *t, const struct ip *from, wall now);
/* How often the answer was no. */
uint64_t throttle_refused(const struct throttle *t);
