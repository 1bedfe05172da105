#include "cli/prefs.h"

#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/ip.h"

#define AT(member) offsetof(struct pref_opts, member)
#define ROW(flag, kind, member, value, help, how, field, standard, of) \
	{ flag, CMD_##kind, AT(member), PREF_##how, field, standard, (help) == NULL, of },
#define ROW_ALL(...) ROW(__VA_ARGS__, PREF_OF_UP | PREF_OF_LOGIN | PREF_OF_SET)
#define ROW_UP(...) ROW(__VA_ARGS__, PREF_OF_UP | PREF_OF_LOGIN)
#define ROW_LOGIN(...) ROW(__VA_ARGS__, PREF_OF_LOGIN | PREF_OF_SET)
#define ROW_SET(...) ROW(__VA_ARGS__, PREF_OF_SET)

const struct pref prefs_table[] = {
	PREFS_EVERYWHERE(ROW_ALL) PREFS_OF_UP(ROW_UP) PREFS_OF_LOGIN(ROW_LOGIN)
		PREFS_OF_SET(ROW_SET){ 0 },
};

static const char *const modes[] = { "off", "nodivert", "on" };

const struct pref *pref_find(const char *flag)
{
	for (const struct pref *p = prefs_table; p->flag; p++)
		if (strcmp(p->flag, flag) == 0)
			return p;
	return NULL;
}

/* ---- texts of now ---- */

static char *bool_text(bool v)
{
	return str_dup(v ? "true" : "false");
}

static const struct js *inner_of(const struct js *prefs, const char *field)
{
	const char *dot = strchr(field, '.');
	AUTO_FREE char *outer = span_dup(span(field, (size_t)(dot - field)));

	return js_get(js_get(prefs, outer), dot + 1);
}

static bool is_exit_route(struct span s)
{
	return span_is(s, "0.0.0.0/0") || span_is(s, "::/0");
}

static char *joined(const struct js *list, bool (*skip)(struct span s))
{
	AUTO_DONE(buf) struct buf out = { 0 };

	for (const struct js *x = js_first(list); x; x = x->next) {
		if (skip && skip(js_text(x)))
			continue;
		if (out.n)
			buf_add_str(&out, ",");
		buf_add_span(&out, js_text(x));
	}
	return span_dup(buf_span(&out));
}

static bool offers_exit(const struct js *routes)
{
	unsigned n = 0;

	for (const struct js *x = js_first(routes); x; x = x->next)
		n += is_exit_route(js_text(x));
	return n == 2;
}

/* By address if the node is known, as names may change. */
static char *exit_text(const struct js *prefs, const struct js *status)
{
	struct span automatic = js_text(js_get(prefs, "AutoExitNode"));
	struct span id = js_text(js_get(prefs, "ExitNodeID"));

	if (automatic.n)
		return str_fmt("auto:%.*s", SPAN_FMT(automatic));
	for (const struct js *x = id.n ? js_first(js_get(status, "Peer")) : NULL; x; x = x->next)
		if (span_eq(js_text(js_get(x, "ID")), id))
			return span_dup(js_text(js_first(js_get(x, "TailscaleIPs"))));
	return span_dup(id.n ? id : js_text(js_get(prefs, "ExitNodeIP")));
}

char *pref_now(const struct pref *p, const struct js *prefs, const struct js *status)
{
	const struct js *v = js_get(prefs, p->field);
	int64_t mode;

	switch (p->how) {
	case PREF_BOOL:
		return bool_text(js_truth(v, false));
	case PREF_NOT:
		return bool_text(!js_truth(v, false));
	case PREF_INNER:
		return bool_text(js_truth(inner_of(prefs, p->field), false));
	case PREF_TEXT:
		return span_dup(js_text(v));
	case PREF_SERVER:
		return js_text(v).n ? span_dup(js_text(v)) : str_dup(p->standard);
	case PREF_TAGS:
	case PREF_LIST:
		return joined(v, NULL);
	case PREF_NUMBER:
		return v && v->kind == JS_NUMBER ? span_dup(v->text) : str_dup("");
	case PREF_ROUTES:
		return joined(v, is_exit_route);
	case PREF_OFFER:
		return bool_text(offers_exit(v));
	case PREF_EXIT:
		return exit_text(prefs, status);
	case PREF_MODE:
		mode = js_int(v, 2);
		return str_dup(modes[mode < 0 || mode > 2 ? 2 : mode]);
	}
	return str_dup("");
}

/* ---- texts of the command line ---- */

static char *given_text(const struct pref *p, const struct pref_opts *o)
{
	const char *at = (const char *)o + p->at;
	const char *text;

	if (p->kind == CMD_FLAG)
		return bool_text(*(const bool *)at);
	memcpy(&text, at, sizeof(text));
	return str_dup(text ? text : "");
}

char *pref_after(const struct cli *cli, const struct pref *p, const struct pref_opts *o,
                 const struct js *prefs, const struct js *status)
{
	if (cmd_given(cli, p->flag))
		return given_text(p, o);
	return o->reset ? str_dup(p->standard) : pref_now(p, prefs, status);
}

static void add_flag(struct buf *out, const struct pref *p, const char *text)
{
	buf_fmt(out, " --%s", p->flag);
	if (p->kind == CMD_FLAG && strcmp(text, "true") == 0)
		return;
	/* What a shell would take apart is quoted. */
	if (text[strcspn(text, " \t\"'$`\\;&|<>()*?[]{}~#!")])
		buf_fmt(out, "='%s'", text);
	else
		buf_fmt(out, "=%s", text);
}

/* A filter that was on by default for three releases is let go without a word. */
static bool may_go(const struct pref *p)
{
	return strcmp(p->flag, "stateful-filtering") == 0;
}

/* Whoever runs the command stays operator without saying so. */
static bool is_self(const struct pref *p, const char *now)
{
	const char *user = getenv("USER");

	return strcmp(p->flag, "operator") == 0 && user && strcmp(now, user) == 0;
}

char *prefs_lost(const struct cli *cli, unsigned of, const struct pref_opts *o,
                 const struct js *prefs, const struct js *status)
{
	AUTO_DONE(buf) struct buf given = { 0 }, lost = { 0 };

	for (const struct pref *p = prefs_table; p->flag; p++) {
		AUTO_FREE char *now = pref_now(p, prefs, status);
		AUTO_FREE char *said = given_text(p, o);

		if (!(p->of & of))
			continue;
		if (cmd_given(cli, p->flag))
			add_flag(&given, p, said);
		else if (strcmp(now, p->standard) != 0 && !may_go(p) && !is_self(p, now))
			add_flag(&lost, p, now);
	}
	if (!lost.n)
		return NULL;
	buf_add_span(&given, buf_span(&lost));
	return span_dup(span_from(buf_span(&given), 1));
}

/* ---- for the daemon ---- */

static void is_set(struct js_wr *w, const char *field)
{
	AUTO_FREE char *set = str_fmt("%sSet", field);

	js_wr_kv_bool(w, set, true);
}

static void put_bool(struct js_wr *w, const char *field, bool v)
{
	js_wr_kv_bool(w, field, v);
	is_set(w, field);
}

static void put_text(struct js_wr *w, const char *field, struct span v)
{
	js_wr_kv_span(w, field, v);
	is_set(w, field);
}

/* {"AppConnector":{"Advertise":v},"AppConnectorSet":true} */
static void put_inner(struct js_wr *w, const char *field, bool v)
{
	const char *dot = strchr(field, '.');
	AUTO_FREE char *outer = span_dup(span(field, (size_t)(dot - field)));

	js_wr_key(w, outer);
	js_wr_open(w, JS_OBJECT);
	js_wr_kv_bool(w, dot + 1, v);
	js_wr_close(w, JS_OBJECT);
	is_set(w, outer);
}

/* Two settings inside of one object come in one object. */
static void put_updates(struct js_wr *w, const bool given[2], const bool v[2])
{
	static const char *const names[] = { "Check", "Apply" }, *const sets[] = { "CheckSet",
		                                                                   "ApplySet" };

	js_wr_key(w, "AutoUpdate");
	js_wr_open(w, JS_OBJECT);
	for (int i = 0; i < 2; i++)
		if (given[i])
			js_wr_kv_bool(w, names[i], v[i]);
	js_wr_close(w, JS_OBJECT);
	js_wr_key(w, "AutoUpdateSet");
	js_wr_open(w, JS_OBJECT);
	for (int i = 0; i < 2; i++)
		if (given[i])
			js_wr_kv_bool(w, sets[i], true);
	js_wr_close(w, JS_OBJECT);
}

static void put_tags(struct js_wr *w, const char *list)
{
	struct span rest = span_str(list), tag;

	js_wr_key(w, "AdvertiseTags");
	js_wr_open(w, JS_ARRAY);
	while (rest.n && span_cut(&rest, ',', &tag)) {
		AUTO_FREE char *full = NULL;

		tag = span_trim(tag);
		full = str_fmt("%s%.*s", span_starts(tag, "tag:") ? "" : "tag:", SPAN_FMT(tag));
		js_wr_str(w, full);
	}
	js_wr_close(w, JS_ARRAY);
	is_set(w, "AdvertiseTags");
}

static int put_addrs(struct cli *cli, struct js_wr *w, const struct pref *p, const char *list)
{
	struct span rest = span_str(list), text;
	struct addr a;

	js_wr_key(w, p->field);
	js_wr_open(w, JS_ARRAY);
	while (rest.n && span_cut(&rest, ',', &text)) {
		if (addr_parse(span_trim(text), &a) < 0)
			return cmd_misuse(cli,
			                  "--%s: \"%.*s\" is no address and port like "
			                  "192.0.2.1:40000",
			                  p->flag, SPAN_FMT(text));
		js_wr_span(w, span_trim(text));
	}
	js_wr_close(w, JS_ARRAY);
	is_set(w, p->field);
	return 0;
}

static int put_port(struct cli *cli, struct js_wr *w, const struct pref *p, const char *text)
{
	uint64_t port;

	js_wr_key(w, p->field);
	if (!*text)
		js_wr_null(w);
	else if (span_u64(span_str(text), UINT16_MAX, &port) < 0)
		return cmd_misuse(cli, "--%s: \"%s\" is no port", p->flag, text);
	else
		js_wr_uint(w, port);
	is_set(w, p->field);
	return 0;
}

static int put_mode(struct cli *cli, struct js_wr *w, const char *mode)
{
	for (int i = 0; i < 3; i++)
		if (strcmp(mode, modes[i]) == 0) {
			js_wr_kv_int(w, "NetfilterMode", i);
			is_set(w, "NetfilterMode");
			return 0;
		}
	return cmd_misuse(cli, "--netfilter-mode: on, nodivert or off, not \"%s\"", mode);
}

static bool is_called(const struct js *node, struct span name)
{
	struct span dns = js_text(js_get(node, "DNSName"));

	for (const struct js *a = js_first(js_get(node, "TailscaleIPs")); a; a = a->next)
		if (span_eq(js_text(a), name))
			return true;
	return span_eq_nocase(span_first(dns, span_find(dns, '.')), name) ||
	       (dns.n && span_eq_nocase(span_first(dns, dns.n - 1), name));
}

static int put_exit(struct cli *cli, struct js_wr *w, const char *who, const struct js *status)
{
	struct span name = span_str(who), id = { NULL, 0 }, automatic = { NULL, 0 };
	const struct js *found = NULL;
	struct ip ip;

	if (span_starts(name, "auto:"))
		automatic = span_from(name, 5);
	else if (name.n && is_called(js_get(status, "Self"), name))
		return cmd_fail(cli,
		                "cannot use %s as an exit node as it is a local IP address to "
		                "this machine; did you mean --advertise-exit-node?",
		                who);
	else if (name.n)
		for (const struct js *x = js_first(js_get(status, "Peer")); x && !found;
		     x = x->next)
			found = is_called(x, name) ? x : NULL;
	id = js_text(js_get(found, "ID"));
	if (found && !js_truth(js_get(found, "ExitNodeOption"), false))
		return cmd_fail(cli, "%s does not offer to be an exit node", who);
	if (name.n && !automatic.n && !id.n && ip_parse(name, &ip) < 0)
		return cmd_fail(cli,
		                "no peer is called \"%s\"; `fairlead exit-node list` names those "
		                "that offer to be an exit node",
		                who);
	put_text(w, "ExitNodeID", id);
	put_text(w, "ExitNodeIP", id.n || automatic.n ? span(NULL, 0) : name);
	put_text(w, "AutoExitNode", automatic);
	return 0;
}

/* Subnets and the offer to be an exit are one list for the daemon and two flags for a person. */
static int put_routes(struct cli *cli, struct js_wr *w, const char *subnets, bool exit)
{
	struct span rest = span_str(subnets), text;

	js_wr_key(w, "AdvertiseRoutes");
	js_wr_open(w, JS_ARRAY);
	while (rest.n && span_cut(&rest, ',', &text)) {
		struct prefix prefix;
		char shown[PREFIX_TEXT_MAX];

		text = span_trim(text);
		if (prefix_parse_strict(text, &prefix) < 0)
			return cmd_misuse(
				cli,
				"--advertise-routes: \"%.*s\" is no subnet like 192.168.1.0/24",
				SPAN_FMT(text));
		if (prefix_is_default(&prefix))
			return cmd_misuse(cli,
			                  "--advertise-routes: for %.*s use "
			                  "--advertise-exit-node",
			                  SPAN_FMT(text));
		js_wr_str(w, prefix_text(&prefix, shown));
	}
	if (exit) {
		js_wr_str(w, "0.0.0.0/0");
		js_wr_str(w, "::/0");
	}
	js_wr_close(w, JS_ARRAY);
	is_set(w, "AdvertiseRoutes");
	return 0;
}

static int put(struct cli *cli, const struct pref *p, const char *text, const struct js *status,
               struct js_wr *w)
{
	bool yes = strcmp(text, "true") == 0;

	switch (p->how) {
	case PREF_BOOL:
		put_bool(w, p->field, yes);
		break;
	case PREF_NOT:
		put_bool(w, p->field, !yes);
		break;
	case PREF_INNER:
		put_inner(w, p->field, yes);
		break;
	case PREF_TEXT:
	case PREF_SERVER:
		put_text(w, p->field, span_str(text));
		break;
	case PREF_TAGS:
		put_tags(w, text);
		break;
	case PREF_LIST:
		return put_addrs(cli, w, p, text);
	case PREF_NUMBER:
		return put_port(cli, w, p, text);
	case PREF_EXIT:
		return put_exit(cli, w, text, status);
	case PREF_MODE:
		return put_mode(cli, w, text);
	case PREF_ROUTES:
	case PREF_OFFER:
		break; /* together */
	}
	return 0;
}

static bool starts_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

int prefs_patch(struct cli *cli, unsigned of, bool all, const struct pref_opts *o,
                const struct js *prefs, const struct js *status, struct js_wr *w)
{
	bool routes = false, updates[2] = { false, false }, update[2] = { false, false };
	AUTO_FREE char *subnets = pref_after(cli, pref_find("advertise-routes"), o, prefs, status);
	AUTO_FREE char *offer = pref_after(cli, pref_find("advertise-exit-node"), o, prefs, status);
	int r = 0;

	for (const struct pref *p = prefs_table; p->flag && r == 0; p++) {
		AUTO_FREE char *text = pref_after(cli, p, o, prefs, status);

		if (!(p->of & of) || !(all || cmd_given(cli, p->flag)))
			continue;
		if (p->how == PREF_ROUTES || p->how == PREF_OFFER) {
			routes = true;
		} else if (starts_with(p->field, "AutoUpdate.")) {
			int i = strcmp(p->field, "AutoUpdate.Apply") == 0;

			updates[i] = true;
			update[i] = strcmp(text, "true") == 0;
		} else {
			r = put(cli, p, text, status, w);
		}
	}
	if (r == 0 && routes)
		r = put_routes(cli, w, subnets, strcmp(offer, "true") == 0);
	if (r == 0 && (updates[0] || updates[1]))
		put_updates(w, updates, update);
	return r;
}
