#include "base/err.h"

#include <string.h>

const char *err_text(int r)
{
	static const char *const ours[] = {
#define X(name, text) text,
		ERR_LIST(X)
#undef X
	};

	if (r > ERR_OURS) {
		const char *text = r < 0 ? strerrordesc_np(-r) : r == 0 ? "success" : NULL;

		return text ? text : "unknown error";
	}
	if (r <= ERR_OURS - ERR_IX_MAX)
		return "unknown error";
	return ours[ERR_OURS - r];
}
