/*
 * A hostile router: the input is a sequence of datagrams, HTTP answers and
 * waits. First byte of each step: what it is and, in the upper bits, how long.
 */
#include "protocol/portmap.h"

#include "base/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const uint16_t ports[] = { PORTMAP_PORT, PORTMAP_SSDP_PORT };
	struct portmap_cfg cfg = { .gateway = ip4(192, 168, 1, 1),
		                   .self = ip4(192, 168, 1, 7),
		                   .local_port = 41641 };
	struct addr from = { .ip = cfg.gateway };
	struct rd r = rd_of(data, n);
	struct rand_src rand;
	struct portmap_out out;
	mono now = { US_PER_S };

	rand_seeded(&rand, 1);

	struct portmap *p = portmap_new(&rand);

	portmap_start(p, now, &cfg);
	while (rd_left(&r)) {
		uint8_t step = rd_u8(&r);
		size_t len = rd_be16(&r);
		struct span body = span(rd_view(&r, len < rd_left(&r) ? len : rd_left(&r)), 0);

		body.n = body.p ? (size_t)(r.p - body.p) : 0;
		from.port = ports[step >> 2 & 1];
		if ((step & 3) == 0)
			portmap_recv(p, now, &from, body);
		else if ((step & 3) == 1)
			portmap_http(p, now, step & 8 ? 500 : 200, body);
		else
			now = mono_after(now, (int64_t)(step >> 2) * 250000);
		portmap_timeout(p, now);
		while (portmap_next(p, &out))
			;
	}
	portmap_stop(p, now);
	portmap_free(p);
	return 0;
}
