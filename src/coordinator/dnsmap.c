#include "coordinator/dnsmap.h"

#include "base/err.h"
#include "base/json.h"

static void put_resolvers(struct js_wr *w, const struct texts *servers)
{
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < servers->n; i++) {
		js_wr_open(w, JS_OBJECT);
		js_wr_kv_str(w, "Addr", servers->v[i]);
		js_wr_close(w, JS_OBJECT);
	}
	js_wr_close(w, JS_ARRAY);
}

static void put_record(struct js_wr *w, struct span name, struct span type, struct span value)
{
	js_wr_open(w, JS_OBJECT);
	js_wr_kv_span(w, "Name", name);
	if (type.n)
		js_wr_kv_span(w, "Type", type);
	js_wr_kv_span(w, "Value", value);
	js_wr_close(w, JS_OBJECT);
}

static int put_file_records(struct js_wr *w, struct span json, struct fault *reterr)
{
	__attribute__((cleanup(arena_done))) struct arena a = { 0 };
	struct js *root = NULL;
	unsigned n = 0;
	int r;

	if (!span_trim(json).n)
		return 0;
	r = js_parse(&a, json, false, &root, reterr);
	if (r < 0)
		return r;
	for (const struct js *m = js_first(root); m; m = m->next) {
		struct span name = js_text(js_get(m, "name"));

		if (m->kind != JS_OBJECT || !name.n || ++n > DNS_RECORDS_MAX)
			return js_fault(json, m, reterr, "expected {name, type, value}");
		put_record(w, name, js_text(js_get(m, "type")), js_text(js_get(m, "value")));
	}
	return 0;
}

static int put_records(const struct config *c, struct span extra, struct js_wr *w,
                       struct fault *reterr)
{
	int r;

	js_wr_key(w, "ExtraRecords");
	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < c->extra_records.n; i++) {
		const struct config_record *rec = &c->extra_records.v[i];

		put_record(w, span_str(rec->name), span_str(rec->type), span_str(rec->value));
	}
	r = put_file_records(w, extra, reterr);
	js_wr_close(w, JS_ARRAY);
	return r;
}

static void put_routes(const struct config *c, struct js_wr *w)
{
	js_wr_key(w, "Routes");
	js_wr_open(w, JS_OBJECT);
	for (size_t i = 0; i < c->split_dns.n; i++) {
		js_wr_key(w, c->split_dns.v[i].domain);
		put_resolvers(w, &c->split_dns.v[i].servers);
	}
	js_wr_close(w, JS_OBJECT);
}

int dnsmap_json(const struct config *c, struct span extra, struct buf *out, struct fault *reterr)
{
	struct js_wr w = js_wr_of(out);
	int r;

	js_wr_open(&w, JS_OBJECT);
	if (c->nameservers.n) {
		js_wr_key(&w, c->override_local_dns ? "Resolvers" : "FallbackResolvers");
		put_resolvers(&w, &c->nameservers);
	}
	put_routes(c, &w);
	js_wr_key(&w, "Domains");
	js_wr_open(&w, JS_ARRAY);
	if (c->magic_dns && *c->base_domain)
		js_wr_str(&w, c->base_domain);
	for (size_t i = 0; i < c->search_domains.n; i++)
		js_wr_str(&w, c->search_domains.v[i]);
	js_wr_close(&w, JS_ARRAY);
	js_wr_kv_bool(&w, "Proxied", c->magic_dns);
	r = put_records(c, extra, &w, reterr);
	js_wr_close(&w, JS_OBJECT);
	return r;
}
