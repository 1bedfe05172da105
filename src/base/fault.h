#pragma once
/* Where a person's text is wrong: written by parsers of files, on failure only. */
#include <stddef.h>

#include "base/own.h"

struct fault {
	unsigned line, column; /* from 1; 0: not known */
	char message[200];     /* what was found and what was expected, no full stop */
};

/* Fills it in (NULL is allowed) and returns r. */
int fault_set(struct fault *f, int r, unsigned line, unsigned column, const char *fmt, ...)
	PRINTF(5, 6);
