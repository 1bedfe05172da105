/* JSON text into a tree and out again: what was read must read again, the same. HuJSON before it.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/hujson.h"
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void round_trip(struct arena *a, const struct js *v)
{
	AUTO_DONE(buf) struct buf one = { 0 };
	AUTO_DONE(buf) struct buf two = { 0 };
	struct js_wr w1 = js_wr_of(&one), w2 = js_wr_of(&two);
	struct js *again = NULL;

	js_wr_tree(&w1, v);
	int r = js_parse(a, buf_span(&one), false, &again, NULL);
	assert(r == 0);
	js_wr_tree(&w2, again);
	assert(span_eq(buf_span(&one), buf_span(&two)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct arena a = { 0 };
	struct js *v = NULL;
	uint8_t *copy = arena_dup(&a, data, n);

	if (hujson_to_json(copy, n, NULL) == 0 && js_parse(&a, span(copy, n), true, &v, NULL) == 0)
		round_trip(&a, v);
	arena_done(&a);
	return 0;
}
