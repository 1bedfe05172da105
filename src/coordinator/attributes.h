#pragma once
/*
 * A device's own attributes, "custom:NAME", which postures in the policy ask for:
 * texts, numbers and booleans, each with an end if one was given.
 *
 * Kept as one JSON text: {"custom:tier": {"value": "prod", "expiry": 1790000000000000}}.
 */
#include "base/fault.h"
#include "base/json.h"
#include "base/own.h"
#include "base/time.h"

enum { ATTRS_MAX = 64, ATTR_NAME_MAX = 64, ATTR_VALUE_MAX = 256 };

/* "custom:" and letters, digits, "_", "-" after it. */
bool attr_name_valid(struct span name);

/*
 * The text after an update: an object of names and values, null to take one out.
 * What has ended is left out. expiry 0: none. *ret is NULL when nothing is left.
 *   ERR_MALFORMED, ERR_LIMIT
 */
NODISCARD int attrs_update(const char *text, const struct js *update, wall expiry, wall now,
                           char **ret, struct fault *reterr);
/* When the first of them ends; 0: none does. */
wall attrs_until(const char *text);

/* One of them, its value as text. In the arena. */
struct attr {
	const char *name, *value;
};
/* At most ATTRS_MAX; text may be NULL. How many. */
size_t attrs_read(struct arena *a, const char *text, struct attr ret[static ATTRS_MAX]);
