/* A map stream from a server that is up to no good. The first byte: compressed or not. */
#include "control/mapframe.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct mapframe_rd m = { 0 };
	struct span in = span_from(span(data, n), 1), json;

	if (n == 0)
		return 0;
	m.zstd = data[0] & 1;
	while (mapframe_read(&m, &in, &json) > 0)
		;
	mapframe_rd_done(&m);
	return 0;
}
