#include "base/fault.h"

#include <stdarg.h>
#include <stdio.h>

int fault_set(struct fault *f, int r, unsigned line, unsigned column, const char *fmt, ...)
{
	va_list ap;

	if (!f)
		return r;
	f->line = line;
	f->column = column;
	va_start(ap, fmt);
	(void)vsnprintf(f->message, sizeof(f->message), fmt, ap);
	va_end(ap);
	return r;
}
