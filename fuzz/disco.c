/* Disco, Geneve and TSMP as a peer may send them; what is read is written and read again. */
#include "protocol/disco.h"
#include "protocol/geneve.h"
#include "protocol/tsmp.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const struct box_shared key;
	struct span s = { data, n };
	struct disco_msg m, again;
	struct disco_pub from;
	struct geneve g;
	struct tsmp t;
	struct ip ip = ip4(100, 64, 0, 1);
	uint8_t out[DISCO_PING_MAX];
	size_t out_n;

	(void)disco_sender(s, &from);
	(void)!disco_open(s, &key, &m);
	/* An endpoint of an unknown version reads as empty, which nobody writes. */
	bool empty = disco_read(s, &m) == 0 && m.type == DISCO_CALL_ME_MAYBE_VIA &&
	             !m.relay.n_addrs;

	if (!empty && disco_read(s, &m) == 0 && disco_write(out, sizeof(out), &m, &out_n) == 0) {
		if (disco_read(span(out, out_n), &again) != 0 || memcmp(&m, &again, sizeof(m)) != 0)
			abort();
	}
	(void)!geneve_read(s, &g);
	(void)!tsmp_read(&ip, &ip, s, &t);
	return 0;
}
