/* Requests and responses; the first byte picks the kind and how much comes at once. */
#include "base/err.h"
#include "base/mem.h"
#include "http/h1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void init(struct h1_reader *r, uint8_t how)
{
	h1_reader_init(r, how & 1 ? H1_RESPONSE : H1_REQUEST);
	r->answers_head = how & 2;
	r->answers_connect = how & 4;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct h1_reader r;
	struct http_head head;
	struct h1_step s;
	size_t seen = 0, used = 0;
	bool complete;

	if (n < 1)
		return 0;

	size_t at_once = (size_t)1 << (data[0] >> 4);
	struct span in = span(data + 1, n - 1);

	init(&r, data[0]);
	while (h1_read(&r, span(in.p + used, seen - used), &head, &s) == 0) {
		used += s.used;
		if (s.event == H1_RAW)
			break;
		if (s.event != H1_MORE)
			continue;
		if (seen == in.n)
			break;
		seen = at_once < in.n - seen ? seen + at_once : in.n;
	}
	(void)!h1_end_of_input(&r, &complete);
	return 0;
}
