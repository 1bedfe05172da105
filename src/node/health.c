/* What is wrong, in words a person can act on. Codes and texts are those of tailscale v1.102.5,
 * health. */
#include "host/forwarding.h"
#include "node/names.h"
#include "node/node_priv.h"

enum { MAP_SILENT_US = 125000000 };

struct warning {
	const char *code, *title, *severity, *text;
	bool connectivity;
};

static bool map_is_silent(const struct node *n)
{
	struct session_status s;

	if (!n->session || n->state < IPN_STARTING)
		return false;
	s = session_status(n->session);
	return s.last_map.us && mono_since(s.last_map, ev_now(n->ev)) > MAP_SILENT_US;
}

static void each_of_names(const struct node *n, void (*each)(void *arg, const struct warning *w),
                          void *arg)
{
	static const struct warning warnings[NAMES_TROUBLES] = {
		[NAMES_SILENT] = { "dns-forward-failing", "DNS unavailable", "medium",
		                   "The configured DNS servers cannot be reached. Internet "
		                   "connectivity "
		                   "may be affected.",
		                   true },
		[NAMES_UNREADABLE] = { "dns-read-os-config-failed",
		                       "Failed to read system DNS configuration", "low",
		                       "The DNS servers of this host are not known, and its "
		                       "resolver "
		                       "cannot ask for some names elsewhere: names of the tailnet "
		                       "are "
		                       "not resolved.",
		                       false },
		[NAMES_UNTOLD] = { "dns-set-os-config-failed",
		                   "Failed to set system DNS configuration", "medium",
		                   "The resolver of this host could not be told of the tailnet's "
		                   "names.",
		                   false },
		[NAMES_OVERWRITTEN] = { "resolv-conf-overwritten", "DNS configuration issue",
		                        "medium",
		                        "System DNS config not ideal. /etc/resolv.conf overwritten "
		                        "by "
		                        "another program again and again.",
		                        false },
	};

	for (int i = 0; i < NAMES_TROUBLES; i++)
		if (engine_names_bad(n, i))
			each(arg, &warnings[i]);
}

static void of_forwarding(const struct node *n, void (*each)(void *arg, const struct warning *w),
                          void *arg)
{
	const struct js_prefixes *routes = &node_prefs(n)->advertise_routes;
	AUTO_DONE(buf) struct buf cure = { 0 };
	bool four = false, six = false;

	for (size_t i = 0; i < routes->n; i++) {
		four |= prefix_is4(&routes->v[i]);
		six |= !prefix_is4(&routes->v[i]);
	}
	host_forwarding_cure(four, six, &cure);
	if (!cure.n)
		return;

	AUTO_FREE char *text = str_fmt("Subnet routing is enabled, but IP forwarding is disabled. "
	                               "Check that IP forwarding is enabled on your machine. "
	                               "To enable it: %s",
	                               buf_text(&cure));

	each(arg, &(struct warning){ "ip-forwarding-off", "IP forwarding is off", "medium", text,
	                             true });
}

static bool passes_routes_over(const struct node *n)
{
	const struct netmap *m = node_prefs(n)->route_all ? NULL : node_map(n);

	for (struct netmap_peer *p = m ? netmap_first(m) : NULL; p; p = netmap_next(m, p))
		if (p->node->primary_routes.n)
			return true;
	return false;
}

static void each_of_routing(const struct node *n, void (*each)(void *arg, const struct warning *w),
                            void *arg)
{
	const char *overlaps = engine_overlaps(n);

	if (!n->engine)
		return;
	of_forwarding(n, each, arg);
	if (*overlaps)
		each(arg, &(struct warning){ "routes-overlap", "Routes overlap", "low", overlaps,
		                             false });
}

/* Calls each for every warning that holds now. */
static void each_warning(const struct node *n, void (*each)(void *arg, const struct warning *w),
                         void *arg)
{
	const struct prefs *p = node_prefs(n);
	struct session_status s = { .error = "" };
	bool logged_out = n->state == IPN_NEEDS_LOGIN || p->logged_out;

	if (n->session)
		s = session_status(n->session);
	if (!p->want_running)
		each(arg, &(struct warning){ "wantrunning-false", "Tailscale off", "low",
		                             "Tailscale is stopped.", true });
	else if (logged_out && *s.error)
		each(arg,
		     &(struct warning){ "login-state", "Logged out", "medium", s.error, true });
	else if (logged_out)
		each(arg, &(struct warning){ "login-state", "Logged out", "medium",
		                             "You are logged out.", true });
	else if (*s.error)
		each(arg, &(struct warning){ "login-state", "Coordinator not reached", "medium",
		                             s.error, true });
	if (map_is_silent(n))
		each(arg,
		     &(struct warning){
			     "mapresponse-timeout", "Network map response timeout", "medium",
			     "The coordination server has not spoken for two minutes.", false });
	each_of_names(n, each, arg);
	each_of_routing(n, each, arg);
}

static void put_text(void *arg, const struct warning *w)
{
	js_wr_str(arg, w->text);
}

void health_write(const struct node *n, struct js_wr *w)
{
	const struct netmap *m = node_map(n);

	js_wr_open(w, JS_ARRAY);
	each_warning(n, put_text, w);
	for (size_t i = 0; m && m->health && i < m->health->n; i++)
		js_wr_span(w, m->health->v[i]);
	for (size_t i = 0; m && i < m->messages.n; i++)
		js_wr_span(w, m->messages.v[i].message->text);
	if (passes_routes_over(n))
		js_wr_str(w, "Some peers are advertising routes but --accept-routes is false");
	js_wr_close(w, JS_ARRAY);
}

static void put_object(struct js_wr *w, const char *code, const char *severity, struct span title,
                       struct span text, bool connectivity)
{
	js_wr_key(w, code);
	js_wr_open(w, JS_OBJECT);
	js_wr_kv_str(w, "WarnableCode", code);
	js_wr_kv_str(w, "Severity", severity);
	js_wr_kv_span(w, "Title", title);
	js_wr_kv_span(w, "Text", text);
	if (connectivity)
		js_wr_kv_bool(w, "ImpactsConnectivity", true);
	js_wr_close(w, JS_OBJECT);
}

static void put_warning(void *arg, const struct warning *w)
{
	put_object(arg, w->code, w->severity, span_str(w->title), span_str(w->text),
	           w->connectivity);
}

void health_write_state(const struct node *n, struct js_wr *w)
{
	const struct netmap *m = node_map(n);

	js_wr_open(w, JS_OBJECT);
	js_wr_key(w, "Warnings");
	js_wr_open(w, JS_OBJECT);
	each_warning(n, put_warning, w);
	for (size_t i = 0; m && i < m->messages.n; i++) {
		const struct tc_display_message *d = m->messages.v[i].message;
		AUTO_FREE char *code = str_fmt("control-health.%s", m->messages.v[i].id);
		AUTO_FREE char *severity = span_dup(d->severity);

		put_object(w, code, severity, d->title, d->text, d->impacts_connectivity);
	}
	js_wr_close(w, JS_OBJECT);
	js_wr_close(w, JS_OBJECT);
}
