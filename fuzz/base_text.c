/* The text parsers of base: addresses, prefixes, times, durations, base64. */
#include "base/enc.h"
#include "base/ip.h"
#include "base/time.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span s = { data, n };
	struct addr addr;
	struct prefix prefix;
	wall time;
	int64_t us;
	uint8_t raw[4096];
	size_t raw_n;

	(void)!addr_parse(s, &addr);
	(void)!prefix_parse(s, &prefix);
	(void)!wall_parse(s, &time);
	(void)!duration_parse(s, &us);
	if (n < sizeof(raw))
		(void)!base64_decode_any(raw, sizeof(raw), s, &raw_n);
	return 0;
}
