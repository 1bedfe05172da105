/*
 * Frames of the interface: the first byte says which way. Cut, and what was cut
 * is joined again; or joined straight away, as packets from a peer are.
 */
#include <string.h>

#include "datapath/offload.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static uint8_t frame[70000], packets[OFFLOAD_JOIN_MAX][66000];

static void join(struct offload_join *j, uint8_t *p, size_t n)
{
	if (n < 20 || (p[0] >> 4 != 4 && p[0] >> 4 != 6) || (p[0] >> 4 == 6 && n < 40))
		return;
	if (offload_join_add(j, p, n, OFFLOAD_TCP | OFFLOAD_UDP))
		return;
	offload_join_finish(j);
	j->n = 0;
	(void)offload_join_add(j, p, n, OFFLOAD_TCP | OFFLOAD_UDP);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct offload_join j;
	struct offload_cut c;
	size_t i = 0;

	if (n < 2 || n > sizeof(frame))
		return 0;
	memcpy(frame, data + 1, n - 1);
	offload_join_init(&j);
	if (data[0] & 1) {
		size_t step = 20 + data[0];

		for (size_t at = 0; at < n - 1; at += step, i++) {
			size_t some = n - 1 - at < step ? n - 1 - at : step;

			memcpy(packets[i % OFFLOAD_JOIN_MAX], frame + at, some);
			join(&j, packets[i % OFFLOAD_JOIN_MAX], some);
			if (i + 1 >= OFFLOAD_JOIN_MAX)
				break;
		}
	} else if (offload_cut_begin(&c, frame, n - 1) == 0) {
		for (; offload_cut_room(&c) && i < OFFLOAD_JOIN_MAX; i++)
			join(&j, packets[i], offload_cut_next(&c, packets[i]));
	}
	if (j.n)
		offload_join_finish(&j);
	return 0;
}
