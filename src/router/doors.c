#include "router/doors.h"

#include <string.h>

#include "base/mem.h"

#define MARK "comment \"fairlead\""

enum { MATCHES_MAX = 2 };

/* One of the chains, while the listing is read. */
struct chain {
	const char *table, *name;
	char *matches[MATCHES_MAX]; /* of the rules it should have */
	unsigned n, ours;
	bool good; /* those of ours that are there are as they should be */
	struct buf deletions;
};

static void begin(struct chain *c, const char *table, const char *name,
                  const struct router_door *door)
{
	*c = (struct chain){ .table = table, .name = name, .good = true };
	if (!door)
		return;
	c->matches[c->n++] = str_fmt("iifname \"%s\"", door->dev);
	if (name[0] == 'F')
		c->matches[c->n++] = str_fmt("oifname \"%s\"", door->dev);
	else if (door->udp_port)
		c->matches[c->n++] = str_fmt("udp dport %u", door->udp_port);
}

static void chain_done(struct chain *c)
{
	for (unsigned i = 0; i < c->n; i++)
		free(c->matches[i]);
	buf_done(&c->deletions);
}

/* A line of the chain. */
static void see_rule(struct chain *c, struct span line)
{
	AUTO_FREE char *text = span_dup(line);
	const char *handle = strstr(text, "# handle ");
	bool known = false;

	if (!strstr(text, MARK) || !handle)
		return;
	for (unsigned i = 0; i < c->n; i++)
		known |= span_starts(line, c->matches[i]);
	c->good &= known;
	c->ours++;
	buf_fmt(&c->deletions, "delete rule %s %s handle %s\n", c->table, c->name,
	        handle + strlen("# handle "));
}

static void end(struct buf *out, struct chain *c)
{
	if (!c->good || c->ours != c->n) {
		buf_add_span(out, buf_span(&c->deletions));
		for (unsigned i = 0; i < c->n; i++)
			buf_fmt(out, "insert rule %s %s %s counter accept " MARK "\n", c->table,
			        c->name, c->matches[i]);
	}
	chain_done(c);
}

/* "chain INPUT { # handle 1" */
static const char *chain_named(struct span line)
{
	return span_starts(line, "chain INPUT {")     ? "INPUT"
	       : span_starts(line, "chain FORWARD {") ? "FORWARD"
	                                              : NULL;
}

void router_doors(struct buf *out, const char *table, struct span listing,
                  const struct router_door *door)
{
	struct chain c = { 0 };
	bool within = false;
	struct span line;

	while (span_cut(&listing, '\n', &line)) {
		line = span_trim(line);
		if (!within) {
			const char *name = chain_named(line);

			within = name != NULL;
			if (name)
				begin(&c, table, name, door);
		} else if (span_is(line, "}")) {
			end(out, &c);
			within = false;
		} else {
			see_rule(&c, line);
		}
	}
	if (within)
		chain_done(&c);
}
