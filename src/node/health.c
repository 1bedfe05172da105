/* What is wrong, in words a person can act on: facts of all parts gathered, and shown. */
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/via6.h"
#include "host/forwarding.h"
#include "node/names.h"
#include "node/node_priv.h"

enum { MAP_SILENT_US = 125000000, TICK_US = 15000000 };

/* ---- facts ---- */

static void set(struct node *n, enum health_code code, bool bad, const char *text)
{
	health_set(&n->health, code, ev_now(n->ev), bad ? text : NULL);
}

static void look_at_login(struct node *n, const struct session_status *s)
{
	const struct prefs *p = node_prefs(n);
	bool out = n->state == IPN_NEEDS_LOGIN || p->logged_out;
	AUTO_FREE char *why = *s->error ? out ? str_fmt("You are logged out. The last login error "
	                                                "was: %s",
	                                                s->error)
	                                      : str_dup(s->error)
	                                : str_dup("You are logged out.");

	set(n, HEALTH_STOPPED, !p->want_running, "Tailscale is stopped.");
	set(n, HEALTH_LOGIN, out || *s->error, why);
}

static void look_at_control(struct node *n, const struct session_status *s)
{
	bool up = n->state >= IPN_STARTING;
	int64_t silent = s->last_map.us ? mono_since(s->last_map, ev_now(n->ev)) : 0;
	AUTO_FREE char *text = str_fmt("Tailscale hasn't received a network map from the "
	                               "coordination server in %llds.",
	                               (long long)(silent / US_PER_S));

	set(n, HEALTH_NOT_IN_POLL, up && !s->in_poll,
	    "Unable to connect to the Tailscale coordination server to synchronize the state of "
	    "your tailnet. Peer reachability might degrade over time.");
	set(n, HEALTH_MAP_SILENT, up && s->in_poll && silent > MAP_SILENT_US, text);
}

/* The name a person knows a relay by; to be freed. */
static char *relay_name(const struct node *n, int64_t region)
{
	const struct netmap *m = node_map(n);

	for (size_t i = 0; m && m->derp_map && i < m->derp_map->regions.n; i++) {
		const struct tc_derp_region *r = m->derp_map->regions.v[i].value;

		if (r && r->region_id == region)
			return span_dup(r->region_name);
	}
	return str_fmt("%lld", (long long)region);
}

static void look_at_net(struct node *n, const struct session_status *s)
{
	struct engine_health e;
	AUTO_FREE char *name = NULL, *no_relay = NULL, *error = NULL;

	engine_health(n, &e);
	name = relay_name(n, e.home);
	no_relay = str_fmt("Tailscale could not connect to the '%s' relay server. Your Internet "
	                   "connection might be down, or the server might be temporarily "
	                   "unavailable.",
	                   name);
	error = str_fmt("The relay server #%d is reporting an issue: %s", e.bad_relay,
	                e.relay_error);
	set(n, HEALTH_NETWORK, e.up && !e.network,
	    "Tailscale cannot connect because the network is down. Check your Internet "
	    "connection.");
	set(n, HEALTH_NO_UDP, e.up && e.settled && !e.port,
	    "Tailscale couldn't listen for incoming UDP connections.");
	set(n, HEALTH_NO_HOME, e.up && s->in_poll && !e.home,
	    "Tailscale could not connect to any relay server. Check your Internet connection.");
	set(n, HEALTH_NO_RELAY, e.up && e.home && !e.home_connected, no_relay);
	set(n, HEALTH_RELAY_ERROR, e.up && *e.relay_error, error);
}

static void look_at_names(struct node *n)
{
	static const struct {
		enum health_code code;
		const char *text;
	} rows[NAMES_TROUBLES] = {
		[NAMES_SILENT] = { HEALTH_DNS_SILENT,
		                   "The configured DNS servers cannot be reached. Internet "
		                   "connectivity may be affected." },
		[NAMES_UNREADABLE] = { HEALTH_DNS_READ,
		                       "The DNS servers of this host are not known, and its "
		                       "resolver cannot ask for some names elsewhere: names of "
		                       "the tailnet are not resolved." },
		[NAMES_UNTOLD] = { HEALTH_DNS_SET,
		                   "The resolver of this host could not be told of the tailnet's "
		                   "names." },
		[NAMES_LOCKED] = { HEALTH_DNS_LOCKED,
		                   "/etc/resolv.conf is write-protected, so the resolver of this "
		                   "host does not know of the tailnet's names. If lsattr shows "
		                   "an \"i\" for it, chattr -i takes that away; or it is mounted "
		                   "read-only. With --accept-dns=false it is left alone." },
		[NAMES_TAKEN] = { HEALTH_DNS_TAKEN,
		                  "Another DNS server on this host has port 53 of all addresses, "
		                  "100.100.100.100 too: names of the tailnet are answered in part, "
		                  "or not at all. `ss -lntup sport = 53` shows which; let it "
		                  "listen at addresses of its own (dnsmasq: bind-interfaces, and "
		                  "except-interface for ours), then start fairleadd anew." },
		[NAMES_OVERWRITTEN] = { HEALTH_DNS_LOST,
		                        "System DNS config not ideal. /etc/resolv.conf overwritten "
		                        "by another program again and again." },
	};

	for (int i = 0; i < NAMES_TROUBLES; i++)
		set(n, rows[i].code, engine_names_bad(n, i), rows[i].text);
}

static void look_at_routes(struct node *n)
{
	const struct js_prefixes *routes = &node_prefs(n)->advertise_routes;
	const char *overlaps = n->engine ? engine_overlaps(n) : "";
	AUTO_DONE(buf) struct buf cure = { 0 };
	AUTO_FREE char *text = NULL;
	bool four = false, six = false;

	for (size_t i = 0; i < routes->n; i++) {
		/* Behind a router of sites all is IPv4. */
		bool is4 = prefix_is4(&routes->v[i]) || via6_covers(&routes->v[i]);

		four |= is4;
		six |= !is4;
	}
	if (n->engine && (four || six))
		host_forwarding_cure(four, six, &cure);
	text = str_fmt("Subnet routing is enabled, but IP forwarding is disabled. Check that IP "
	               "forwarding is enabled on your machine. To enable it: %s",
	               buf_text(&cure));
	set(n, HEALTH_FORWARDING, cure.n > 0, text);
	set(n, HEALTH_OVERLAP, *overlaps, overlaps);
}

static void look_at_exit_offer(struct node *n)
{
	const struct prefs *p = node_prefs(n);

	set(n, HEALTH_NOSNAT_EXIT, p->no_snat && prefs_offers_exit(p),
	    "snat-subnet-routes is disabled while advertising as an exit node; internet traffic "
	    "through this exit node may not work as expected");
}

static void look_at_store(struct node *n)
{
	int r = store_trouble(n->store);
	AUTO_FREE char *text = str_fmt("The state cannot be written to %s: %s. Logins and settings "
	                               "made now are lost when the daemon ends.",
	                               n->cfg.state_path, err_text(r));

	set(n, HEALTH_STORE, r < 0, text);
}

static void look_at_updates(struct node *n)
{
	const struct netmap *m = node_map(n);
	const struct tc_client_version *v = m ? m->client_version : NULL;
	bool told = v && !v->running_latest && v->latest_version.n &&
	            node_prefs(n)->auto_update.check;
	AUTO_FREE char *text = str_fmt(
		"%s from version %s to %.*s is available.",
		v && v->urgent_security_update ? "A security update" : "An update",
		FAIRLEAD_VERSION, SPAN_FMT(v ? v->latest_version : SPAN_LIT("")));

	set(n, HEALTH_SECURITY, told && v->urgent_security_update, text);
	set(n, HEALTH_UPDATE, told && !v->urgent_security_update && v->notify, text);
}

/* ---- telling ---- */

static unsigned shown(const struct node *n)
{
	unsigned bits = 0;

	for (unsigned i = 0; i < HEALTH_CODES; i++)
		if (health_text(&n->health, i, ev_now(n->ev)))
			bits |= 1U << i;
	return bits;
}

void health_look(struct node *n)
{
	struct session_status s = { .error = "" };
	mono next;
	unsigned now;

	if (n->session)
		s = session_status(n->session);
	look_at_login(n, &s);
	look_at_control(n, &s);
	look_at_net(n, &s);
	look_at_names(n);
	look_at_routes(n);
	look_at_exit_offer(n);
	look_at_store(n);
	look_at_updates(n);
	now = shown(n);
	if (now != n->health_shown)
		bus_health(n);
	n->health_shown = now;
	next = health_next(&n->health, ev_now(n->ev));
	if (n->engine)
		next = mono_min(next, mono_after(ev_now(n->ev), TICK_US));
	ev_timer_stop(n->ev, &n->health_timer);
	if (next.us != MONO_NEVER.us)
		ev_timer_set(n->ev, &n->health_timer, next);
}

size_t health_count(const struct node *n)
{
	const struct netmap *m = node_map(n);

	return (size_t)__builtin_popcount(shown(n)) + (m && m->health ? m->health->n : 0) +
	       (m ? m->messages.n : 0);
}

/* ---- views ---- */

static bool others_share_routes(const struct netmap *m)
{
	for (struct netmap_peer *p = m ? netmap_first(m) : NULL; p; p = netmap_next(m, p))
		if (p->node->primary_routes.n)
			return true;
	return false;
}

void health_write(const struct node *n, struct js_wr *w)
{
	const struct netmap *m = node_map(n);

	js_wr_open(w, JS_ARRAY);
	for (unsigned i = 0; i < HEALTH_CODES; i++) {
		const char *text = health_text(&n->health, i, ev_now(n->ev));

		if (text)
			js_wr_str(w, text);
	}
	for (size_t i = 0; m && m->health && i < m->health->n; i++)
		js_wr_span(w, m->health->v[i]);
	for (size_t i = 0; m && i < m->messages.n; i++)
		js_wr_span(w, m->messages.v[i].message->text);
	if (n->state >= IPN_STARTING && !node_prefs(n)->route_all && others_share_routes(m))
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

void health_write_state(const struct node *n, struct js_wr *w)
{
	const struct netmap *m = node_map(n);

	js_wr_open(w, JS_OBJECT);
	js_wr_key(w, "Warnings");
	js_wr_open(w, JS_OBJECT);
	for (unsigned i = 0; i < HEALTH_CODES; i++) {
		const struct health_kind *k = &health_kinds[i];
		const char *text = health_text(&n->health, i, ev_now(n->ev));

		if (text)
			put_object(w, k->code, k->severity, span_str(k->title), span_str(text),
			           k->connectivity);
	}
	for (size_t i = 0; m && i < m->messages.n; i++) {
		const struct tc_display_message *d = m->messages.v[i].message;
		AUTO_FREE char *code = str_fmt("control-health.%s", m->messages.v[i].id);
		AUTO_FREE char *severity = span_dup(d->severity);

		put_object(w, code, severity, d->title, d->text, d->impacts_connectivity);
	}
	js_wr_close(w, JS_OBJECT);
	js_wr_close(w, JS_OBJECT);
}
