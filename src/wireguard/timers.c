#include "wireguard/timers.h"

static void arm(struct wg_timers *t, enum wg_timer which, mono now, int64_t us)
{
	t->at[which] = mono_after(now, us);
}

static void cancel(struct wg_timers *t, enum wg_timer which)
{
	t->at[which] = MONO_NEVER;
}

void wg_timers_stop(struct wg_timers *t)
{
	for (enum wg_timer i = 0; i < WG_TIMER_MAX; i++)
		cancel(t, i);
	t->attempts = 0;
	t->need_another = false;
}

void wg_timers_init(struct wg_timers *t)
{
	*t = (struct wg_timers){ 0 };
	wg_timers_stop(t);
}

mono wg_timers_next(const struct wg_timers *t)
{
	mono next = t->at[0];

	for (enum wg_timer i = 1; i < WG_TIMER_MAX; i++)
		next = mono_min(next, t->at[i]);
	return next;
}

void wg_timers_data_sent(struct wg_timers *t, mono now, int64_t jitter_us)
{
	if (!wg_timer_armed(t, WG_TIMER_NEW_HANDSHAKE))
		arm(t, WG_TIMER_NEW_HANDSHAKE, now,
		    (WG_KEEPALIVE_S + WG_REKEY_TIMEOUT_S) * US_PER_S + jitter_us);
}

void wg_timers_data_received(struct wg_timers *t, mono now)
{
	if (!wg_timer_armed(t, WG_TIMER_KEEPALIVE))
		arm(t, WG_TIMER_KEEPALIVE, now, WG_KEEPALIVE_S * US_PER_S);
	else
		t->need_another = true;
}

void wg_timers_any_sent(struct wg_timers *t)
{
	cancel(t, WG_TIMER_KEEPALIVE);
}

void wg_timers_any_received(struct wg_timers *t)
{
	cancel(t, WG_TIMER_NEW_HANDSHAKE);
}

void wg_timers_traversal(struct wg_timers *t, mono now)
{
	if (t->persistent_s)
		arm(t, WG_TIMER_PERSISTENT, now, t->persistent_s * US_PER_S);
}

void wg_timers_initiation_sent(struct wg_timers *t, mono now, int64_t jitter_us)
{
	arm(t, WG_TIMER_RETRANSMIT, now, WG_REKEY_TIMEOUT_S * US_PER_S + jitter_us);
}

void wg_timers_handshake_complete(struct wg_timers *t)
{
	cancel(t, WG_TIMER_RETRANSMIT);
	t->attempts = 0;
}

void wg_timers_session_derived(struct wg_timers *t, mono now)
{
	arm(t, WG_TIMER_ZERO_KEYS, now, WG_ZERO_KEYS_S * US_PER_S);
}

bool wg_timer_take(struct wg_timers *t, enum wg_timer which, mono now)
{
	if (!mono_reached(t->at[which], now))
		return false;
	cancel(t, which);
	return true;
}
