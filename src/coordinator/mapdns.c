/* DNS as one node is told it: what is the same for all, and what is its own. */
#include <stdlib.h>
#include <string.h>

#include "coordinator/maphub_priv.h"
#include "http/url.h"

static const char nextdns[] = "\"https://dns.nextdns.io";

/* The profile of the node's attribute "nextdns:PROFILE", the first in order; "": none. */
static const char *profile_of(struct arena *a, const struct js *attrs, bool *ret_bare)
{
	const char *found = "";

	*ret_bare = false;
	for (const struct js *m = js_first(attrs); m; m = m->next) {
		if (!span_starts(m->key, "nextdns:"))
			continue;
		if (span_is(m->key, "nextdns:no-device-info"))
			*ret_bare = true;
		else if (!*found)
			found = arena_str(a, span_from(m->key, sizeof("nextdns:") - 1));
	}
	return found;
}

static void put_device(const struct node *n, struct buf *out)
{
	char ip[IP_TEXT_MAX];

	buf_add_str(out, "?device_name=");
	url_encode(out, span_str(n->hostname));
	buf_add_str(out, "&device_model=");
	url_encode(out, span_str(n->os));
	buf_add_str(out, "&device_ip=");
	url_encode(out, span_str(ip_text(ip_is_zero(&n->ip4) ? &n->ip6 : &n->ip4, ip)));
}

/* One resolver: `rest` begins behind the host; how much of it was used. */
static size_t put_resolver(const struct node *n, struct span rest, const char *profile, bool bare,
                           struct buf *out)
{
	size_t end = span_find(rest, '"');
	struct span path = span_first(rest, end);

	buf_add_str(out, nextdns);
	if (path.n && path.p[0] != '/') /* another host that begins alike */
		return 0;
	if (*profile)
		buf_fmt(out, "/%s", profile);
	else
		buf_add_span(out, path);
	if (!bare && (*profile || path.n > 1) && span_find(path, '?') == path.n)
		put_device(n, out);
	return end;
}

/* The text with each resolver of that provider made the node's own. */
static void put_own_resolvers(const struct map_world *w, const struct node *n, struct span text,
                              struct buf *out)
{
	__attribute__((cleanup(arena_done))) struct arena a = { 0 };
	AUTO_DONE(buf) struct buf json = { 0 };
	struct js_wr attrs = js_wr_of(&json);
	struct js *tree = NULL;
	const char *profile = "", *hit;
	bool bare = false;

	js_wr_open(&attrs, JS_OBJECT);
	w->judge->attributes(w->judge->arg, n, &attrs);
	js_wr_close(&attrs, JS_OBJECT);
	if (js_parse(&a, buf_span(&json), false, &tree, NULL) >= 0)
		profile = profile_of(&a, tree, &bare);
	while ((hit = memmem(text.p, text.n, nextdns, sizeof(nextdns) - 1))) {
		size_t at = (size_t)((const uint8_t *)hit - text.p);
		struct span rest = span_from(text, at + sizeof(nextdns) - 1);

		buf_add_span(out, span_first(text, at));
		text = span_from(rest, put_resolver(n, rest, profile, bare, out));
	}
	buf_add_span(out, text);
}

bool mapdns_is_own(struct span dns)
{
	return memmem(dns.p, dns.n, nextdns, sizeof(nextdns) - 1) != NULL;
}

void mapdns_put(const struct maphub *h, const struct map_world *w, const struct node *n,
                struct buf *out)
{
	const struct map_settings *s = w->settings;
	struct span all = span_str(h->dns);
	struct span most = s->certificates ? span_first(all, all.n - 1) : all;

	if (h->dns_is_own)
		put_own_resolvers(w, n, most, out);
	else
		buf_add_span(out, most);
	/* The names it may have certificates for. */
	if (s->certificates)
		buf_fmt(out, "%s\"CertDomains\":[\"%s.%s\"]}", all.n > 2 ? "," : "", n->given_name,
		        s->base_domain);
}
