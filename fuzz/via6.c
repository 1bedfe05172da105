/*
 * Packets between a router of 4via6 sites and its host: the first byte says which way, and that
 * a packet that makes a flow went before.
 */
#include <stdlib.h>
#include <string.h>

#include "datapath/via6.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* A UDP datagram of a client to site 7; the flow's port is written where input 2 wants it. */
static const uint8_t opening[] = {
	0x60, 0, 0, 0, 0,   8,   17, 64, 0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, 0,    0,
	0,    0, 0, 0, 0,   0,   0,  9,  0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, 0x0b, 0x1a,
	0,    0, 0, 7, 192, 168, 1,  10, 0x04, 0xd2, 0,    80,   0,    8,    0,    1,
};

static void send_back(struct via6 *v, uint16_t port, const uint8_t *data, size_t n)
{
	uint8_t *p = malloc(n + VIA6_ROOM);

	memcpy(p + VIA6_GROWTH, data, n);
	/* As a datagram's port, or as that of what an error quotes. */
	if (n >= 24)
		put_be16(p + VIA6_GROWTH + (p[VIA6_GROWTH + 9] == 1 && n >= 52 ? 48 : 22), port);
	if (n >= 20 && via6_is_back(p + VIA6_GROWTH))
		(void)!via6_to_client(v, (mono){ 2 }, p, &n);
	free(p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const uint64_t key[2] = { 1, 2 };
	struct via6 *v = via6_new(key);
	uint8_t first[sizeof(opening)], *p = first;
	size_t len = sizeof(first);

	memcpy(first, opening, len);
	(void)!via6_to_host(v, (mono){ 1 }, &p, &len);
	if (n > 1 && n < 65000 && data[0] & 1) {
		send_back(v, be16_at(p + 20), data + 1, n - 1);
	} else if (n > 40 && n < 65000) {
		uint8_t *copy = malloc(n - 1), *at = copy;

		len = n - 1;
		memcpy(copy, data + 1, len);
		if (via6_is_out(copy))
			(void)!via6_to_host(v, (mono){ 2 }, &at, &len);
		free(copy);
	}
	via6_free(v);
	return 0;
}
