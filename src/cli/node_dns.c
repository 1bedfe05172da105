/* `dns status` and `dns query`: what resolves names here, and why. */
#include <string.h>

#include "cli/api.h"
#include "cli/node.h"
#include "cli/show.h"
#include "http/url.h"

struct dns_opts {
	bool json, all;
};

static const struct dns_opts dns_defaults;
#define DNS_AT(field) offsetof(struct dns_opts, field)

/* ---- status ---- */

struct found {
	struct api_answer status, prefs, config, host, force;
};

static void found_done(struct found *f)
{
	api_answer_done(&f->status);
	api_answer_done(&f->prefs);
	api_answer_done(&f->config);
	api_answer_done(&f->host);
	api_answer_done(&f->force);
}

static int find_out(struct cli *cli, struct found *f)
{
	struct span none = span(NULL, 0);
	int r = api_call(cli, "GET", "status?peers=false", none, &f->status);

	if (r == 0)
		r = api_call(cli, "GET", "prefs", none, &f->prefs);
	/* Without a tailnet there is no more to know. */
	if (r == 0)
		r = api_try(cli, "GET", "dns-config", none, &f->config);
	if (r == 0)
		r = api_try(cli, "GET", "dns-osconfig", none, &f->host);
	if (r == 0)
		r = api_try(cli, "GET", "dns-in-force", none, &f->force);
	return r;
}

static void put_part(struct js_wr *w, const char *name, const struct js *v)
{
	if (!v || v->kind == JS_NULL)
		return;
	js_wr_key(w, name);
	js_wr_tree(w, v);
}

static void put_tailnet(struct js_wr *w, const struct found *f)
{
	const struct js *t = js_get(f->status.json, "CurrentTailnet");

	if (!t || t->kind != JS_OBJECT)
		return;
	js_wr_key(w, "CurrentTailnet");
	js_wr_open(w, JS_OBJECT);
	js_wr_kv_bool(w, "MagicDNSEnabled", js_truth(js_get(t, "MagicDNSEnabled"), false));
	put_part(w, "MagicDNSSuffix", js_get(t, "MagicDNSSuffix"));
	put_part(w, "SelfDNSName", js_get(js_get(f->status.json, "Self"), "DNSName"));
	js_wr_close(w, JS_OBJECT);
}

static void print_status_json(struct cli *cli, const struct found *f)
{
	static const struct {
		const char *ours, *theirs;
	} parts[] = {
		{ "Resolvers", "Resolvers" },
		{ "SplitDNSRoutes", "Routes" },
		{ "FallbackResolvers", "FallbackResolvers" },
		{ "SearchDomains", "Domains" },
		{ "Nameservers", "Nameservers" },
		{ "CertDomains", "CertDomains" },
		{ "ExtraRecords", "ExtraRecords" },
		{ "ExitNodeFilteredSet", "ExitNodeFilteredSet" },
	};
	AUTO_DONE(buf) struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	w.indent = "  ";
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_bool(&w, "TailscaleDNS", js_truth(js_get(f->prefs.json, "CorpDNS"), false));
	put_tailnet(&w, f);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		put_part(&w, parts[i].ours, js_get(f->config.json, parts[i].theirs));
	if (f->host.status == 200)
		put_part(&w, "SystemDNS", f->host.json);
	else
		js_wr_kv_span(&w, "SystemDNSError", span_trim(buf_span(&f->host.body)));
	if (f->force.status == 200)
		put_part(&w, "InForce", f->force.json);
	js_wr_close(&w, JS_OBJECT);
	(void)fprintf(cli->out, "%s\n", buf_text(&out));
}

static void print_list(struct cli *cli, const char *title, const struct js *list, const char *none)
{
	(void)fprintf(cli->out, "%s:", title);
	if (!js_first(list))
		(void)fprintf(cli->out, " %s", none);
	for (const struct js *v = js_first(list); v; v = v->next) {
		const struct js *addr = v->kind == JS_OBJECT ? js_get(v, "Addr") : v;

		(void)fprintf(cli->out, " %.*s", SPAN_FMT(js_text(addr)));
	}
	(void)fputc('\n', cli->out);
}

static bool is_reverse_zone(struct span suffix)
{
	return span_ends(suffix, ".arpa.") || span_ends(suffix, ".arpa");
}

/* Addresses of tailnets have 65 zones; they say nothing to a person. */
static void print_suffixes(struct cli *cli, const struct js *list)
{
	unsigned zones = 0;

	(void)fputs("  for", cli->out);
	if (!js_first(list))
		(void)fputs(" all names", cli->out);
	for (const struct js *v = js_first(list); v; v = v->next) {
		if (is_reverse_zone(js_text(v)))
			zones++;
		else
			(void)fprintf(cli->out, " *.%.*s", SPAN_FMT(js_text(v)));
	}
	if (zones)
		(void)fprintf(cli->out, " and addresses of tailnets (%u zones)", zones);
	(void)fputc('\n', cli->out);
}

static void print_routes(struct cli *cli, const struct js *routes, bool all)
{
	unsigned hidden = 0;

	(void)fputs("\nWho is asked, by the end of the name:\n", cli->out);
	for (const struct js *r = js_first(routes); r; r = r->next) {
		struct span suffix = js_text(js_get(r, "Suffix"));
		const struct js *to = js_first(js_get(r, "Resolvers"));

		if (!all && !to && is_reverse_zone(suffix)) {
			hidden++;
			continue;
		}
		(void)fprintf(cli->out, "  %-30.*s ->", SPAN_FMT(suffix));
		for (; to; to = to->next)
			(void)fprintf(cli->out, " %.*s", SPAN_FMT(js_text(js_get(to, "Addr"))));
		(void)fputs(js_first(js_get(r, "Resolvers")) ? "\n"
		                                             : " answered here, nobody is asked\n",
		            cli->out);
	}
	if (hidden)
		(void)fprintf(cli->out,
		              "  and %u zones of addresses of tailnets, answered here (--all)\n",
		              hidden);
}

static void print_force(struct cli *cli, const struct found *f, bool all)
{
	const struct js *force = f->force.status == 200 ? f->force.json : NULL;
	const struct js *told = js_get(force, "Told");

	if (!js_truth(js_get(force, "Running"), false)) {
		(void)fputs("Not running: names of the tailnet are not resolved.\n", cli->out);
		return;
	}
	(void)fprintf(cli->out, "The host's resolver is told by way of %.*s (%.*s).\n",
	              SPAN_FMT(js_text(js_get(force, "Manager"))),
	              SPAN_FMT(js_text(js_get(force, "Why"))));
	if (!told || told->kind != JS_OBJECT || !js_first(js_get(told, "Nameservers"))) {
		(void)fputs("It is left alone now; 100.100.100.100 answers those who ask it.\n",
		            cli->out);
	} else {
		print_list(cli, "It is to ask", js_get(told, "Nameservers"), "nobody");
		print_suffixes(cli, js_get(told, "MatchDomains"));
		print_list(cli, "  and completes short names by", js_get(told, "SearchDomains"),
		           "nothing");
	}
	if (f->host.status == 200)
		print_list(cli, "Before us it asked", js_get(f->host.json, "Nameservers"),
		           "nobody");
	print_routes(cli, js_get(force, "Routes"), all);
	(void)fprintf(cli->out,
	              "\nSince the start: %lld asked of others, %lld of them without an answer; "
	              "%lld answered from memory (%lld answers kept).\n",
	              (long long)js_int(js_get(force, "Asked"), 0),
	              (long long)js_int(js_get(force, "Unanswered"), 0),
	              (long long)js_int(js_get(force, "FromCache"), 0),
	              (long long)js_int(js_get(force, "Cached"), 0));
}

static void print_status(struct cli *cli, const struct found *f, bool all)
{
	const struct js *tailnet = js_get(f->status.json, "CurrentTailnet");
	bool accept = js_truth(js_get(f->prefs.json, "CorpDNS"), false);

	(void)fprintf(cli->out, "Names of the tailnet on this host: %s\n",
	              accept ? "used"
	                     : "not used (--accept-dns=false); the host's resolver is left alone");
	if (!tailnet || tailnet->kind != JS_OBJECT)
		(void)fputs("No tailnet: not logged in.\n", cli->out);
	else if (js_truth(js_get(tailnet, "MagicDNSEnabled"), false))
		(void)fprintf(cli->out, "MagicDNS: on, suffix %.*s; this machine is %.*s\n",
		              SPAN_FMT(js_text(js_get(tailnet, "MagicDNSSuffix"))),
		              SPAN_FMT(js_text(js_get(js_get(f->status.json, "Self"), "DNSName"))));
	else
		(void)fputs("MagicDNS: off for the whole tailnet\n", cli->out);
	(void)fputc('\n', cli->out);
	print_force(cli, f, all);
}

static int run_status(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct dns_opts *o = opts;
	AUTO_DONE(found) struct found f = { 0 };
	int r = find_out(cli, &f);

	(void)argc;
	(void)argv;
	if (r != 0)
		return r;
	if (o->json)
		print_status_json(cli, &f);
	else
		print_status(cli, &f, o->all);
	return 0;
}

/* ---- query ---- */

static void print_answer(struct cli *cli, const struct js *v)
{
	const struct js *a = js_first(js_get(v, "Answers"));

	(void)fprintf(cli->out, "%.*s %.*s: %.*s\n", SPAN_FMT(js_text(js_get(v, "Name"))),
	              SPAN_FMT(js_text(js_get(v, "QueryType"))),
	              SPAN_FMT(js_text(js_get(v, "Why"))));
	print_list(cli, "Resolvers", js_get(v, "Resolvers"), "none");
	(void)fprintf(cli->out, "Response code: %.*s\n",
	              SPAN_FMT(js_text(js_get(v, "ResponseCode"))));
	if (!a)
		(void)fputs("(no answers found)\n", cli->out);
	for (; a; a = a->next)
		(void)fprintf(
			cli->out, "%.*s\t%lld\t%.*s\t%.*s\n", SPAN_FMT(js_text(js_get(a, "Name"))),
			(long long)js_int(js_get(a, "TTL"), 0),
			SPAN_FMT(js_text(js_get(a, "Type"))), SPAN_FMT(js_text(js_get(a, "Body"))));
}

static int run_query(struct cli *cli, const void *opts, int argc, char **argv)
{
	const struct dns_opts *o = opts;
	AUTO_DONE(api_answer) struct api_answer a = { 0 };
	AUTO_DONE(buf) struct buf path = { 0 };
	int r;

	buf_add_str(&path, "dns-query-in-words?name=");
	url_encode(&path, span_str(argv[0]));
	buf_add_str(&path, "&type=");
	url_encode(&path, span_str(argc > 1 ? argv[1] : "A"));
	r = api_call(cli, "GET", buf_text(&path), span(NULL, 0), &a);
	if (r != 0)
		return r;
	if (o->json)
		show_json(cli, a.json);
	else
		print_answer(cli, a.json);
	return 0;
}

/* ---- the group ---- */

static const struct cmd_opt status_options[] = {
	{ "json", CMD_FLAG, DNS_AT(json), NULL, "print it as JSON" },
	{ "all", CMD_FLAG, DNS_AT(all), NULL, "also the zones of addresses" },
	{ 0 },
};

static const struct cmd_opt query_options[] = {
	{ "json", CMD_FLAG, DNS_AT(json), NULL, "print it as JSON" },
	{ 0 },
};

static const struct cmd commands[] = {
	{ .name = "status",
	  .args = "",
	  .help = "Show what resolves names on this host, and why",
	  .run = run_status,
	  .opts = status_options,
	  .defaults = &dns_defaults,
	  .opts_size = sizeof(dns_defaults) },
	{ .name = "query",
	  .args = "NAME [TYPE]",
	  .help = "Ask the resolver at 100.100.100.100, and show who answers",
	  .run = run_query,
	  .args_min = 1,
	  .args_max = 2,
	  .opts = query_options,
	  .defaults = &dns_defaults,
	  .opts_size = sizeof(dns_defaults) },
	{ 0 },
};

const struct cmd node_dns_cmd = {
	.name = "dns",
	.args = "",
	.help = "Names: what is in force, and questions",
	.sub = commands,
};
