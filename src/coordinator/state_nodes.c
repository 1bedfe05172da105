#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/log.h"
#include "coordinator/attributes.h"
#include "coordinator/hostinfo.h"
#include "coordinator/names.h"
#include "coordinator/state_priv.h"

/* ---- addresses and names ---- */

static bool ip_taken(const void *arg, const struct ip *ip)
{
	return state_node_by_ip(arg, ip) != NULL;
}

static bool give_from_pools(struct state *st, const struct ipam_range *range,
                            const struct prefixes *pools, struct ip *slot)
{
	for (size_t i = 0; i < pools->n; i++) {
		struct ipam_range pool = { .prefix = pools->v[i] };

		if (prefix_is4(&pool.prefix) == prefix_is4(&range->prefix) &&
		    ipam_next(&st->ipam, &pool, st->env.rand, ip_taken, st, slot) >= 0)
			return true;
	}
	return false;
}

static int give_one(struct state *st, struct ipam_range *range, const struct prefixes *pools,
                    struct ip *slot)
{
	bool wanted = range->prefix.bits > 0;

	if (!wanted || !ip_is_zero(slot) || give_from_pools(st, range, pools, slot))
		return 0;
	return ipam_next(&st->ipam, range, st->env.rand, ip_taken, st, slot);
}

int state_give_addresses(struct state *st, struct node *n)
{
	struct prefixes pools = { 0 };
	int r;

	if (st->env.ip_pools && ip_is_zero(&n->ip4) && ip_is_zero(&n->ip6))
		st->env.ip_pools(st->env.arg, n, &pools);
	r = give_one(st, &st->ipam.v4, &pools, &n->ip4);
	if (r >= 0)
		r = give_one(st, &st->ipam.v6, &pools, &n->ip6);
	prefixes_done(&pools);
	return r;
}

struct name_query {
	const struct state *st;
	uint64_t self;
};

static bool name_taken(const void *arg, const char *name)
{
	const struct name_query *q = arg;
	const struct node *n = state_node_by_name(q->st, span_str(name));

	return n && n->id != q->self;
}

void state_give_name(struct state *st, struct node *n)
{
	struct name_query q = { st, n->id };
	char base[NAME_MAX_LEN + 1], name[NAME_MAX_LEN + 1];

	if (n->renamed)
		return;
	name_sanitise(span_str(n->hostname), base);
	name_unique(base, name_taken, &q, name);
	if (strcmp(name, n->given_name) == 0)
		return;
	free(n->given_name);
	n->given_name = str_dup(name);
}

bool state_approve_by_policy(struct state *st, struct node *n)
{
	bool changed = false;

	if (!st->env.auto_approves)
		return false;
	for (size_t i = 0; i < n->advertised.n; i++) {
		const struct prefix *p = &n->advertised.v[i];

		if (prefixes_has(&n->approved, p) || n->approved.n >= NODE_ROUTES_MAX ||
		    !st->env.auto_approves(st->env.arg, n, p))
			continue;
		vec_push(&n->approved, *p);
		changed = true;
	}
	prefixes_normalise(&n->approved);
	return changed;
}

static void collect_ids(const struct state *st, struct node_ids *ids)
{
	struct node_list all = { 0 };

	state_nodes(st, &all);
	vec_each(const struct node **, n, &all)
		vec_push(ids, (*n)->id);
	vec_done(&all);
}

void state_auto_approve(struct state *st, wall now)
{
	struct node_ids ids = { 0 };

	collect_ids(st, &ids);
	for (size_t i = 0; i < ids.n; i++) {
		const struct node *old = state_node(st, ids.v[i]);

		if (!old || !old->advertised.n)
			continue;

		struct command c = { .node = node_clone(old),
			             .what = NODE_ROUTES,
			             .actor = "policy",
			             .action = "node.approve-routes",
			             .before = audit_node(old),
			             .now = now };

		if (!state_approve_by_policy(st, c.node)) {
			node_unref(c.node);
			free(c.before);
		} else if (state_apply(st, &c) < 0) {
			break;
		}
	}
	vec_done(&ids);
}

/* ---- what nodes report ---- */

static unsigned diff_report(const struct node *old, const struct node *next)
{
	unsigned what = 0;

	if (!disco_pub_eq(&old->disco, &next->disco))
		what |= NODE_DISCO;
	if (!endpoints_eq(&old->endpoints, &next->endpoints))
		what |= NODE_ENDPOINTS;
	if (old->home_derp != next->home_derp)
		what |= NODE_HOME_DERP;
	if (old->capver != next->capver)
		what |= NODE_CAPVER;
	if (strcmp(old->given_name, next->given_name) != 0)
		what |= NODE_NAME;
	if (!prefixes_eq(&old->advertised, &next->advertised) ||
	    !prefixes_eq(&old->approved, &next->approved))
		what |= NODE_ROUTES;
	if ((old->hostinfo != NULL) != (next->hostinfo != NULL) ||
	    (old->hostinfo && strcmp(old->hostinfo, next->hostinfo) != 0))
		what |= NODE_HOSTINFO;
	return what;
}

static bool same_netinfo(const struct node *a, const struct node *b)
{
	return (a->netinfo != NULL) == (b->netinfo != NULL) &&
	       (!a->netinfo || strcmp(a->netinfo, b->netinfo) == 0);
}

/* Peers could not use them anyway. */
static bool worth_telling(const struct addr *a)
{
	return a->port && !a->zone && !ip_is_zero(&a->ip) && !ip_is_multicast(&a->ip) &&
	       !(ip_is_link_local(&a->ip) && !ip_is4(&a->ip));
}

static void take_endpoints(struct node *n, const struct endpoints *e)
{
	n->endpoints.n = 0;
	for (size_t i = 0; i < e->n && n->endpoints.n < NODE_ENDPOINTS_MAX; i++)
		if (worth_telling(&e->v[i]))
			vec_push(&n->endpoints, e->v[i]);
}

int state_node_report(struct state *st, uint64_t id, const struct node_report *report)
{
	const struct node *old = state_node(st, id);

	if (!old)
		return ERR_UNKNOWN;

	AUTO(node_unref) struct node *next = node_clone(old);
	int r = hostinfo_apply(next, report->hostinfo);

	if (r < 0)
		return r;
	if (report->disco && !disco_pub_is_zero(report->disco))
		next->disco = *report->disco;
	if (report->endpoints)
		take_endpoints(next, report->endpoints);
	if (report->capver)
		next->capver = report->capver;
	if (strcmp(old->hostname, next->hostname) != 0)
		state_give_name(st, next);
	if (!prefixes_eq(&old->advertised, &next->advertised))
		(void)state_approve_by_policy(st, next);

	unsigned what = diff_report(old, next);

	if (what & NODE_NAME) {
		/* Unique in the store too: written before anybody can take the old name. */
		struct command c = { .node = TAKE(next), .what = what };

		return state_apply(st, &c);
	}
	if (what || !same_netinfo(old, next))
		state_apply_soft(st, TAKE(next), what);
	return 0;
}

void state_node_online(struct state *st, uint64_t id, bool online, wall now)
{
	const struct node *old = state_node(st, id);

	if (!old || old->online == online)
		return;

	struct node *next = node_clone(old);

	next->online = online;
	next->last_seen = now;
	state_apply_soft(st, next, NODE_ONLINE);
}

void state_node_healthy(struct state *st, uint64_t id, bool healthy)
{
	bool was_ill = node_ids_has(&st->unhealthy, id);

	if (was_ill == !healthy)
		return;
	if (!healthy) {
		node_ids_add(&st->unhealthy, id);
	} else {
		for (size_t i = 0; i < st->unhealthy.n; i++)
			if (st->unhealthy.v[i] == id)
				vec_remove(&st->unhealthy, i);
	}
	log_info("router %s: node=%llu", healthy ? "answers again" : "does not answer",
	         (unsigned long long)id);
	state_reroute(st);
}

/* ---- what administrators do ---- */

/* A command that changes one node: a clone to edit, with its audit trail begun. */
static int edit(struct state *st, uint64_t id, unsigned what, wall now, const char *actor,
                const char *action, struct command *ret)
{
	const struct node *old = state_node(st, id);

	if (!old)
		return ERR_UNKNOWN;
	*ret = (struct command){ .node = node_clone(old),
		                 .what = what,
		                 .actor = actor,
		                 .action = action,
		                 .before = audit_node(old),
		                 .now = now };
	return 0;
}

int state_node_rename(struct state *st, uint64_t id, struct span name, wall now, const char *actor,
                      struct fault *reterr)
{
	const struct node *other = state_node_by_name(st, name);
	struct command c;

	if (!state_node(st, id))
		return fault_set(reterr, ERR_UNKNOWN, 0, 0, "node not found");
	if (name_check(name) < 0)
		return fault_set(reterr, ERR_MALFORMED, 0, 0,
		                 "\"%.*s\" is no DNS label: a-z, 0-9 and - between, 63 at most",
		                 SPAN_FMT(span_first(name, 80)));
	if (other && other->id != id)
		return fault_set(reterr, ERR_EXISTS, 0, 0, "name is not unique: %s",
		                 other->given_name);

	int r = edit(st, id, NODE_NAME, now, actor, "node.rename", &c);

	if (r < 0)
		return r;
	free(c.node->given_name);
	c.node->given_name = span_dup(name);
	c.node->renamed = true;
	return state_apply(st, &c);
}

static int check_tags(const struct state *st, const struct texts *tags, struct fault *reterr)
{
	if (!tags->n)
		return fault_set(reterr, ERR_MALFORMED, 0, 0,
		                 "cannot remove all tags from a node: at least one must stay");
	if (tags->n > NODE_TAGS_MAX)
		return fault_set(reterr, ERR_LIMIT, 0, 0, "too many tags");
	for (size_t i = 0; i < tags->n; i++) {
		const char *t = tags->v[i];

		if (strncmp(t, "tag:", 4) != 0 || strlen(t) > NAME_MAX_LEN + 4 ||
		    strpbrk(t, " \t\r\n"))
			return fault_set(reterr, ERR_MALFORMED, 0, 0,
			                 "tag must start with the string 'tag:': \"%.60s\"", t);
		for (const char *p = t; *p; p++)
			if (*p >= 'A' && *p <= 'Z')
				return fault_set(reterr, ERR_MALFORMED, 0, 0,
				                 "tag should be lowercase: \"%.60s\"", t);
		if (st->env.tag_known && !st->env.tag_known(st->env.arg, t))
			return fault_set(reterr, ERR_UNKNOWN, 0, 0,
			                 "requested tags [%.60s] are invalid or not permitted", t);
	}
	return 0;
}

int state_node_set_tags(struct state *st, uint64_t id, const struct texts *tags, wall now,
                        const char *actor, struct fault *reterr)
{
	struct command c;
	int r = check_tags(st, tags, reterr);

	if (r < 0)
		return r;
	r = edit(st, id, NODE_OWNER | NODE_EXPIRY, now, actor, "node.tag", &c);
	if (r < 0)
		return fault_set(reterr, r, 0, 0, "node not found");
	texts_done(&c.node->tags);
	texts_copy(&c.node->tags, tags);
	texts_normalise(&c.node->tags);
	c.node->user_id = 0;
	c.node->expiry = (wall){ 0 }; /* a user's expiry does not bind a tagged node */
	(void)state_approve_by_policy(st, c.node);
	return state_apply(st, &c);
}

static bool has_default(const struct prefixes *p)
{
	for (size_t i = 0; i < p->n; i++)
		if (prefix_is_default(&p->v[i]))
			return true;
	return false;
}

int state_node_approve_routes(struct state *st, uint64_t id, const struct prefixes *routes,
                              wall now, const char *actor)
{
	const struct prefix all4 = { .ip = ip4(0, 0, 0, 0) }, all6 = { 0 };
	struct command c;

	if (routes->n > NODE_ROUTES_MAX - 2)
		return ERR_LIMIT;

	int r = edit(st, id, NODE_ROUTES, now, actor, "node.approve-routes", &c);

	if (r < 0)
		return r;
	prefixes_done(&c.node->approved);
	prefixes_copy(&c.node->approved, routes);
	if (has_default(routes)) {
		vec_push(&c.node->approved, all4);
		vec_push(&c.node->approved, all6);
	}
	prefixes_normalise(&c.node->approved);
	return state_apply(st, &c);
}

int state_node_expire(struct state *st, uint64_t id, wall at, wall now, const char *actor)
{
	struct command c;
	int r = edit(st, id, NODE_EXPIRY, now, actor, "node.expire", &c);

	if (r < 0)
		return r;
	c.node->expiry = at;
	return state_apply(st, &c);
}

int state_node_authorize(struct state *st, uint64_t id, wall now, const char *actor)
{
	struct command c;
	int r = edit(st, id, NODE_AUTHORIZED, now, actor, "node.approve", &c);

	if (r < 0)
		return r;
	c.node->authorized = true;
	return state_apply(st, &c);
}

int state_node_set_attrs(struct state *st, uint64_t id, const struct js *update, wall expiry,
                         wall now, const char *actor, struct fault *reterr)
{
	const struct node *old = state_node(st, id);
	char *text = NULL;
	struct command c;
	int r;

	if (!old)
		return fault_set(reterr, ERR_UNKNOWN, 0, 0, "node not found");
	r = attrs_update(old->attrs, update, expiry, now, &text, reterr);
	if (r >= 0)
		r = edit(st, id, NODE_ATTRS, now, actor, "node.attributes", &c);
	if (r < 0) {
		free(text);
		return r;
	}
	free(c.node->attrs);
	c.node->attrs = text;
	c.node->attrs_until = attrs_until(text);
	return state_apply(st, &c);
}

int state_node_move(struct state *st, uint64_t id, uint64_t user_id, wall now, const char *actor)
{
	struct command c;

	if (!state_user(st, user_id))
		return ERR_UNKNOWN;

	int r = edit(st, id, NODE_OWNER, now, actor, "node.move", &c);

	if (r < 0)
		return r;
	c.node->user_id = user_id;
	texts_done(&c.node->tags);
	return state_apply(st, &c);
}

int state_node_delete(struct state *st, uint64_t id, wall now, const char *actor)
{
	const struct node *old = state_node(st, id);

	if (!old)
		return ERR_UNKNOWN;

	struct command c = { .del_node = id,
		             .actor = actor,
		             .action = "node.delete",
		             .before = audit_node(old),
		             .now = now };

	return state_apply(st, &c);
}

static void note_backfill(const struct node *old, const struct node *next, struct texts *ret)
{
	const struct ip *added = ip_eq(&old->ip4, &next->ip4) ? &next->ip6 : &next->ip4;
	char ip[IP_TEXT_MAX];
	AUTO_FREE char *line = str_fmt("assigned %s to Node(%llu) %s", ip_text(added, ip),
	                               (unsigned long long)next->id, next->given_name);

	texts_add(ret, span_str(line));
}

int state_backfill_ips(struct state *st, wall now, const char *actor, struct texts *ret)
{
	struct node_ids ids = { 0 };
	int r = 0;

	collect_ids(st, &ids);
	for (size_t i = 0; r >= 0 && i < ids.n; i++) {
		const struct node *old = state_node(st, ids.v[i]);
		struct command c;

		r = edit(st, ids.v[i], NODE_NAME, now, actor, "node.backfill-ips", &c);
		if (r < 0)
			break;
		r = state_give_addresses(st, c.node);
		if (r < 0 || (ip_eq(&old->ip4, &c.node->ip4) && ip_eq(&old->ip6, &c.node->ip6))) {
			node_unref(c.node);
			free(c.before);
			continue;
		}
		note_backfill(old, c.node, ret);
		c.is_new = true; /* the allocators moved on */
		r = state_apply(st, &c);
	}
	vec_done(&ids);
	return r;
}

int state_import_node(struct state *st, struct node *n, wall now, const char *actor)
{
	struct command c = { .node = n,
		             .is_new = true,
		             .what = NODE_ADDED,
		             .actor = actor,
		             .action = "node.import",
		             .now = now };

	if (state_node(st, n->id)) {
		node_unref(n);
		return ERR_EXISTS;
	}
	if (n->id >= st->next_node)
		st->next_node = n->id + 1;
	return state_apply(st, &c);
}

int state_policy_save(struct state *st, struct span text, wall now, const char *actor)
{
	struct command c = { .set_policy = true,
		             .policy = text,
		             .actor = actor,
		             .action = "policy.set",
		             .now = now };

	return state_apply(st, &c);
}

/* ---- time ---- */

static bool just_expired(const struct state *st, const struct node *n, wall now)
{
	return n->expiry.us > st->ticked.us && n->expiry.us <= now.us;
}

static bool gone_for_good(const struct node *n, wall now, int64_t inactivity_us)
{
	return n->ephemeral && !n->online && now.us - n->last_seen.us > inactivity_us;
}

/* Attributes that ended are taken out. */
static void end_attrs(struct state *st, const struct node_ids *ids, wall now)
{
	static const struct js nothing = { .kind = JS_OBJECT };

	for (size_t i = 0; i < ids->n; i++)
		if (state_node_set_attrs(st, ids->v[i], &nothing, (wall){ 0 }, now, "system",
		                         NULL) < 0)
			break;
}

void state_tick(struct state *st, wall now, int64_t inactivity_us)
{
	struct node_ids expired = { 0 }, gone = { 0 }, ended = { 0 };

	for (struct map_node *m = map_first(&st->nodes); m; m = map_next(&st->nodes, m)) {
		const struct node *n = CONTAINER_OF(m, struct node, by_id);

		if (st->ticked.us && just_expired(st, n, now))
			node_ids_add(&expired, n->id);
		if (gone_for_good(n, now, inactivity_us))
			node_ids_add(&gone, n->id);
		else if (n->attrs_until.us && n->attrs_until.us <= now.us)
			node_ids_add(&ended, n->id);
	}
	st->ticked = now;
	for (size_t i = 0; i < expired.n; i++)
		state_journal(st, CHANGE_NODE, expired.v[i], NODE_EXPIRY);
	if (expired.n)
		state_reroute(st);
	for (size_t i = 0; i < gone.n; i++)
		if (state_node_delete(st, gone.v[i], now, "ephemeral") < 0)
			break;
	end_attrs(st, &ended, now);
	vec_done(&expired);
	vec_done(&gone);
	vec_done(&ended);
}
