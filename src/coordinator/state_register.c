#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "coordinator/hostinfo.h"
#include "coordinator/state_priv.h"

/* Who will own the node: a user, or tags. */
struct owner {
	uint64_t user_id;
	struct texts tags; /* sorted */
};

static void owner_done(struct owner *o)
{
	texts_done(&o->tags);
}

/*
 * The machine's node of the same kind of owner: logging in again keeps id, names
 * and addresses; another user on the same machine gets a node of his own.
 */
static const struct node *same_owner(const struct state *st, const struct node_claim *claim,
                                     const struct owner *o)
{
	const struct node *n = NULL;

	while ((n = state_node_of_machine(st, &claim->machine, n)))
		if (o->tags.n ? node_is_tagged(n) : n->user_id == o->user_id && !node_is_tagged(n))
			return n;
	return NULL;
}

/* A user who takes his own tagged device back, or tags it, keeps the node. */
static const struct node *by_key_of_machine(const struct state *st, const struct node_claim *claim)
{
	const struct node *n = state_node_by_key(st, &claim->key);

	if (!n && !node_pub_is_zero(&claim->old_key))
		n = state_node_by_key(st, &claim->old_key);
	return n && machine_pub_eq(&n->machine, &claim->machine) ? n : NULL;
}

static wall expiry_of(const struct state *st, const struct node_claim *claim, bool tagged, wall now,
                      wall given)
{
	wall e = given;

	if (tagged)
		return (wall){ 0 };
	if (!e.us && st->cfg.node_expiry_us)
		e.us = now.us + st->cfg.node_expiry_us;
	if (claim->expiry.us > now.us && (!e.us || claim->expiry.us < e.us))
		e = claim->expiry;
	return e;
}

static void set_owner(struct node *n, struct owner *o)
{
	texts_done(&n->tags);
	n->tags = o->tags;
	o->tags = (struct texts){ 0 };
	n->user_id = n->tags.n ? 0 : o->user_id;
}

static unsigned diff_claim(const struct node *old, const struct node *next)
{
	unsigned what = NODE_EXPIRY;

	if (!node_pub_eq(&old->key, &next->key))
		what |= NODE_KEY;
	if (old->user_id != next->user_id || !texts_eq(&old->tags, &next->tags))
		what |= NODE_OWNER;
	if (strcmp(old->given_name, next->given_name) != 0)
		what |= NODE_NAME;
	if (!prefixes_eq(&old->approved, &next->approved) ||
	    !prefixes_eq(&old->advertised, &next->advertised))
		what |= NODE_ROUTES;
	if (old->capver != next->capver)
		what |= NODE_CAPVER;
	return what | NODE_HOSTINFO;
}

static struct node *fresh_node(struct state *st, const struct node_claim *claim, wall now)
{
	struct node *n = node_record_new();

	n->id = st->next_node;
	n->machine = claim->machine;
	n->created = now;
	n->authorized = !st->cfg.device_approval;
	return n;
}

/*
 * Builds the record and puts it in the command: a new one, or the old one with a
 * new key. The owner is taken.
 */
static int fill_command(struct state *st, const struct node_claim *claim, const struct node *old,
                        struct owner *o, enum register_method method, wall expiry, wall now,
                        struct command *c)
{
	const struct node *holder = state_node_by_key(st, &claim->key);

	if (holder && holder != old)
		return ERR_EXISTS;
	if (!old && st->nodes.n >= STATE_NODES_MAX)
		return ERR_LIMIT;

	AUTO(node_unref) struct node *n = old ? node_clone(old) : fresh_node(st, claim, now);
	int r = hostinfo_apply(n, claim->hostinfo);

	if (r < 0)
		return r;
	n->key = claim->key;
	n->capver = claim->capver;
	n->method = method;
	n->last_seen = now;
	n->ephemeral = claim->ephemeral;
	set_owner(n, o);
	n->expiry = expiry_of(st, claim, node_is_tagged(n), now, expiry);
	state_give_name(st, n);
	(void)state_approve_by_policy(st, n);
	r = state_give_addresses(st, n);
	if (r < 0)
		return r;
	c->is_new = !old;
	c->what = old ? diff_claim(old, n) : NODE_ADDED;
	c->before = old ? audit_node(old) : NULL;
	c->node = TAKE(n);
	c->now = now;
	return 0;
}

static int run(struct state *st, struct command *c, const struct node **ret)
{
	uint64_t id = c->node->id;
	bool is_new = c->is_new;

	if (is_new)
		st->next_node++;
	c->action = is_new ? "node.register" : "node.reauthenticate";

	int r = state_apply(st, c);

	if (r < 0)
		return r;
	*ret = state_node(st, id);
	return 0;
}

static void describe_failure(int r, struct fault *reterr)
{
	if (r == ERR_EXISTS)
		(void)fault_set(reterr, r, 0, 0, "node exists with a different machine key");
	else if (r == ERR_LIMIT)
		(void)fault_set(reterr, r, 0, 0, "no free addresses, or too many nodes");
	else
		(void)fault_set(reterr, r, 0, 0, "%s", err_text(r));
}

/* The tags the client asks for, if it may have them. */
static int requested_tags(const struct state *st, const struct node_claim *claim,
                          const struct user *u, const struct texts *has, struct texts *ret,
                          struct fault *reterr)
{
	AUTO(node_unref) struct node *probe = node_record_new();
	int r = hostinfo_apply(probe, claim->hostinfo);

	if (r < 0)
		return r;
	for (size_t i = 0; i < probe->request_tags.n; i++) {
		const char *tag = probe->request_tags.v[i];
		bool granted = (has && texts_has(has, tag)) ||
		               (st->env.may_tag && st->env.may_tag(st->env.arg, u, has, tag));

		if (!granted)
			return fault_set(reterr, ERR_DENIED, 0, 0,
			                 "requested tags [%.60s] are invalid or not permitted",
			                 tag);
		texts_add(ret, span_str(tag));
	}
	return 0;
}

/* ---- pre-auth keys ---- */

static int check_key(const struct auth_key *k, struct span secret, wall now, bool *rehash,
                     struct fault *reterr)
{
	enum secret_verdict v = k ? secret_verify(secret, k->hash) : SECRET_NO;

	if (v == SECRET_NO)
		return fault_set(reterr, ERR_AUTH, 0, 0, "invalid pre auth key");
	if (k->revoked)
		return fault_set(reterr, ERR_AUTH, 0, 0, "authkey revoked");
	if (k->expiry.us && k->expiry.us <= now.us)
		return fault_set(reterr, ERR_AUTH, 0, 0, "authkey expired");
	if (k->used && !k->reusable)
		return fault_set(reterr, ERR_AUTH, 0, 0, "authkey already used");
	*rehash = v == SECRET_YES_REHASH;
	return 0;
}

static void owner_of_key(const struct auth_key *k, struct owner *ret)
{
	ret->user_id = k->user_id;
	texts_copy(&ret->tags, &k->tags);
	texts_normalise(&ret->tags);
}

/* A restart with a spent key: the same machine and node key, made with that very key. */
static bool is_restart(const struct node *old, const struct node_claim *claim,
                       const struct auth_key *k, wall now)
{
	return old && k && old->auth_key_id == k->id && node_pub_eq(&old->key, &claim->key) &&
	       !node_expired(old, now);
}

static void spend(struct command *c, const struct auth_key *k, bool rehash, struct span secret)
{
	char hash[SECRET_HASH_MAX];

	if (k->used && !rehash)
		return;
	c->auth_key = auth_key_clone(k);
	c->auth_key->used = true;
	if (!rehash)
		return;
	secret_hash(secret, hash);
	free(c->auth_key->hash);
	c->auth_key->hash = str_dup(hash);
}

int state_register_with_key(struct state *st, const struct node_claim *claim, struct span key_text,
                            wall now, const struct node **ret, struct fault *reterr)
{
	struct secret_parts parts;
	AUTO_DONE(owner) struct owner o = { 0 };
	bool rehash = false;

	if (secret_parse(SECRET_AUTH_KEY, key_text, &parts) < 0)
		return fault_set(reterr, ERR_AUTH, 0, 0, "invalid pre auth key");

	const struct auth_key *k = state_auth_key_by_prefix(st, parts.prefix);

	if (k)
		owner_of_key(k, &o);

	const struct node *old = k ? same_owner(st, claim, &o) : NULL;

	if (is_restart(old, claim, k, now) && secret_verify(parts.secret, k->hash) != SECRET_NO) {
		*ret = old;
		return 0;
	}

	int r = check_key(k, parts.secret, now, &rehash, reterr);

	if (r >= 0)
		r = requested_tags(st, claim, state_user(st, k->user_id), &k->tags, &o.tags,
		                   reterr);
	if (r < 0)
		return r;
	texts_normalise(&o.tags);
	if (!old && o.tags.n && !k->tags.n)
		old = same_owner(st, claim, &o);

	struct node_claim full = *claim;
	struct command c = { .actor = "preauthkey" };

	full.ephemeral |= k->ephemeral;
	r = fill_command(st, &full, old, &o, REGISTER_AUTH_KEY, (wall){ 0 }, now, &c);
	if (r < 0) {
		describe_failure(r, reterr);
		return r;
	}
	c.node->auth_key_id = k->id;
	c.node->authorized = true; /* whoever made the key has approved the device */
	spend(&c, k, rehash, parts.secret);
	r = run(st, &c, ret);
	if (r < 0)
		describe_failure(r, reterr);
	return r;
}

/* ---- users ---- */

int state_register_for_user(struct state *st, const struct node_claim *claim, uint64_t user_id,
                            enum register_method method, wall expiry, wall now, const char *actor,
                            const struct node **ret, struct fault *reterr)
{
	const struct user *u = state_user(st, user_id);
	AUTO_DONE(owner) struct owner o = { .user_id = user_id };

	if (!u)
		return fault_set(reterr, ERR_UNKNOWN, 0, 0, "user not found");

	int r = requested_tags(st, claim, u, NULL, &o.tags, reterr);

	if (r < 0)
		return r;
	texts_normalise(&o.tags);

	const struct node *old = same_owner(st, claim, &o);

	if (!old) {
		/* The same device changing between tags and its user, in either direction. */
		const struct node *mine = by_key_of_machine(st, claim);

		if (mine && (node_is_tagged(mine) || (o.tags.n && mine->user_id == user_id)))
			old = mine;
	}

	struct command c = { .actor = actor };

	r = fill_command(st, claim, old, &o, method, expiry, now, &c);
	if (r >= 0)
		r = run(st, &c, ret);
	if (r < 0)
		describe_failure(r, reterr);
	return r;
}
