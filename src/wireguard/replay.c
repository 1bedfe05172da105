#include "wireguard/replay.h"

enum { WORDS = WG_REPLAY_BITS / 64 };

int wg_replay_accept(struct wg_replay *w, uint64_t counter)
{
	if (counter >= WG_REJECT_AFTER_MESSAGES)
		return ERR_LIMIT;
	if (w->next > counter && w->next - 1 - counter > WG_REPLAY_WINDOW)
		return ERR_REPLAY;

	if (counter >= w->next) {
		/* Words we skip over hold bits of counters one lap ago. */
		uint64_t from = w->next ? (w->next - 1) / 64 : 0;
		uint64_t to = counter / 64;

		for (uint64_t n = 0; from + n < to && n < WORDS; n++)
			w->seen[(from + n + 1) % WORDS] = 0;
		w->next = counter + 1;
	}

	uint64_t *word = &w->seen[counter / 64 % WORDS];
	uint64_t bit = UINT64_C(1) << counter % 64;

	if (*word & bit)
		return ERR_REPLAY;
	*word |= bit;
	return 0;
}
