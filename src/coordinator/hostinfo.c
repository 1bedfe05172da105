#include "coordinator/hostinfo.h"

#include <string.h>

#include "base/err.h"
#include "base/json.h"

struct derived {
	struct prefixes advertised;
	struct texts request_tags;
	struct span hostname, os;
	unsigned home_derp;
	bool has_netinfo;
};

static void derived_done(struct derived *d)
{
	prefixes_done(&d->advertised);
	texts_done(&d->request_tags);
}

static int read_routes(const struct js *list, struct prefixes *ret)
{
	for (const struct js *m = js_first(list); m; m = m->next) {
		struct prefix p;
		int r = m->kind == JS_STRING ? prefix_parse(m->text, &p) : ERR_MALFORMED;

		if (r < 0)
			return r;
		if (ret->n >= NODE_ROUTES_MAX)
			return ERR_LIMIT;
		vec_push(ret, prefix_masked(p));
	}
	prefixes_normalise(ret);
	return 0;
}

static bool is_word(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] == 0x7f)
			return false;
	return s.n > 0 && s.n <= MODEL_TEXT_MAX;
}

static int read_tags(const struct js *list, struct texts *ret)
{
	for (const struct js *m = js_first(list); m; m = m->next) {
		if (m->kind != JS_STRING || !is_word(m->text))
			return ERR_MALFORMED;
		if (ret->n >= NODE_TAGS_MAX)
			return ERR_LIMIT;
		texts_add(ret, m->text);
	}
	texts_normalise(ret);
	return 0;
}

static int derive(const struct js *host, struct derived *d)
{
	int r = read_routes(js_get(host, "RoutableIPs"), &d->advertised);

	if (r >= 0)
		r = read_tags(js_get(host, "RequestTags"), &d->request_tags);
	d->hostname = js_text(js_get(host, "Hostname"));
	d->os = js_text(js_get(host, "OS"));
	if (d->hostname.n > MODEL_TEXT_MAX || d->os.n > MODEL_TEXT_MAX)
		return ERR_LIMIT;
	return r;
}

static void derive_netinfo(const struct js *net, struct derived *d)
{
	int64_t region = js_int(js_get(net, "PreferredDERP"), 0);

	d->has_netinfo = net && net->kind == JS_OBJECT;
	d->home_derp = region > 0 && region < 1 << 20 ? (unsigned)region : 0;
}

/* All members but NetInfo, compact. */
static char *without_netinfo(const struct js *host)
{
	struct buf out = { .max = NODE_HOSTINFO_MAX };
	struct js_wr w = js_wr_of(&out);

	js_wr_open(&w, JS_OBJECT);
	for (const struct js *m = js_first(host); m; m = m->next) {
		if (span_is(m->key, "NetInfo"))
			continue;
		js_wr_key_span(&w, m->key);
		js_wr_tree(&w, m);
	}
	js_wr_close(&w, JS_OBJECT);
	return buf_take_text(&out);
}

static char *compact(const struct js *v)
{
	struct buf out = { .max = NODE_HOSTINFO_MAX };
	struct js_wr w = js_wr_of(&out);

	js_wr_tree(&w, v);
	return buf_take_text(&out);
}

static void replace(char **slot, char *taken)
{
	free(*slot);
	*slot = taken;
}

static void store_derived(struct node *n, struct derived *d)
{
	prefixes_done(&n->advertised);
	n->advertised = d->advertised;
	d->advertised = (struct prefixes){ 0 };
	texts_done(&n->request_tags);
	n->request_tags = d->request_tags;
	d->request_tags = (struct texts){ 0 };
	replace(&n->os, span_dup(d->os));
	if (d->hostname.n)
		replace(&n->hostname, span_dup(d->hostname));
}

static int apply_tree(struct node *n, const struct js *host)
{
	AUTO_DONE(derived) struct derived d = { 0 };
	const struct js *net = js_get(host, "NetInfo");
	int r = derive(host, &d);

	if (r < 0)
		return r;
	derive_netinfo(net, &d);

	char *hostinfo = without_netinfo(host);
	char *netinfo = d.has_netinfo ? compact(net) : NULL;

	if (!hostinfo || (d.has_netinfo && !netinfo)) {
		free(hostinfo);
		free(netinfo);
		return ERR_LIMIT;
	}
	replace(&n->hostinfo, hostinfo);
	if (netinfo) {
		replace(&n->netinfo, netinfo);
		n->home_derp = d.home_derp;
	}
	store_derived(n, &d);
	return 0;
}

int hostinfo_apply(struct node *n, struct span json)
{
	__attribute__((cleanup(arena_done))) struct arena a = { 0 };
	struct js *host = NULL;

	json = span_trim(json);
	if (!json.n || span_is(json, "null"))
		return 0;
	if (json.n > NODE_HOSTINFO_MAX)
		return ERR_LIMIT;

	int r = js_parse(&a, json, false, &host, NULL);

	if (r < 0)
		return r;
	return host->kind == JS_OBJECT ? apply_tree(n, host) : ERR_MALFORMED;
}

void hostinfo_derive(struct node *n)
{
	__attribute__((cleanup(arena_done))) struct arena a = { 0 };
	AUTO_DONE(derived) struct derived d = { 0 };
	struct js *host = NULL;

	if (!n->hostinfo || js_parse(&a, span_str(n->hostinfo), false, &host, NULL) < 0)
		return;
	if (derive(host, &d) < 0)
		return;
	d.hostname = (struct span){ 0 }; /* the record has its own */
	store_derived(n, &d);
}

/*
 * What a peer's daemon reads: its services (the ports of the peer API), SSH host
 * keys, routes, and what status pages show.
 */
static const char *const for_peers[] = {
	"OS",        "OSVersion",    "Hostname",    "DeviceModel", "ShieldsUp",      "App",
	"Services",  "RoutableIPs",  "sshHostKeys", "Location",    "IngressEnabled", "WireIngress",
	"PeerRelay", "AppConnector",
};

void hostinfo_for_peers(const struct node *n, struct buf *out)
{
	__attribute__((cleanup(arena_done))) struct arena a = { 0 };
	struct js_wr w = js_wr_of(out);
	struct js *host = NULL;

	js_wr_open(&w, JS_OBJECT);
	if (n->hostinfo && js_parse(&a, span_str(n->hostinfo), false, &host, NULL) >= 0)
		for (size_t i = 0; i < ARRAY_LEN(for_peers); i++) {
			const struct js *v = js_get(host, for_peers[i]);

			if (!v)
				continue;
			js_wr_key(&w, for_peers[i]);
			js_wr_tree(&w, v);
		}
	js_wr_close(&w, JS_OBJECT);
}
