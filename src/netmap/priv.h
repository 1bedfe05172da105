#pragma once
/* Shared by netmap.c (the tables) and apply.c (what a message does to them). */
#include "netmap/netmap.h"

void netmap_free_clone(const void *p);
struct netmap_peer *netmap_peer_add(struct netmap *m, const struct tc_node *n);
/* `n` may be made of parts of the present node. */
void netmap_peer_replace(struct netmap *m, struct netmap_peer *p, const struct tc_node *n,
                         unsigned mask);
/* Out of all tables; the caller frees it. */
void netmap_peer_take(struct netmap *m, struct netmap_peer *p);
void netmap_peer_free(struct netmap_peer *p);
struct netmap_user *netmap_user_entry(const struct netmap *m, int64_t id);
void netmap_chunks_clear(struct netmap *m);
void netmap_messages_clear(struct netmap *m);
