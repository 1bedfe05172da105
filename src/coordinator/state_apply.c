#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "coordinator/state_priv.h"

void state_journal(struct state *st, enum change_kind kind, uint64_t id, unsigned what)
{
	struct change c = { .seq = ++st->seq, .kind = kind, .what = what, .id = id };
	struct node *n = kind == CHANGE_NODE ? state_node_mut(st, id) : NULL;

	if (n)
		n->version = c.seq;
	st->journal[c.seq % JOURNAL_LEN] = c;
	if (st->env.changed)
		st->env.changed(st->env.arg, &c);
}

void state_announce(struct state *st, enum change_kind kind)
{
	state_journal(st, kind, 0, 0);
}

/* ---- writing ---- */

static int write_counters(struct state *st, const struct command *c)
{
	struct store *s = st->store;
	int r = 0;

	if (c->user)
		r = s->ops->put_number(s, "next_user", st->next_user);
	if (r >= 0 && c->node)
		r = s->ops->put_number(s, "next_node", st->next_node);
	if (r >= 0 && c->node)
		r = s->ops->put_number(s, "last_ip4", st->ipam.v4.last);
	if (r >= 0 && c->node)
		r = s->ops->put_number(s, "last_ip6", st->ipam.v6.last);
	if (r >= 0 && c->auth_key)
		r = s->ops->put_number(s, "next_auth_key", st->next_auth_key);
	if (r >= 0 && c->api_key)
		r = s->ops->put_number(s, "next_api_key", st->next_api_key);
	return r;
}

static int write_deletions(struct store *s, const struct command *c)
{
	int r = 0;

	if (c->del_node)
		r = s->ops->del_node(s, c->del_node);
	if (r >= 0 && c->del_auth_key)
		r = s->ops->del_auth_key(s, c->del_auth_key);
	if (r >= 0 && c->del_api_key)
		r = s->ops->del_api_key(s, c->del_api_key);
	if (r >= 0 && c->del_user)
		r = s->ops->del_user(s, c->del_user);
	return r;
}

static int write_records(struct state *st, const struct command *c)
{
	struct store *s = st->store;
	int r = 0;

	if (c->user)
		r = s->ops->put_user(s, c->user);
	if (r >= 0 && c->auth_key)
		r = s->ops->put_auth_key(s, c->auth_key);
	if (r >= 0 && c->node)
		r = s->ops->put_node(s, c->node);
	if (r >= 0 && c->api_key)
		r = s->ops->put_api_key(s, c->api_key);
	if (r >= 0 && c->set_policy)
		r = s->ops->put_policy(s, c->policy, c->actor, c->now);
	if (r >= 0 && c->is_new)
		r = write_counters(st, c);
	return r < 0 ? r : write_deletions(s, c);
}

/* What the command is about, "node:17", and its JSON after. */
static char *describe(const struct command *c, char target[static 40])
{
	const struct {
		const char *kind;
		uint64_t id;
	} about = c->node           ? (typeof(about)){ "node", c->node->id }
	          : c->del_node     ? (typeof(about)){ "node", c->del_node }
	          : c->user         ? (typeof(about)){ "user", c->user->id }
	          : c->del_user     ? (typeof(about)){ "user", c->del_user }
	          : c->auth_key     ? (typeof(about)){ "preauthkey", c->auth_key->id }
	          : c->del_auth_key ? (typeof(about)){ "preauthkey", c->del_auth_key }
	          : c->api_key      ? (typeof(about)){ "apikey", c->api_key->id }
	          : c->del_api_key  ? (typeof(about)){ "apikey", c->del_api_key }
	                            : (typeof(about)){ "policy", 0 };

	(void)snprintf(target, 40, "%s:%llu", about.kind, (unsigned long long)about.id);
	if (c->node)
		return audit_node(c->node);
	if (c->user)
		return audit_user(c->user);
	if (c->auth_key)
		return audit_auth_key(c->auth_key);
	return c->api_key ? audit_api_key(c->api_key) : NULL;
}

static int write_audit(struct state *st, const struct command *c)
{
	char target[40];

	if (!c->action)
		return 0;

	AUTO_FREE char *after = describe(c, target);
	struct audit_entry e = {
		.at = c->now,
		.actor = c->actor ? c->actor : "system",
		.action = c->action,
		.target = target,
		.before = c->before,
		.after = after,
	};

	return st->store->ops->add_audit(st->store, &e);
}

static int write_all(struct state *st, const struct command *c)
{
	struct store *s = st->store;
	int r = s->ops->begin(s);

	if (r < 0)
		return r;
	r = write_records(st, c);
	if (r >= 0)
		r = write_audit(st, c);
	if (r >= 0)
		r = s->ops->commit(s);
	if (r < 0)
		s->ops->rollback(s);
	return r;
}

/* ---- applying ---- */

/* Most nodes carry no routes, and most changes are theirs. */
static bool moves_routes(const struct node *n, unsigned what)
{
	const unsigned usable = NODE_ADDED | NODE_ONLINE | NODE_EXPIRY | NODE_AUTHORIZED;

	return (what & NODE_ROUTES) || (n->approved.n && (what & usable));
}

static void apply_node(struct state *st, struct command *c)
{
	uint64_t id = c->node->id;
	bool reroute = moves_routes(c->node, c->what);

	state_put_node(st, TAKE(c->node));
	state_journal(st, CHANGE_NODE, id, c->what);
	if (reroute)
		state_reroute(st);
}

static void apply_deletions(struct state *st, const struct command *c)
{
	const struct node *gone = state_node(st, c->del_node);

	if (gone) {
		bool reroute = gone->approved.n > 0;

		state_drop_node(st, c->del_node);
		state_journal(st, CHANGE_NODE, c->del_node, NODE_REMOVED);
		if (reroute)
			state_reroute(st);
	}
	state_drop_auth_key(st, c->del_auth_key);
	state_drop_api_key(st, c->del_api_key);
	if (c->del_user) {
		state_drop_user(st, c->del_user);
		state_journal(st, CHANGE_USER, c->del_user, 0);
	}
}

static void apply_memory(struct state *st, struct command *c)
{
	if (c->user) {
		uint64_t id = c->user->id;

		state_put_user(st, TAKE(c->user));
		state_journal(st, CHANGE_USER, id, 0);
	}
	if (c->auth_key)
		state_put_auth_key(st, TAKE(c->auth_key));
	if (c->api_key)
		state_put_api_key(st, TAKE(c->api_key));
	if (c->node)
		apply_node(st, c);
	apply_deletions(st, c);
}

static void command_done(struct command *c)
{
	user_free(c->user);
	node_unref(c->node);
	auth_key_free(c->auth_key);
	api_key_free(c->api_key);
	free(c->before);
}

int state_note(struct state *st, const char *actor, const char *action, const char *target,
               const char *details, wall now)
{
	struct store *s = st->store;
	struct audit_entry e = {
		.at = now, .actor = actor, .action = action, .target = target, .after = details
	};
	int r = s->ops->begin(s);

	if (r < 0)
		return r;
	r = s->ops->add_audit(s, &e);
	if (r >= 0)
		r = s->ops->commit(s);
	if (r < 0)
		s->ops->rollback(s);
	return r;
}

int state_apply(struct state *st, struct command *c)
{
	int r = write_all(st, c);

	if (r >= 0)
		apply_memory(st, c);
	command_done(c);
	return r;
}

/* ---- what is written later ---- */

void state_apply_soft(struct state *st, struct node *next, unsigned what)
{
	uint64_t id = next->id;
	bool reroute = moves_routes(next, what);

	state_put_node(st, next);
	node_ids_add(&st->dirty, id);
	state_journal(st, CHANGE_NODE, id, what);
	if (reroute)
		state_reroute(st);
}

bool state_is_dirty(const struct state *st)
{
	return st->dirty.n > 0;
}

int state_flush(struct state *st)
{
	struct store *s = st->store;

	if (!st->dirty.n)
		return 0;

	int r = s->ops->begin(s);

	for (size_t i = 0; r >= 0 && i < st->dirty.n; i++) {
		const struct node *n = state_node(st, st->dirty.v[i]);

		if (n)
			r = s->ops->put_node(s, n);
	}
	if (r >= 0)
		r = s->ops->commit(s);
	if (r < 0)
		s->ops->rollback(s);
	else
		st->dirty.n = 0;
	return r;
}

/* ---- routes ---- */

static void offer_routes(const struct state *st, const struct node *n, struct route_offer **v,
                         size_t *count, size_t *cap)
{
	struct {
		struct route_offer *v;
		size_t n, cap;
	} offers = { *v, *count, *cap };

	for (size_t i = 0; i < n->approved.n; i++) {
		const struct prefix *p = &n->approved.v[i];

		if (prefix_is_default(p) || !prefixes_has(&n->advertised, p))
			continue;

		bool may = n->authorized && !node_expired(n, st->ticked);
		struct route_offer o = {
			.prefix = *p,
			.node = n->id,
			.there = may && (n->online || !st->settled),
			.healthy = n->online && !node_ids_has(&st->unhealthy, n->id),
		};

		vec_push(&offers, o);
	}
	*v = offers.v;
	*count = offers.n;
	*cap = offers.cap;
}

void state_settle(struct state *st)
{
	if (st->settled)
		return;
	st->settled = true;
	state_reroute(st);
}

void state_reroute(struct state *st)
{
	struct route_offer *offers = NULL;
	size_t n = 0, cap = 0;
	struct node_ids moved = { 0 };

	for (struct map_node *m = map_first(&st->nodes); m; m = map_next(&st->nodes, m))
		offer_routes(st, CONTAINER_OF(m, struct node, by_id), &offers, &n, &cap);
	routes_update(&st->routes, offers, n, &moved);
	free(offers);
	for (size_t i = 0; i < moved.n; i++)
		if (state_node(st, moved.v[i]))
			state_journal(st, CHANGE_NODE, moved.v[i], NODE_ROUTES);
	vec_done(&moved);
}
