#pragma once
/*
 * What people began or allowed and has an end: a login that waits for somebody, a
 * yes to SSH sessions, a DNS record that is to be taken away. Their owners hold them in memory; here a copy of each is in
 * the store, so that a restart forgets none. Such a record is a JSON object under
 * a kind and an id.
 *
 * A store that cannot write costs the copy, not the thing: it is logged.
 */
#include "base/json.h"
#include "coordinator/store.h"

#define KEPT_LOGIN "login"
#define KEPT_SSH_PASS "ssh-pass"
#define KEPT_RECORD   "dns-record"

void kept_put(struct store *s, const char *kind, const char *id, wall until, struct span json);
void kept_drop(struct store *s, const char *kind, const char *id);
/* All of the kind that have not ended, the one that ends first first; what has ended is deleted. */
void kept_load(struct store *s, const char *kind, wall now,
               void (*each)(void *arg, const char *id, wall until, const struct js *record),
               void *arg);
