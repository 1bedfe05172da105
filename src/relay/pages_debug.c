/* Pages for operators, below /debug/: what derper has there, as far as it means anything here. */
#include "base/mem.h"
#include "relay/pages.h"

enum { LISTED_MAX = 1000, TOP_MAX = 100 };

struct row {
	const char *path, *what;
	void (*fn)(const struct page_env *env, struct page *ret);
};

/* --- clients --- */

static const char *role_of(const struct hub_client *c)
{
	switch (c->role) {
	case HUB_NODE:
		return c->home ? "home" : "node";
	case HUB_MESH:
		return "mesh";
	case HUB_LINK:
		return "link";
	}
	return "";
}

static void put_client(struct buf *out, const struct hub_client *c)
{
	char key[KEY_TEXT_MAX], from[ADDR_TEXT_MAX];
	const struct node_pub *k = hub_key(c);

	buf_fmt(out, "%s %s %s %llu %llu %llu %llu %u %llu\n", k ? node_pub_text(k, key) : "-",
	        role_of(c), addr_text(&c->addr, from), (unsigned long long)c->packets_in,
	        (unsigned long long)c->bytes_in, (unsigned long long)c->packets_out,
	        (unsigned long long)c->bytes_out, c->queued, (unsigned long long)c->dropped);
}

static void put_columns(struct buf *out)
{
	buf_add_str(out,
	            "key role from packets_in bytes_in packets_out bytes_out queued dropped\n");
}

void relay_list_clients(struct relay *r, struct buf *out)
{
	struct hub *h = relay_hub(r);
	struct hub_client *c;
	unsigned n = 0;

	put_columns(out);
	list_each(c, &h->clients, all) {
		if (n++ == LISTED_MAX) {
			buf_fmt(out, "and %zu more\n", h->n_clients - LISTED_MAX);
			return;
		}
		put_client(out, c);
	}
}

static void clients(const struct page_env *env, struct page *ret)
{
	relay_list_clients(env->relay, &ret->body);
}

/* --- traffic --- */

static uint64_t bytes_of(const struct hub_client *c)
{
	return c->bytes_in + c->bytes_out;
}

static int by_bytes(const void *a, const void *b)
{
	uint64_t x = bytes_of(*(struct hub_client *const *)a);
	uint64_t y = bytes_of(*(struct hub_client *const *)b);

	return x < y ? 1 : x > y ? -1 : 0;
}

static void traffic(const struct page_env *env, struct page *ret)
{
	struct hub *h = relay_hub(env->relay);
	AUTO_FREE struct hub_client **all = mem_new_n(struct hub_client *, h->n_clients + 1);
	struct hub_client *c;
	size_t n = 0;

	list_each(c, &h->clients, all)
		all[n++] = c;
	qsort(all, n, sizeof(*all), by_bytes);
	put_columns(&ret->body);
	for (size_t i = 0; i < n && i < TOP_MAX; i++)
		put_client(&ret->body, all[i]);
}

/* --- the rest --- */

static void check(const struct page_env *env, struct page *ret)
{
	const char *wrong = hub_check(relay_hub(env->relay));

	ret->status = wrong ? 500 : 200;
	buf_fmt(&ret->body, "%s\n", wrong ? wrong : "the books are in order");
}

static void varz(const struct page_env *env, struct page *ret)
{
	relay_metrics(env->relay, &ret->body);
	if (env->more_metrics)
		env->more_metrics(env->owner, &ret->body);
}

/* Names and numbers of the metrics as one JSON object; labels are part of the name. */
static void vars(const struct page_env *env, struct page *ret)
{
	struct page lines = { 0 };
	struct span rest, line;
	const char *comma = "";

	varz(env, &lines);
	rest = buf_span(&lines.body);
	ret->type = "application/json";
	buf_add_str(&ret->body, "{");
	while (span_cut(&rest, '\n', &line)) {
		size_t at = span_find(line, ' ');

		if (line.n == 0 || line.p[0] == '#' || at >= line.n)
			continue;
		buf_fmt(&ret->body, "%s\n\t\"", comma);
		for (size_t i = 0; i < at; i++) {
			if (line.p[i] == '"')
				buf_add_u8(&ret->body, '\\');
			buf_add_u8(&ret->body, line.p[i]);
		}
		buf_fmt(&ret->body, "\": %.*s", SPAN_FMT(span_from(line, at + 1)));
		comma = ",";
	}
	buf_add_str(&ret->body, "\n}\n");
	page_done(&lines);
}

static void list(const struct page_env *env, struct page *ret);

/* clang-format off */
static const struct row rows[] = {
	{ "",        "this page",                                  list    },
	{ "check",   "whether the relay's own books are in order", check   },
	{ "clients", "every client",                               clients },
	{ "traffic", "the clients with the most bytes, first",     traffic },
	{ "vars",    "all counters, as JSON",                      vars    },
	{ "varz",    "all counters, as /metrics has them",         varz    },
};
/* clang-format on */

static void list(const struct page_env *env, struct page *ret)
{
	char key[KEY_TEXT_MAX];

	buf_fmt(&ret->body, "fairlead relay " FAIRLEAD_VERSION "\nkey %s\n\n",
	        node_pub_text(relay_public(env->relay), key));
	for (size_t i = 1; i < ARRAY_LEN(rows); i++)
		buf_fmt(&ret->body, "/debug/%-8s %s\n", rows[i].path, rows[i].what);
	buf_add_str(&ret->body, "\n");
	relay_list_clients(env->relay, &ret->body);
}

void page_debug(struct span rest, const struct page_env *env, struct page *ret)
{
	if (span_ends(rest, "/"))
		rest = span_first(rest, rest.n - 1);
	ret->type = "text/plain; charset=utf-8";
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!span_is(rest, rows[i].path))
			continue;
		ret->status = 200;
		rows[i].fn(env, ret);
		return;
	}
	ret->status = 404;
	buf_add_str(&ret->body, "not found\n");
}
