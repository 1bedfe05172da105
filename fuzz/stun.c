/* STUN in both roles. */
#include "protocol/stun.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t txid[STUN_TXID];
	struct addr mapped;

	(void)stun_is(span(data, n));
	(void)!stun_request_parse(span(data, n), txid);
	(void)!stun_response_parse(span(data, n), txid, &mapped);
	return 0;
}
