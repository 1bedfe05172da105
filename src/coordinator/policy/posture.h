#pragma once
/*
 * Conditions on devices: "node:osVersion >= '15'".
 *
 * An attribute the device does not report makes every assertion about it false,
 * whatever the operator, except NOT SET.
 */
#include <stdbool.h>
#include <stddef.h>

#include "base/mem.h"
#include "base/own.h"
#include "base/span.h"

enum posture_op {
	POSTURE_EQ,
	POSTURE_NE,
	POSTURE_LT,
	POSTURE_LE,
	POSTURE_GT,
	POSTURE_GE,
	POSTURE_IN,
	POSTURE_NOT_IN,
	POSTURE_IS_SET,
	POSTURE_NOT_SET,
};

struct posture_check {
	struct span key;
	enum posture_op op;
	struct span *values; /* texts of strings, numbers, true and false */
	size_t n;
	bool numeric; /* the values are numbers */
};

/* A device's attribute; numbers and booleans as their JSON text. */
struct posture_attr {
	const char *key, *value;
};

/* Texts go to the arena. On failure *ret_why says what is wrong. ERR_MALFORMED */
NODISCARD int posture_parse(struct arena *a, struct span text, struct posture_check *ret,
                            const char **ret_why);
bool posture_holds(const struct posture_check *c, const struct posture_attr *attrs, size_t n);
/* As versions are ordered: digits by value, all else by byte; "12" before "12.0". */
int version_cmp(struct span a, struct span b);
