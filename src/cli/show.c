#include "cli/show.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/time.h"

/* ---- tables ---- */

void table_add(struct table *t, size_t n, ...)
{
	va_list ap;

	va_start(ap, n);
	for (size_t i = 0; i < t->n_columns; i++)
		vec_push(&t->cells, str_dup(i < n ? va_arg(ap, const char *) : ""));
	va_end(ap);
}

/* Characters, not bytes. */
static size_t width_of(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

void table_print(const struct table *t, FILE *to)
{
	size_t width[TABLE_COLUMNS_MAX] = { 0 };

	for (size_t i = 0; i < t->cells.n; i++) {
		size_t n = width_of(t->cells.v[i]);

		if (n > width[i % t->n_columns])
			width[i % t->n_columns] = n;
	}
	for (size_t i = 0; i < t->cells.n; i++) {
		bool last = (i + 1) % t->n_columns == 0;

		(void)fputs(t->cells.v[i], to);
		if (last)
			(void)fputc('\n', to);
		for (size_t n = width_of(t->cells.v[i]); !last && n < width[i % t->n_columns] + 2;
		     n++)
			(void)fputc(' ', to);
	}
}

void table_done(struct table *t)
{
	for (size_t i = 0; i < t->cells.n; i++)
		free(t->cells.v[i]);
	vec_done(&t->cells);
}

void show_json(const struct cli *cli, const struct js *v)
{
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	w.indent = "  ";
	js_wr_tree(&w, v);
	(void)fprintf(cli->out, "%s\n", buf_text(&out));
}

/* ---- nodes ---- */

static struct span first_label(struct span name)
{
	return span_first(name, span_find(name, '.'));
}

static bool has_ip(const struct js *node, struct span ip)
{
	for (const struct js *a = js_first(js_get(node, "TailscaleIPs")); a; a = a->next)
		if (span_eq(js_text(a), ip))
			return true;
	return false;
}

static bool is_called(const struct js *node, struct span name)
{
	struct span dns = js_text(js_get(node, "DNSName"));

	if (dns.n && dns.p[dns.n - 1] == '.')
		dns.n--;
	if (name.n && name.p[name.n - 1] == '.')
		name.n--;
	return has_ip(node, name) || span_eq_nocase(dns, name) ||
	       span_eq_nocase(first_label(dns), name) ||
	       span_eq_nocase(js_text(js_get(node, "HostName")), name);
}

const struct js *show_find(const struct js *status, const char *name)
{
	const struct js *self = js_get(status, "Self");

	if (is_called(self, span_str(name)))
		return self;
	for (const struct js *p = js_first(js_get(status, "Peer")); p; p = p->next)
		if (is_called(p, span_str(name)))
			return p;
	return NULL;
}

struct span show_name(const struct js *node)
{
	struct span dns = first_label(js_text(js_get(node, "DNSName")));

	return dns.n ? dns : js_text(js_get(node, "HostName"));
}

char *show_ago(struct span time)
{
	wall t;
	int64_t s;

	if (wall_parse(time, &t) < 0 || t.us <= 0)
		return str_dup("");
	s = (wall_now().us - t.us) / US_PER_S;
	if (s < 0)
		return str_dup("in the future");
	if (s < 120)
		return str_fmt("%llds ago", (long long)s);
	if (s < 7200)
		return str_fmt("%lldm ago", (long long)s / 60);
	return s < 2 * 86400 ? str_fmt("%lldh ago", (long long)s / 3600)
	                     : str_fmt("%lldd ago", (long long)s / 86400);
}

void show_health(const struct cli *cli, const struct js *status)
{
	const struct js *h = js_first(js_get(status, "Health"));

	if (h)
		(void)fputs("\n# Health check:\n", cli->out);
	for (; h; h = h->next)
		(void)fprintf(cli->out, "#     - %.*s\n", SPAN_FMT(js_text(h)));
}

int show_not_running(const struct cli *cli, const struct js *status, struct span state)
{
	struct span url = js_text(js_get(status, "AuthURL"));

	if (span_is(state, "Stopped")) {
		(void)fputs("fairlead is stopped. Start it with: fairlead up\n", cli->out);
	} else if (span_is(state, "NeedsLogin")) {
		(void)fputs("Logged out.\n", cli->out);
		if (url.n)
			(void)fprintf(cli->out, "Log in at: %.*s\n", SPAN_FMT(url));
		else
			(void)fputs("To log in, run: fairlead up\n", cli->out);
	} else if (span_is(state, "NeedsMachineAuth")) {
		(void)fputs(
			"This machine waits to be approved by an administrator of the tailnet.\n",
			cli->out);
	} else {
		(void)fprintf(cli->out, "unexpected state: %.*s\n", SPAN_FMT(state));
	}
	show_health(cli, status);
	return 1;
}
