/* The control socket's text, both directions. What is read and written again stays the same. */
#include <stdlib.h>

#include "wireguard/uapi.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_set(struct span lines)
{
	struct wg_change c, again;
	struct buf out = { 0 }, twice = { 0 };

	if (wg_uapi_read_set(lines, &c) == 0) {
		wg_uapi_write_set(&out, &c);
		if (wg_uapi_read_set(span_from(buf_span(&out), 6), &again) < 0)
			abort();
		wg_uapi_write_set(&twice, &again);
		if (!span_eq(buf_span(&out), buf_span(&twice)))
			abort();
		wg_change_done(&again);
	}
	wg_change_done(&c);
	buf_done(&out);
	buf_done(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span in = { data, n }, lines;
	enum wg_uapi_op op;
	struct wg_info info;
	size_t used;

	if (wg_uapi_cut(in, true, &op, &used, &lines) == 1) {
		if (!used || used > n || lines.n > n)
			abort();
		check_set(lines);
	}
	check_set(in);
	(void)!wg_uapi_read_get(in, &info);
	wg_info_done(&info);
	return 0;
}
