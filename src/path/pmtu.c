#include "path/pmtu.h"

/* Common sizes of links and tunnels, and some between. */
static const uint16_t sizes[] = { PMTU_ENOUGH, 1320, 1280, 1240, PMTU_UNKNOWN, 1120, 1000, 576 };

enum { SIZES = ARRAY_LEN(sizes), ALL_SENT = SIZES };

static void begin_round(struct pmtu *m, mono now)
{
	m->pause = m->answered = false;
	m->next = 0;
	m->at = mono_after(now, PMTU_ROUND_US);
}

static void survey(struct pmtu *m, mono now)
{
	m->checking = false;
	m->rounds = PMTU_SURVEY_ROUNDS - 1;
	m->raise_at = mono_after(now, PMTU_RAISE_US);
	begin_round(m, now);
}

static void rest(struct pmtu *m, mono now)
{
	m->pause = true;
	m->at = mono_after(now, PMTU_CHECK_US);
}

void pmtu_start(struct pmtu *m, mono now)
{
	*m = (struct pmtu){ .running = true };
	survey(m, now);
}

void pmtu_stop(struct pmtu *m)
{
	m->running = false;
}

void pmtu_go(struct pmtu *m, mono now)
{
	if (m->running)
		return;
	m->running = true;
	if (m->pause && mono_reached(m->at, now))
		m->at = now;
}

static void end_round(struct pmtu *m, mono now, bool alive)
{
	bool content = m->checking ? m->answered : m->proved >= PMTU_ENOUGH;

	if (!content && m->rounds) {
		m->rounds--;
		begin_round(m, now);
	} else if (m->checking && !m->answered && alive) {
		m->proved = 0;
		survey(m, now);
	} else {
		rest(m, now);
	}
}

static void end_rest(struct pmtu *m, mono now)
{
	if (!m->proved || (m->proved < PMTU_ENOUGH && mono_reached(m->raise_at, now))) {
		survey(m, now);
		return;
	}
	m->checking = true;
	m->rounds = PMTU_CHECKS - 1;
	begin_round(m, now);
}

void pmtu_timeout(struct pmtu *m, mono now, bool alive)
{
	if (!m->running || !mono_reached(m->at, now))
		return;
	if (m->pause)
		end_rest(m, now);
	else
		end_round(m, now, alive);
}

mono pmtu_deadline(const struct pmtu *m)
{
	return m->running ? m->at : MONO_NEVER;
}

uint16_t pmtu_next(struct pmtu *m)
{
	if (!m->running || m->pause || m->next >= ALL_SENT)
		return 0;
	if (!m->checking)
		return sizes[m->next++];
	m->next = ALL_SENT;
	return m->proved;
}

bool pmtu_answered(struct pmtu *m, uint16_t size)
{
	/* A check is answered by what was proved, not by a small one that comes late. */
	m->answered |= size >= m->proved;
	if (size <= m->proved)
		return false;
	m->proved = size;
	return true;
}
