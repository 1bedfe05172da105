#pragma once
/* A tailnet for tests: a store in memory or in a folder, a seeded generator, a time that stands
 * still. */
#include "base/rand.h"
#include "coordinator/state.h"

struct tailnet {
	struct rand_src rand;
	struct state *st;
	wall now;
	unsigned changes;
	uint64_t ann, bob; /* users */
	void (*listener)(void *arg, const struct change *c);
	void *listener_arg;
};

/* path NULL: in memory. Devices without a key wait for approval. Users are made when there are none. */
void tailnet_open(struct tailnet *t, const char *path);
void tailnet_close(struct tailnet *t);
/* Is told about every change from here on. */
void tailnet_listen(struct tailnet *t, void (*fn)(void *arg, const struct change *c), void *arg);

/* A claim of machine number n with its first key; the text of its Hostinfo names it "host-n". */
struct node_claim tailnet_claim(unsigned n, char hostinfo[static 128]);
/* A reusable key of the user; the text is the caller's to free. */
char *tailnet_key(struct tailnet *t, uint64_t user, bool reusable, bool ephemeral,
                  const char *tags);
/* Registers machine n with the key; NULL if refused. */
const struct node *tailnet_join(struct tailnet *t, unsigned n, const char *key);
