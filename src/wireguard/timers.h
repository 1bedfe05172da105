#pragma once
/*
 * The five timers of a peer and what moves them. Pure bookkeeping: arming and
 * cancelling here, acting in the device when one is due.
 *
 *	RETRANSMIT	5 s and jitter after an initiation went out: try again
 *	KEEPALIVE	10 s after data came in: say something if nothing was sent since
 *	NEW_HANDSHAKE	15 s and jitter after data went out and nothing came back
 *	ZERO_KEYS	540 s after the last session began: forget all keys
 *	PERSISTENT	the configured interval after anything authenticated passed
 *
 * Keepalives are not data: they neither ask for a passive keepalive nor await an
 * answer, or two idle peers would talk for ever.
 *
 * Source: WireGuard paper s.6; Linux drivers/net/wireguard/timers.c.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/time.h"

enum wg_timer {
	WG_TIMER_RETRANSMIT,
	WG_TIMER_KEEPALIVE,
	WG_TIMER_NEW_HANDSHAKE,
	WG_TIMER_ZERO_KEYS,
	WG_TIMER_PERSISTENT,
	WG_TIMER_MAX,
};

enum {
	WG_REKEY_TIMEOUT_S = 5,
	WG_KEEPALIVE_S = 10,
	WG_REKEY_ATTEMPT_S = 90,
	WG_ATTEMPTS_MAX = WG_REKEY_ATTEMPT_S / WG_REKEY_TIMEOUT_S,
	WG_ZERO_KEYS_S = 540,
	WG_JITTER_US = 333 * 1000,
};

struct wg_timers {
	mono at[WG_TIMER_MAX]; /* MONO_NEVER: not armed */
	unsigned attempts;     /* retransmissions of the present series */
	uint16_t persistent_s; /* 0: off */
	bool need_another;     /* more data came while KEEPALIVE was armed */
};

void wg_timers_init(struct wg_timers *t);
/* Disarms all; the persistent interval stays. */
void wg_timers_stop(struct wg_timers *t);
mono wg_timers_next(const struct wg_timers *t);

static inline bool wg_timer_armed(const struct wg_timers *t, enum wg_timer which)
{
	return t->at[which].us != MONO_NEVER.us;
}

/*
 * Events, each told once a batch. `jitter_us` is 0..WG_JITTER_US, drawn by the
 * caller: without it two peers that began at once would collide for ever.
 */
void wg_timers_data_sent(struct wg_timers *t, mono now, int64_t jitter_us);
void wg_timers_data_received(struct wg_timers *t, mono now);
void wg_timers_any_sent(struct wg_timers *t);
void wg_timers_any_received(struct wg_timers *t);
void wg_timers_traversal(struct wg_timers *t, mono now); /* before sending, after receiving */
void wg_timers_initiation_sent(struct wg_timers *t, mono now, int64_t jitter_us);
void wg_timers_handshake_complete(struct wg_timers *t);
void wg_timers_session_derived(struct wg_timers *t, mono now);

/* Is it due? It is disarmed then. */
bool wg_timer_take(struct wg_timers *t, enum wg_timer which, mono now);
