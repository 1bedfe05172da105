#pragma once
/*
 * A bounded table that many sources fill, shared out so that none of them can
 * push the others out. Counts only: the owner keeps the entries and says which
 * come and go.
 *
 * One source (throttle.h) may have its share. When all is full, a source that
 * holds more than what is safe loses its oldest entry to whoever comes; where
 * nobody holds that much, the newcomer waits.
 *
 * What comes from this machine itself may fill the whole table, as everybody
 * behind a proxy that is not trusted looks like it.
 */
#include "base/ip.h"
#include "base/own.h"

struct crowd;

enum crowd_answer {
	CROWD_ROOM,
	CROWD_PUSH, /* an entry of *ret_whose has to go first */
	CROWD_FULL, /* nobody's may go: refuse */
};

struct crowd *crowd_new(size_t max, size_t share, size_t safe);
void crowd_free(struct crowd *c);
enum crowd_answer crowd_ask(const struct crowd *c, const struct ip *source, struct ip *ret_whose);
void crowd_add(struct crowd *c, const struct ip *source);
void crowd_remove(struct crowd *c, const struct ip *source);
