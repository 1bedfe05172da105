#include "relay/stunsrv.h"

#include "base/err.h"
#include "base/map.h"

void stunsrv_init(struct stunsrv *s, double per_s, const uint64_t hash_key[static 2])
{
	*s = (struct stunsrv){ .per_s = per_s, .burst = per_s * 4 };
	memcpy(s->hash_key, hash_key, sizeof(s->hash_key));
}

static struct stunsrv_slot *slot_of(struct stunsrv *s, uint64_t who)
{
	struct stunsrv_slot *set = s->slot[who % ARRAY_LEN(s->slot)];
	struct stunsrv_slot *oldest = set;

	for (unsigned i = 0; i < STUNSRV_WAYS; i++) {
		if (set[i].who == who)
			return &set[i];
		if (set[i].who == 0 || (oldest->who && mono_before(set[i].at, oldest->at)))
			oldest = &set[i];
	}
	return oldest;
}

static bool allowed(struct stunsrv *s, mono now, const struct ip *from)
{
	size_t n = ip_is4(from) ? 16 : 8;
	uint64_t who = siphash(s->hash_key, from->b, n) | 1;
	struct stunsrv_slot *slot = slot_of(s, who);
	double tokens = s->burst;

	if (s->per_s <= 0)
		return true;
	if (slot->who)
		tokens = slot->tokens + (double)mono_since(slot->at, now) / 1e6 * s->per_s;
	if (tokens > s->burst)
		tokens = s->burst;

	bool ok = tokens >= 1;

	*slot = (struct stunsrv_slot){ who, now, (float)(ok ? tokens - 1 : tokens) };
	return ok;
}

size_t stunsrv_answer(struct stunsrv *s, mono now, const struct addr *from, struct span pkt,
                      uint8_t dst[static STUN_RESPONSE_MAX])
{
	uint8_t txid[STUN_TXID];
	int r = stun_request_parse(pkt, txid);

	if (r < 0) {
		s->malformed += r == ERR_MALFORMED;
		s->foreign += r != ERR_MALFORMED;
		return 0;
	}
	if (!allowed(s, now, &from->ip)) {
		s->limited++;
		return 0;
	}
	s->answered++;
	return stun_response(dst, txid, from);
}
