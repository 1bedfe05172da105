#pragma once
/*
 * The state file: one JSON object of names to base64, as tailscaled writes it,
 * so that a machine can change from one to the other and keep its identity.
 *
 * Mode 0600; a file that others may read is refused, as it holds private keys.
 * Each change is written at once, atomically. Without a path nothing is kept.
 */
#include <stdbool.h>

#include "base/own.h"
#include "base/span.h"

struct store;

enum { STORE_FILE_MAX = 16 << 20 };

/*
 * A missing file is an empty store. NULL: in memory alone.
 *   -EPERM		others may read or write the file
 *   ERR_MALFORMED	not a state file
 *   -errno
 */
NODISCARD int store_open(const char *path, struct store **ret);
void store_free(struct store *s);
DEFINE_AUTO(store_free, struct store *)

bool store_is_memory(const struct store *s);
/* Why the last change could not be written; 0: it was. */
int store_trouble(const struct store *s);
/* Until the next change; .p is NULL if there is none. */
struct span store_get(const struct store *s, const char *name);
/* Nothing is written if the value is there already. -errno: the old value holds. */
NODISCARD int store_set(struct store *s, const char *name, struct span value);
/* Several at once: hold, change, let go. The file is written once. */
void store_hold(struct store *s);
NODISCARD int store_release(struct store *s);
NODISCARD int store_remove(struct store *s, const char *name);
