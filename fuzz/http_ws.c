/* WebSocket frames; the first byte picks our side and how much comes at once. */
#include "http/ws.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO_DONE(buf) struct buf plain = { .max = 1 << 20 };
	struct ws w;
	struct ws_step s;
	size_t seen = 0, used = 0;

	if (n < 1)
		return 0;

	size_t at_once = (size_t)1 << (data[0] >> 4);
	struct span in = span(data + 1, n - 1);

	ws_init(&w, data[0] & 1 ? WS_CLIENT : WS_SERVER);
	while (ws_read(&w, span(in.p + used, seen - used), 1 << 10, &plain, &s) == 0) {
		used += s.used;
		if (s.event != WS_DATA || s.used > 0)
			continue;
		if (seen == in.n)
			break;
		seen = at_once < in.n - seen ? seen + at_once : in.n;
	}
	return 0;
}
