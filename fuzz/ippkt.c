/* Any bytes as an IP packet: offsets stay inside, and only whole headers get a protocol. */
#include <assert.h>

#include "protocol/ippkt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct ippkt p;

	ippkt_parse(span(data, n), &p);
	if (p.proto == IPPKT_UNKNOWN)
		return 0;
	assert(p.len <= n && p.transport <= p.len && p.data <= p.len);
	assert(p.proto == IPPKT_FRAGMENT || !ippkt_has_ports(&p) || p.transport + 8 <= p.len);
	return 0;
}
