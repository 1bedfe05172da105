#include "relay/names.h"

#include "base/ip.h"
#include "base/mem.h"
#include "base/rand.h"

struct name {
	struct names *names;
	char *text;
	bool published;
	struct resolve *query;
	struct buf one;  /* "{...}" of this name */
	struct buf list; /* "[...]", empty before the first answer */
};

struct names {
	struct ev *ev;
	struct resolver *resolver;
	struct name name[NAMES_MAX];
	size_t n;
	struct buf all;
	struct ev_timer again;
};

static void put_entry(struct buf *out, struct name *n, bool more)
{
	buf_fmt(out, "\t\"%s\": %s%s\n", n->text, buf_text(&n->list), more ? "," : "");
}

static void build_all(struct names *ns)
{
	size_t left = 0;

	for (size_t i = 0; i < ns->n; i++)
		left += ns->name[i].published && ns->name[i].list.n;
	buf_clear(&ns->all);
	buf_add_str(&ns->all, "{\n");
	for (size_t i = 0; i < ns->n; i++) {
		if (ns->name[i].published && ns->name[i].list.n)
			put_entry(&ns->all, &ns->name[i], --left > 0);
	}
	buf_add_str(&ns->all, "}\n");
}

/* In another order each time: clients take the first that works. */
static void shuffle(struct ip *v, size_t n)
{
	for (size_t i = n; i > 1; i--) {
		size_t k = rand_below(i);
		struct ip t = v[i - 1];

		v[i - 1] = v[k];
		v[k] = t;
	}
}

static void on_found(void *owner, int r, const struct resolved *found)
{
	struct name *n = owner;
	struct resolved copy;

	n->query = NULL;
	if (r < 0)
		return; /* what we knew is better than nothing */
	copy = *found;
	shuffle(copy.ip, copy.n);
	buf_clear(&n->list);
	buf_add_str(&n->list, "[");
	for (size_t i = 0; i < copy.n; i++) {
		char ip[IP_TEXT_MAX];

		buf_fmt(&n->list, "%s\"%s\"", i ? ", " : "", ip_text(&copy.ip[i], ip));
	}
	buf_add_str(&n->list, "]");
	buf_clear(&n->one);
	buf_add_str(&n->one, "{\n");
	put_entry(&n->one, n, false);
	buf_add_str(&n->one, "}\n");
	build_all(n->names);
}

static void on_again(struct ev_timer *t, mono now)
{
	struct names *ns = CONTAINER_OF(t, struct names, again);

	(void)now;
	for (size_t i = 0; i < ns->n; i++) {
		struct name *n = &ns->name[i];

		if (!n->query)
			n->query = resolve_start(ns->resolver, n->text, on_found, n);
	}
	ev_timer_after(ns->ev, &ns->again, NAMES_EVERY_US);
}

static bool is_name(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t b = s.p[i];

		if (!((b >= 'a' && b <= 'z') || (b >= 'A' && b <= 'Z') || (b >= '0' && b <= '9') ||
		      b == '.' || b == '-'))
			return false;
	}
	return s.n > 0 && s.n <= RESOLVE_NAME_MAX;
}

static void add(struct names *ns, const char *list, bool published)
{
	struct span rest = span_str(list), part;

	while (span_cut(&rest, ',', &part) && ns->n < NAMES_MAX) {
		part = span_trim(part);
		if (!is_name(part))
			continue;
		ns->name[ns->n++] = (struct name){ .names = ns,
			                           .text = span_dup(part),
			                           .published = published };
	}
}

struct names *relay_names_new(struct ev *ev, struct resolver *resolver, const char *published,
                              const char *unpublished)
{
	struct names *ns = mem_new(struct names);

	ns->ev = ev;
	ns->resolver = resolver;
	ns->again.fn = on_again;
	add(ns, published, true);
	add(ns, unpublished, false);
	build_all(ns);
	if (ns->n)
		ev_timer_after(ev, &ns->again, 0);
	return ns;
}

void relay_names_free(struct names *ns)
{
	if (!ns)
		return;
	ev_timer_stop(ns->ev, &ns->again);
	for (size_t i = 0; i < ns->n; i++) {
		if (ns->name[i].query)
			resolve_cancel(ns->name[i].query);
		free(ns->name[i].text);
		buf_done(&ns->name[i].one);
		buf_done(&ns->name[i].list);
	}
	buf_done(&ns->all);
	free(ns);
}

const struct buf *relay_names_published(const struct names *ns)
{
	return &ns->all;
}

const struct buf *relay_names_find(const struct names *ns, struct span name)
{
	for (size_t i = 0; i < ns->n; i++) {
		if (span_is_nocase(name, ns->name[i].text))
			return ns->name[i].one.n ? &ns->name[i].one : NULL;
	}
	return NULL;
}
