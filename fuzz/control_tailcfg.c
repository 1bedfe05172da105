/* Control protocol JSON: what decodes must encode, and decode again to the same. */
#include <assert.h>
#include <stdlib.h>

#include "control/tailcfg.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void round_trip(const struct js_type *t, struct span text)
{
	AUTO_DONE(buf) struct buf out = { 0 };
	struct arena a = { 0 };
	void *at = arena_alloc(&a, t->size), *again = arena_alloc(&a, t->size);

	if (js_decode(&a, text, t, at, NULL) == 0) {
		js_encode(&out, t, at);
		int r = js_decode(&a, buf_span(&out), t, again, NULL);
		assert(r == 0);
	}
	arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span text = span(data, n);

	round_trip(&tc_map_response_type, text);
	round_trip(&tc_map_request_type, text);
	round_trip(&tc_register_request_type, text);
	return 0;
}
