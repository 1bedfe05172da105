#pragma once
/*
 * The network map on disk, so that peers are reached at a start while the
 * coordinator is away. Kept only where the coordinator allows it (node attribute
 * "cache-network-maps") or the environment asks for it; gone with the login.
 *
 * The map is kept as a map response, as the coordinator would send it first.
 */
#include "netmap/netmap.h"

enum { MAPCACHE_MAX = 64 << 20 };

/* The coordinator, or this machine's owner, wants it. */
bool mapcache_wanted(const struct netmap *m);
/* What the map says, as one message. */
void mapcache_write(struct buf *out, const struct netmap *m);
/*
 * In the folder, which is made. The disco key goes with the map: it is what peers
 * know us by until they hear of another one. -errno
 */
NODISCARD int mapcache_save(const char *folder, const struct netmap *m,
                            const struct disco_priv *disco);
/* The message of before, and the key. -errno (-ENOENT: none), ERR_LIMIT, ERR_SHORT */
NODISCARD int mapcache_load(const char *folder, struct buf *ret, struct disco_priv *ret_disco);
/* NULL is allowed. */
void mapcache_remove(const char *folder);
