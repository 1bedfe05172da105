#include "node/health_track.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

const struct health_kind health_kinds[HEALTH_CODES] = {
#define X(name, code, title, severity, delay, connectivity) \
	{ code, title, severity, delay, connectivity },
	HEALTH_LIST(X)
#undef X
};

#define BIT(name) (1U << HEALTH_##name)

/* What it only follows from. */
static unsigned causes_of(enum health_code code)
{
	switch (code) {
	case HEALTH_LOGIN:
		return BIT(STOPPED);
	case HEALTH_NOT_IN_POLL:
	case HEALTH_MAP_SILENT:
		return BIT(NETWORK) | BIT(STOPPED) | BIT(LOGIN);
	case HEALTH_NO_HOME:
	case HEALTH_RELAY_ERROR:
		return BIT(NETWORK) | BIT(STOPPED);
	case HEALTH_NO_RELAY:
		return BIT(NETWORK) | BIT(STOPPED) | BIT(NO_HOME);
	case HEALTH_NO_UDP:
		return BIT(NETWORK) | BIT(STOPPED);
	case HEALTH_NETWORK:
	case HEALTH_STOPPED:
	case HEALTH_FORWARDING:
	case HEALTH_NOSNAT_EXIT:
	case HEALTH_OVERLAP:
	case HEALTH_UPDATE:
	case HEALTH_SECURITY:
	case HEALTH_STORE:
	case HEALTH_DNS_SILENT:
	case HEALTH_DNS_READ:
	case HEALTH_DNS_SET:
	case HEALTH_DNS_LOCKED:
	case HEALTH_DNS_TAKEN:
	case HEALTH_DNS_LOST:
	case HEALTH_CODES:
		break;
	}
	return 0;
}

void health_done(struct health *h)
{
	for (size_t i = 0; i < HEALTH_CODES; i++)
		free(TAKE(h->at[i].text));
}

void health_set(struct health *h, enum health_code code, mono now, const char *text)
{
	char *old = h->at[code].text; /* which text may be */

	if (text && !h->at[code].broken)
		h->at[code].since = now;
	h->at[code].broken = text != NULL;
	h->at[code].text = text ? str_dup(text) : NULL;
	free(old);
}

static mono shown_at(const struct health *h, enum health_code code)
{
	return mono_after(h->at[code].since, health_kinds[code].delay_s * US_PER_S);
}

const char *health_text(const struct health *h, enum health_code code, mono now)
{
	unsigned causes = causes_of(code);

	if (!h->at[code].broken || shown_at(h, code).us > now.us)
		return NULL;
	for (unsigned i = 0; i < HEALTH_CODES; i++)
		if (causes >> i & 1 && h->at[i].broken)
			return NULL;
	return h->at[code].text;
}

mono health_next(const struct health *h, mono now)
{
	mono next = MONO_NEVER;

	for (unsigned i = 0; i < HEALTH_CODES; i++)
		if (h->at[i].broken && shown_at(h, i).us > now.us)
			next = mono_min(next, shown_at(h, i));
	return next;
}
