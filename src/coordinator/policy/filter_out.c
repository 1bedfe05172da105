/* The packet filter of one node: the rules that concern it, reduced to it. */
#include <stdlib.h>

#include "coordinator/policy/inner.h"

struct out {
	struct pol_engine *e;
	const struct enode *n;
	struct pol_filter *f;
	struct arena *a;
};

void pol_filter_done(struct pol_filter *f)
{
	vec_each(struct pol_filter_rule *, r, &f->rules) {
		vec_done(&r->dst);
		vec_done(&r->grants);
	}
	vec_done(&f->rules);
	arena_done(&f->arena);
}

/* ---- which part of a range concerns the node ---- */

static bool meets_routes(const struct enode *n, const struct iprange *r)
{
	for (size_t i = 0; i < n->n.n_routes; i++) {
		struct iprange route = iprange_of(&n->n.routes[i]);

		if (prefix_is_subnet(&n->n.routes[i]) && iprange_overlaps(&route, r))
			return true;
	}
	return false;
}

static bool has_address_in(const struct enode *n, const struct iprange *r)
{
	return (ip_is4(&n->ip4) && iprange_has(r, &n->ip4)) ||
	       (!ip_is_zero(&n->n.ip6) && iprange_has(r, &n->n.ip6));
}

static bool keeps_range(const struct out *o, const struct rule *rule, const struct iprange *r,
                        bool internet)
{
	if (meets_routes(o->n, r))
		return true;
	if (rule->via.n)
		return internet && enode_is_exit(o->n);
	return has_address_in(o->n, r) ||
	       (enode_is_exit(o->n) && ipset_covers_range(&o->e->internet, r));
}

/* ---- network ---- */

static void add_dst(struct out *o, struct pol_filter_rule *to, const char *ip,
                    const struct rule *rule, const struct rule_dst *d)
{
	(void)o;
	for (uint32_t i = 0; i < d->port_n; i++) {
		const struct port_range *p = &rule->ports.v[d->port_first + i];

		if (p->proto == to->proto)
			vec_push(&to->dst, ((struct pol_dst){ ip, p->first, p->last }));
	}
}

static void add_dst_ip(struct out *o, struct pol_filter_rule *to, const struct ip *ip,
                       const struct rule *rule, const struct rule_dst *d)
{
	char text[IP_TEXT_MAX];

	add_dst(o, to, arena_str(o->a, span_str(ip_text(ip, text))), rule, d);
}

static void add_self_dst(struct out *o, struct pol_filter_rule *to, const struct rule *rule,
                         const struct rule_dst *d)
{
	if (ip_is4(&o->n->ip4))
		add_dst_ip(o, to, &o->n->ip4, rule, d);
	if (!ip_is_zero(&o->n->n.ip6))
		add_dst_ip(o, to, &o->n->n.ip6, rule, d);
}

static void add_ranges(struct out *o, struct pol_filter_rule *to, const struct sel *s,
                       const struct rule *rule, const struct rule_dst *d)
{
	bool kept_prefix = false;

	for (size_t i = 0; i < s->ranges.n && !kept_prefix; i++) {
		char range[IPRANGE_TEXT_MAX], prefix[PREFIX_TEXT_MAX];
		const char *text = iprange_text(&s->ranges.v[i], range);

		if (!keeps_range(o, rule, &s->ranges.v[i], s->internet))
			continue;
		/* ::/0 is two ranges, but one entry. */
		kept_prefix = s->is_prefix && !prefix_is_host(&s->prefix);
		if (kept_prefix)
			text = prefix_text(&s->prefix, prefix);
		add_dst(o, to, arena_str(o->a, span_str(text)), rule, d);
	}
}

static bool is_self(const struct sel *s)
{
	return s->kind == SEL_AUTO && s->autogroup == AG_SELF;
}

static void add_destination(struct out *o, struct pol_filter_rule *to, const struct rule *rule,
                            const struct rule_dst *d)
{
	const struct sel *s = engine_sel(o->e, d->sel);

	if (is_self(s))
		return;
	if (s->kind == SEL_LITERAL || (s->kind == SEL_AUTO && s->autogroup == AG_INTERNET))
		add_ranges(o, to, s, rule, d);
	else if (rule->via.n)
		return;
	else if (s->kind == SEL_ALL)
		add_dst(o, to, "*", rule, d);
	else if (sel_names(o->e, d->sel, &o->n->n))
		add_self_dst(o, to, rule, d);
}

/* Is this the first of the rule's ports with that protocol? */
static bool first_of_proto(const struct rule *rule, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (rule->ports.v[k].proto == rule->ports.v[i].proto)
			return false;
	return true;
}

static void push_network(struct out *o, const struct pol_filter_rule *r)
{
	struct pol_filter_rule copy = *r;

	if (r->dst.n)
		vec_push(&o->f->rules, *r);
	else
		vec_done(&copy.dst);
}

static void network(struct out *o, const struct rule *rule, const struct pol_src *src)
{
	for (size_t i = 0; i < rule->ports.n; i++) {
		struct pol_filter_rule r = { .src = src, .proto = rule->ports.v[i].proto };

		if (!first_of_proto(rule, i))
			continue;
		for (size_t k = 0; k < rule->dst.n; k++)
			add_destination(o, &r, rule, &rule->dst.v[k]);
		push_network(o, &r);
	}
}

static void network_self(struct out *o, const struct rule *rule, const struct pol_src *src)
{
	for (size_t i = 0; i < rule->ports.n; i++) {
		struct pol_filter_rule r = { .src = src, .proto = rule->ports.v[i].proto };

		if (!first_of_proto(rule, i))
			continue;
		for (size_t k = 0; k < rule->dst.n; k++)
			if (is_self(engine_sel(o->e, rule->dst.v[k].sel)))
				add_self_dst(o, &r, rule, &rule->dst.v[k]);
		push_network(o, &r);
	}
}

/* ---- application ---- */

typedef VEC(struct prefix) prefix_vec;

static void add_own(const struct out *o, prefix_vec *to)
{
	if (ip_is4(&o->n->ip4))
		vec_push(to, prefix_host(o->n->ip4));
	if (!ip_is_zero(&o->n->n.ip6))
		vec_push(to, prefix_host(o->n->n.ip6));
}

/* A single address stays if it is the node's; a wider one becomes the node's own in it. */
static void add_range_dsts(const struct out *o, const struct iprange *range, prefix_vec *to)
{
	struct iprange rest = *range;
	struct prefix p;

	if (ip_is4(&o->n->ip4) && iprange_has(range, &o->n->ip4))
		vec_push(to, prefix_host(o->n->ip4));
	if (!ip_is_zero(&o->n->n.ip6) && iprange_has(range, &o->n->n.ip6))
		vec_push(to, prefix_host(o->n->n.ip6));
	for (bool more = !ip_eq(&rest.lo, &rest.hi); more;) {
		more = iprange_cut_prefix(&rest, &p);
		struct iprange part = iprange_of(&p);

		if (meets_routes(o->n, &part))
			vec_push(to, p);
	}
}

static void add_all_dsts(const struct out *o, prefix_vec *to)
{
	static const struct prefix all4 = { { { [10] = 0xff, [11] = 0xff } }, 0 }, all6;
	bool four = false, six = false;

	add_own(o, to);
	for (size_t i = 0; i < o->n->n.n_routes; i++) {
		const struct prefix *p = &o->n->n.routes[i];

		four |= prefix_is_subnet(p) && prefix_is4(p);
		six |= prefix_is_subnet(p) && !prefix_is4(p);
	}
	if (four)
		vec_push(to, all4);
	if (six)
		vec_push(to, all6);
}

static void add_dsts_of(const struct out *o, uint32_t sel, prefix_vec *to)
{
	const struct sel *s = engine_sel(o->e, sel);

	if (s->kind == SEL_ALL)
		add_all_dsts(o, to);
	else if (s->kind == SEL_LITERAL)
		for (size_t i = 0; i < s->ranges.n; i++)
			add_range_dsts(o, &s->ranges.v[i], to);
	else if (sel_names(o->e, sel, &o->n->n))
		add_own(o, to);
}

static struct pol_cap *app_caps(struct out *o, const struct js *app)
{
	struct pol_cap *caps = arena_new_n(o->a, struct pol_cap, app->n + 1), *c = caps;

	for (const struct js *m = js_first(app); m; m = m->next, c++) {
		AUTO_DONE(buf) struct buf text = { 0 };
		struct js_wr w = js_wr_of(&text);

		js_wr_tree(&w, m);
		c->name = m->key;
		c->values = span(arena_dup(o->a, text.p, text.n), text.n);
	}
	return caps;
}

static void push_grant(struct out *o, const struct pol_src *src, prefix_vec *dsts,
                       struct pol_cap *caps, size_t n_caps)
{
	struct pol_filter_rule r = { .src = src, .proto = -1 };
	struct pol_grant g = { .caps = caps, .n_caps = n_caps, .n_dsts = dsts->n };

	if (dsts->n && n_caps && src->n) {
		g.dsts = arena_dup(o->a, dsts->v, dsts->n * sizeof(*dsts->v));
		vec_push(&r.grants, g);
		vec_push(&o->f->rules, r);
	}
	vec_done(dsts);
}

/* What the sources are granted towards the destinations in return. */
static size_t companion_caps(struct out *o, const struct js *app, struct pol_cap **ret)
{
	struct pol_cap *caps = arena_new_n(o->a, struct pol_cap, 2);
	size_t n = 0;

	if (js_get(app, "tailscale.com/cap/drive"))
		caps[n++] = (struct pol_cap){ SPAN_LIT("tailscale.com/cap/drive-sharer"),
			                      SPAN_LIT("null") };
	if (js_get(app, "tailscale.com/cap/relay"))
		caps[n++] = (struct pol_cap){ SPAN_LIT("tailscale.com/cap/relay-target"),
			                      SPAN_LIT("null") };
	*ret = caps;
	return n;
}

/* The rule's destinations as sources. */
static const struct pol_src *destinations_as_src(struct out *o, const struct rule *rule)
{
	struct src_list l = { .memory = o->a };
	struct pol_src *src = arena_new(o->a, struct pol_src);

	for (size_t i = 0; i < rule->dst.n; i++) {
		uint32_t id = rule->dst.v[i].sel;
		const struct sel *s = engine_sel(o->e, id);
		const struct ipset *ranges = s->kind == SEL_ALL ? &o->e->tailnet : &s->ranges;

		for (size_t k = 0; k < ranges->n; k++)
			src_add_range(&l, &ranges->v[k]);
		for (size_t k = 0; s->kind == SEL_ALL && k < o->e->routes.n; k++) {
			struct iprange r = iprange_of(&o->e->routes.v[k].prefix);

			src_add_range(&l, &r);
		}
		if (s->kind == SEL_ALL || s->kind == SEL_LITERAL || is_self(s))
			continue;
		for (struct map_node *m = map_first(&o->e->nodes); m;
		     m = map_next(&o->e->nodes, m)) {
			const struct enode *n = CONTAINER_OF(m, struct enode, by_id);

			if (sel_names(o->e, id, &n->n))
				src_add_node(&l, n);
		}
	}
	*src = src_finish(&l);
	return src;
}

static void companion(struct out *o, const struct rule *rule, size_t index)
{
	struct pol_cap *caps;
	size_t n = companion_caps(o, rule->app, &caps);
	prefix_vec dsts = { 0 };

	if (n == 0 || !bit_get(o->n->class->from, index))
		return;
	if (bit_get(o->n->class->addr, index))
		add_own(o, &dsts);
	for (size_t i = 0; i < rule->src.n; i++) {
		const struct sel *s = engine_sel(o->e, rule->src.v[i]);

		for (size_t k = 0; s->kind == SEL_LITERAL && k < s->ranges.n; k++)
			if (meets_routes(o->n, &s->ranges.v[k]))
				add_range_dsts(o, &s->ranges.v[k], &dsts);
	}
	push_grant(o, destinations_as_src(o, rule), &dsts, caps, n);
}

static void application(struct out *o, const struct rule *rule, size_t index,
                        const struct pol_src *src)
{
	struct pol_cap *caps = app_caps(o, rule->app);

	for (size_t i = 0; i < rule->dst.n; i++) {
		prefix_vec dsts = { 0 };

		add_dsts_of(o, rule->dst.v[i].sel, &dsts);
		push_grant(o, src, &dsts, caps, rule->app->n);
	}
	companion(o, rule, index);
}

/* ---- autogroup:self ---- */

static struct pol_src *make_owner_src(struct eowner *owner, size_t index, bool all)
{
	struct src_list l = { .memory = &owner->memory };
	struct pol_src *src = arena_new(&owner->memory, struct pol_src);
	const struct enode *n;

	list_each(n, &owner->nodes, in_owner)
		if (all || bit_get(n->class->addr, index))
			src_add_node(&l, n);
	*src = src_finish(&l);
	return src;
}

/* The same for all devices of the owner, and kept until they are others. */
static const struct pol_src *owner_src(struct out *o, size_t index, bool all)
{
	struct eowner *owner = o->n->owner;
	struct pol_src ***kept = &owner->self[all];

	if (!*kept)
		*kept = arena_new_n(&owner->memory, struct pol_src *, o->e->p->rules.n);
	if (!(*kept)[index])
		(*kept)[index] = make_owner_src(owner, index, all);
	return (*kept)[index];
}

static void self_part(struct out *o, const struct rule *rule, size_t index)
{
	const struct pol_src *src;

	if (!o->n->owner || !bit_get(o->e->self_rules, index))
		return;
	src = owner_src(o, index, false);
	if (src->n == 0)
		return;
	network_self(o, rule, src);
	if (!rule->app)
		return;
	prefix_vec dsts = { 0 };
	struct pol_cap *caps;

	add_own(o, &dsts);
	push_grant(o, src, &dsts, app_caps(o, rule->app), rule->app->n);
	size_t n = companion_caps(o, rule->app, &caps);

	if (n && bit_get(o->n->class->addr, index)) {
		dsts = (prefix_vec){ 0 };
		add_own(o, &dsts);
		push_grant(o, owner_src(o, index, true), &dsts, caps, n);
	}
}

/* ---- all rules ---- */

static void one_rule(struct out *o, size_t index)
{
	const struct rule *rule = &o->e->p->rules.v[index];
	const struct pol_src *src;

	self_part(o, rule, index);
	if (rule->via.n && (!bit_get(o->n->class->to, index) || rule->ports.n == 0))
		return;
	if (bit_get(o->n->class->to, index) || enode_is_exit(o->n)) {
		src = engine_set_text(o->e, o->e->rule_set[index]);
		if (src->n && rule->ports.n)
			network(o, rule, src);
		if (src->n && rule->app && !rule->via.n)
			application(o, rule, index, src);
	} else if (rule->app && !rule->via.n) {
		companion(o, rule, index);
	}
}

void pol_filter_of(struct pol_engine *e, uint64_t id, struct pol_filter *ret)
{
	struct out o = { .e = e, .n = engine_node(e, id), .f = ret, .a = &ret->arena };

	pol_filter_done(ret);
	for (size_t i = 0; o.n && i < e->p->rules.n; i++)
		one_rule(&o, i);
}

/* ---- text ---- */

static void write_dst(struct js_wr *w, const struct pol_dst *d)
{
	js_wr_open(w, JS_OBJECT);
	js_wr_kv_str(w, "IP", d->ip);
	js_wr_key(w, "Ports");
	js_wr_open(w, JS_OBJECT);
	js_wr_kv_int(w, "First", d->first);
	js_wr_kv_int(w, "Last", d->last);
	js_wr_close(w, JS_OBJECT);
	js_wr_close(w, JS_OBJECT);
}

static void write_short_dst(struct js_wr *w, const struct pol_dst *d)
{
	AUTO_DONE(buf) struct buf text = { 0 };
	bool six = strchr(d->ip, ':') != NULL;

	buf_fmt(&text, six ? "[%s]:" : "%s:", d->ip);
	if (d->first == 0 && d->last == 65535)
		buf_add_str(&text, "*");
	else if (d->first == d->last)
		buf_fmt(&text, "%u", d->first);
	else
		buf_fmt(&text, "%u-%u", d->first, d->last);
	js_wr_str(w, buf_text(&text));
}

static void write_grant(struct js_wr *w, const struct pol_grant *g)
{
	char text[PREFIX_TEXT_MAX];

	js_wr_open(w, JS_OBJECT);
	js_wr_key(w, "Dsts");
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < g->n_dsts; i++)
		js_wr_str(w, prefix_text(&g->dsts[i], text));
	js_wr_close(w, JS_ARRAY);
	js_wr_key(w, "CapMap");
	js_wr_open(w, JS_OBJECT);
	for (size_t i = 0; i < g->n_caps; i++) {
		js_wr_key_span(w, g->caps[i].name);
		js_wr_raw(w, g->caps[i].values);
	}
	js_wr_close(w, JS_OBJECT);
	js_wr_close(w, JS_OBJECT);
}

static void write_grants(struct js_wr *w, const struct pol_filter_rule *r)
{
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < r->grants.n; i++)
		write_grant(w, &r->grants.v[i]);
	js_wr_close(w, JS_ARRAY);
}

static void write_rule(struct js_wr *w, const struct pol_filter_rule *r, enum pol_form form)
{
	js_wr_open(w, JS_OBJECT);
	js_wr_key(w, "SrcIPs");
	js_wr_raw(w, r->src->json);
	if (r->proto >= 0) {
		js_wr_key(w, "IPProto");
		js_wr_open(w, JS_ARRAY);
		js_wr_int(w, r->proto);
		js_wr_close(w, JS_ARRAY);
	}
	if (r->dst.n) {
		js_wr_key(w, "DstPorts");
		js_wr_open(w, JS_ARRAY);
		for (size_t i = 0; i < r->dst.n; i++)
			(form == POL_SHORT ? write_short_dst : write_dst)(w, &r->dst.v[i]);
		js_wr_close(w, JS_ARRAY);
	}
	if (r->grants.n) {
		js_wr_key(w, "CapGrant");
		write_grants(w, r);
	}
	js_wr_close(w, JS_OBJECT);
}

void pol_filter_write(const struct pol_filter *f, enum pol_form form, struct js_wr *w)
{
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < f->rules.n; i++)
		write_rule(w, &f->rules.v[i], form);
	js_wr_close(w, JS_ARRAY);
}

void pol_filter_json(const struct pol_filter *f, struct buf *out)
{
	struct js_wr w = js_wr_of(out);

	pol_filter_write(f, POL_WIRE, &w);
}
