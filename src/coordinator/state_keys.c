#include "base/err.h"
#include "coordinator/state_priv.h"

/* "tag:" and a letter, then letters, digits and dashes. */
static bool good_tag(const char *tag)
{
	struct span s = span_str(tag);

	if (!span_starts(s, "tag:") || s.n < 5 || s.n > NAME_MAX_LEN + 4)
		return false;
	for (size_t i = 4; i < s.n; i++) {
		uint8_t c = s.p[i];
		bool letter = c >= 'a' && c <= 'z';

		if (!letter && (i == 4 || !((c >= '0' && c <= '9') || c == '-')))
			return false;
	}
	return true;
}

static int check_tags(const struct texts *tags, struct fault *reterr)
{
	if (tags->n > NODE_TAGS_MAX)
		return fault_set(reterr, ERR_LIMIT, 0, 0, "too many tags");
	for (size_t i = 0; i < tags->n; i++)
		if (!good_tag(tags->v[i]))
			return fault_set(
				reterr, ERR_MALFORMED, 0, 0,
				"tag must start with 'tag:' and a lower-case letter: \"%.60s\"",
				tags->v[i]);
	return 0;
}

static int check_spec(const struct state *st, const struct auth_key_spec *spec,
                      struct fault *reterr)
{
	bool tagged = spec->tags && spec->tags->n;

	if (st->auth_keys.n >= STATE_KEYS_MAX || spec->description.n > MODEL_TEXT_MAX)
		return fault_set(reterr, ERR_LIMIT, 0, 0, "too many pre-auth keys");
	if (spec->user_id && !state_user(st, spec->user_id))
		return fault_set(reterr, ERR_UNKNOWN, 0, 0, "user not found");
	if (!spec->user_id && !tagged)
		return fault_set(reterr, ERR_MALFORMED, 0, 0,
		                 "a pre-auth key needs a user or tags");
	return tagged ? check_tags(spec->tags, reterr) : 0;
}

int state_auth_key_create(struct state *st, const struct auth_key_spec *spec, wall now,
                          const char *actor, struct secret *ret_secret, const struct auth_key **ret,
                          struct fault *reterr)
{
	int r = check_spec(st, spec, reterr);

	if (r < 0)
		return r;

	struct auth_key *k = auth_key_new();
	uint64_t id = st->next_auth_key++;

	secret_new(SECRET_AUTH_KEY, st->env.rand, ret_secret);
	free(k->prefix);
	free(k->hash);
	free(k->description);
	k->prefix = str_dup(ret_secret->prefix);
	k->hash = str_dup(ret_secret->hash);
	k->description = span_dup(spec->description);
	k->id = id;
	k->user_id = spec->user_id;
	k->reusable = spec->reusable;
	k->ephemeral = spec->ephemeral;
	k->created = now;
	k->expiry = spec->expiry;
	if (spec->tags) {
		texts_copy(&k->tags, spec->tags);
		texts_normalise(&k->tags);
	}

	struct command c = { .auth_key = k,
		             .is_new = true,
		             .actor = actor,
		             .action = "preauthkey.create",
		             .now = now };

	r = state_apply(st, &c);
	if (r >= 0)
		*ret = state_auth_key(st, id);
	return r;
}

int state_auth_key_expire(struct state *st, uint64_t id, wall now, const char *actor)
{
	const struct auth_key *old = state_auth_key(st, id);

	if (!old)
		return ERR_UNKNOWN;

	struct command c = { .auth_key = auth_key_clone(old),
		             .actor = actor,
		             .action = "preauthkey.expire",
		             .before = audit_auth_key(old),
		             .now = now };

	if (!c.auth_key->expiry.us || c.auth_key->expiry.us > now.us)
		c.auth_key->expiry = now;
	return state_apply(st, &c);
}

int state_auth_key_delete(struct state *st, uint64_t id, wall now, const char *actor)
{
	const struct auth_key *old = state_auth_key(st, id);

	if (!old)
		return ERR_UNKNOWN;

	struct command c = { .del_auth_key = id,
		             .actor = actor,
		             .action = "preauthkey.delete",
		             .before = audit_auth_key(old),
		             .now = now };

	return state_apply(st, &c);
}

int state_import_auth_key(struct state *st, struct auth_key *k, wall now, const char *actor)
{
	struct command c = { .auth_key = k,
		             .is_new = true,
		             .actor = actor,
		             .action = "preauthkey.import",
		             .now = now };

	if (state_auth_key(st, k->id)) {
		auth_key_free(k);
		return ERR_EXISTS;
	}
	if (k->id >= st->next_auth_key)
		st->next_auth_key = k->id + 1;
	return state_apply(st, &c);
}

/* ---- API keys ---- */

int state_api_key_create(struct state *st, wall expiry, wall now, const char *actor,
                         struct secret *ret_secret, const struct api_key **ret)
{
	if (st->api_keys.n >= STATE_KEYS_MAX)
		return ERR_LIMIT;

	struct api_key *k = api_key_new();
	uint64_t id = st->next_api_key++;

	secret_new(SECRET_API_KEY, st->env.rand, ret_secret);
	free(k->prefix);
	free(k->hash);
	k->prefix = str_dup(ret_secret->prefix);
	k->hash = str_dup(ret_secret->hash);
	k->id = id;
	k->created = now;
	k->expiry = expiry;

	struct command c = {
		.api_key = k, .is_new = true, .actor = actor, .action = "apikey.create", .now = now
	};
	int r = state_apply(st, &c);

	if (r >= 0)
		*ret = state_api_key(st, id);
	return r;
}

int state_api_key_expire(struct state *st, uint64_t id, wall now, const char *actor)
{
	const struct api_key *old = state_api_key(st, id);

	if (!old)
		return ERR_UNKNOWN;

	struct command c = { .api_key = api_key_clone(old),
		             .actor = actor,
		             .action = "apikey.expire",
		             .before = audit_api_key(old),
		             .now = now };

	c.api_key->expiry = now;
	return state_apply(st, &c);
}

int state_api_key_delete(struct state *st, uint64_t id, wall now, const char *actor)
{
	const struct api_key *old = state_api_key(st, id);

	if (!old)
		return ERR_UNKNOWN;

	struct command c = { .del_api_key = id,
		             .actor = actor,
		             .action = "apikey.delete",
		             .before = audit_api_key(old),
		             .now = now };

	return state_apply(st, &c);
}

int state_import_api_key(struct state *st, struct api_key *k, wall now, const char *actor)
{
	struct command c = {
		.api_key = k, .is_new = true, .actor = actor, .action = "apikey.import", .now = now
	};

	if (state_api_key(st, k->id)) {
		api_key_free(k);
		return ERR_EXISTS;
	}
	if (k->id >= st->next_api_key)
		st->next_api_key = k->id + 1;
	return state_apply(st, &c);
}

enum { LAST_SEEN_GRAIN_S = 60 };

/* Notes the use, at most once a minute, and swaps an imported slow hash for ours. */
static int touch(struct state *st, const struct api_key *old, bool rehash, struct span secret,
                 wall now)
{
	bool recent = now.us - old->last_seen.us < LAST_SEEN_GRAIN_S * US_PER_S;
	char hash[SECRET_HASH_MAX];

	if (recent && !rehash)
		return 0;

	struct command c = { .api_key = api_key_clone(old), .now = now };

	c.api_key->last_seen = now;
	if (rehash) {
		secret_hash(secret, hash);
		free(c.api_key->hash);
		c.api_key->hash = str_dup(hash);
	}
	return state_apply(st, &c);
}

int state_api_key_verify(struct state *st, struct span text, wall now, const struct api_key **ret)
{
	struct secret_parts parts;

	if (secret_parse(SECRET_API_KEY, text, &parts) < 0)
		return ERR_AUTH;

	const struct api_key *k = state_api_key_by_prefix(st, parts.prefix);

	if (!k || (k->expiry.us && k->expiry.us <= now.us))
		return ERR_AUTH;

	enum secret_verdict v = secret_verify(parts.secret, k->hash);
	uint64_t id = k->id;

	if (v == SECRET_NO)
		return ERR_AUTH;

	int r = touch(st, k, v == SECRET_YES_REHASH, parts.secret, now);

	if (r < 0)
		return r;
	*ret = state_api_key(st, id);
	return 0;
}
