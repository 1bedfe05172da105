#include "coordinator/derpmap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/err.h"
#include "base/json.h"

void derpmap_done(struct derpmap *d)
{
	for (size_t i = 0; i < d->regions.n; i++)
		free(d->regions.v[i].json);
	vec_done(&d->regions);
}

static void put(struct derpmap *d, int64_t id, char *taken)
{
	size_t i = 0;

	while (i < d->regions.n && d->regions.v[i].id < id)
		i++;
	if (i < d->regions.n && d->regions.v[i].id == id) {
		free(d->regions.v[i].json);
		d->regions.v[i].json = taken;
		return;
	}
	vec_reserve(&d->regions, d->regions.n + 1);
	memmove(&d->regions.v[i + 1], &d->regions.v[i], (d->regions.n - i) * sizeof(*d->regions.v));
	d->regions.v[i] = (struct derpmap_region){ id, taken };
	d->regions.n++;
}

static char *text_of(const struct js *v)
{
	struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);

	js_wr_tree(&w, v);
	return buf_take_text(&out);
}

int derpmap_add_json(struct derpmap *d, struct span json, struct fault *reterr)
{
	__attribute__((cleanup(arena_done))) struct arena a = { 0 };
	struct js *root = NULL;
	int r;

	if (json.n > DERPMAP_MAX)
		return fault_set(reterr, ERR_LIMIT, 0, 0, "the relay map is too long");
	r = js_parse(&a, json, false, &root, reterr);
	if (r < 0)
		return r;
	for (const struct js *m = js_first(js_get(root, "Regions")); m; m = m->next) {
		uint64_t id = 0;

		if (span_u64(m->key, INT64_MAX, &id) < 0 || id == 0 ||
		    (m->kind != JS_OBJECT && m->kind != JS_NULL) ||
		    d->regions.n >= DERPMAP_REGIONS_MAX)
			return js_fault(json, m, reterr, "no region: \"%.*s\"", SPAN_FMT(m->key));
		put(d, (int64_t)id, m->kind == JS_NULL ? NULL : text_of(m));
	}
	return 0;
}

/* What Headscale's files call the fields, and what the protocol does. */
static const struct {
	const char *yaml, *json;
	enum { AS_TEXT, AS_NUMBER } kind;
} names[] = {
	{ "regionid", "RegionID", AS_NUMBER },
	{ "regioncode", "RegionCode", AS_TEXT },
	{ "regionname", "RegionName", AS_TEXT },
	{ "latitude", "Latitude", AS_NUMBER },
	{ "longitude", "Longitude", AS_NUMBER },
	{ "avoid", "Avoid", AS_NUMBER },
	{ "nodes", "Nodes", AS_TEXT },
	{ "name", "Name", AS_TEXT },
	{ "hostname", "HostName", AS_TEXT },
	{ "certname", "CertName", AS_TEXT },
	{ "ipv4", "IPv4", AS_TEXT },
	{ "ipv6", "IPv6", AS_TEXT },
	{ "stunport", "STUNPort", AS_NUMBER },
	{ "stunonly", "STUNOnly", AS_NUMBER },
	{ "derpport", "DERPPort", AS_NUMBER },
	{ "insecurefortests", "InsecureForTests", AS_NUMBER },
	{ "stuntestip", "STUNTestIP", AS_TEXT },
	{ "canport80", "CanPort80", AS_NUMBER },
};

static struct span scalar_of(const yaml_node_t *n)
{
	return n && n->type == YAML_SCALAR_NODE ? span(n->data.scalar.value, n->data.scalar.length)
	                                        : (struct span){ 0 };
}

static bool is_json_scalar(struct span s)
{
	bool digits = s.n > 0;

	for (size_t i = 0; i < s.n; i++)
		digits &= (s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] == '-' && i == 0) ||
		          s.p[i] == '.';
	return digits || span_is(s, "true") || span_is(s, "false");
}

static int yaml_object(yaml_document_t *doc, const yaml_node_t *n, struct js_wr *w, unsigned depth);

static int yaml_value(yaml_document_t *doc, const yaml_node_t *n, bool number, struct js_wr *w,
                      unsigned depth)
{
	int r = 0;

	if (depth > 8)
		return ERR_LIMIT;
	if (n->type == YAML_MAPPING_NODE)
		return yaml_object(doc, n, w, depth + 1);
	if (n->type != YAML_SEQUENCE_NODE) {
		struct span s = scalar_of(n);

		if (number && is_json_scalar(s))
			js_wr_raw(w, s);
		else if (number)
			return ERR_MALFORMED;
		else
			js_wr_span(w, s);
		return 0;
	}
	js_wr_open(w, JS_ARRAY);
	for (yaml_node_item_t *i = n->data.sequence.items.start;
	     r >= 0 && i < n->data.sequence.items.top; i++)
		r = yaml_value(doc, yaml_document_get_node(doc, *i), number, w, depth + 1);
	js_wr_close(w, JS_ARRAY);
	return r;
}

static int yaml_object(yaml_document_t *doc, const yaml_node_t *n, struct js_wr *w, unsigned depth)
{
	int r = 0;

	js_wr_open(w, JS_OBJECT);
	for (yaml_node_pair_t *p = n->data.mapping.pairs.start;
	     r >= 0 && p < n->data.mapping.pairs.top; p++) {
		struct span key = scalar_of(yaml_document_get_node(doc, p->key));

		for (size_t i = 0; i < ARRAY_LEN(names); i++) {
			if (!span_is_nocase(key, names[i].yaml))
				continue;
			js_wr_key(w, names[i].json);
			r = yaml_value(doc, yaml_document_get_node(doc, p->value),
			               names[i].kind == AS_NUMBER, w, depth + 1);
		}
	}
	js_wr_close(w, JS_OBJECT);
	return r;
}

static int yaml_region(struct derpmap *d, yaml_document_t *doc, const yaml_node_t *key,
                       const yaml_node_t *value, struct fault *reterr)
{
	struct buf out = { .max = DERPMAP_MAX };
	struct js_wr w = js_wr_of(&out);
	uint64_t id = 0;
	int r = span_u64(scalar_of(key), INT64_MAX, &id);

	if (r >= 0 && (id == 0 || d->regions.n >= DERPMAP_REGIONS_MAX))
		r = ERR_MALFORMED;
	if (r >= 0 && value->type == YAML_MAPPING_NODE)
		r = yaml_object(doc, value, &w, 0);
	if (r < 0) {
		buf_done(&out);
		return fault_set(reterr, ERR_MALFORMED, (unsigned)key->start_mark.line + 1,
		                 (unsigned)key->start_mark.column + 1, "no relay region");
	}
	put(d, (int64_t)id, out.n ? buf_take_text(&out) : NULL);
	return 0;
}

static const yaml_node_t *yaml_get(yaml_document_t *doc, const yaml_node_t *map, const char *name)
{
	if (!map || map->type != YAML_MAPPING_NODE)
		return NULL;
	for (yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top;
	     p++)
		if (span_is_nocase(scalar_of(yaml_document_get_node(doc, p->key)), name))
			return yaml_document_get_node(doc, p->value);
	return NULL;
}

int derpmap_add_yaml(struct derpmap *d, struct span yaml, struct fault *reterr)
{
	yaml_parser_t parser;
	yaml_document_t doc;
	int r = 0;

	if (yaml.n > DERPMAP_MAX || !yaml_parser_initialize(&parser))
		return fault_set(reterr, ERR_LIMIT, 0, 0, "the relay map is too long");
	yaml_parser_set_input_string(&parser, yaml.p ? yaml.p : (const uint8_t *)"", yaml.n);
	if (!yaml_parser_load(&parser, &doc)) {
		r = fault_set(reterr, ERR_MALFORMED, (unsigned)parser.problem_mark.line + 1,
		              (unsigned)parser.problem_mark.column + 1, "%s",
		              parser.problem ? parser.problem : "no YAML");
		yaml_parser_delete(&parser);
		return r;
	}

	const yaml_node_t *regions = yaml_get(&doc, yaml_document_get_root_node(&doc), "regions");

	if (regions && regions->type == YAML_MAPPING_NODE)
		for (yaml_node_pair_t *p = regions->data.mapping.pairs.start;
		     r >= 0 && p < regions->data.mapping.pairs.top; p++)
			r = yaml_region(d, &doc, yaml_document_get_node(&doc, p->key),
			                yaml_document_get_node(&doc, p->value), reterr);
	yaml_document_delete(&doc);
	yaml_parser_delete(&parser);
	return r;
}

/* The port of "host:port", or 0. */
static int64_t port_of(const char *addr)
{
	const char *colon = strrchr(addr, ':');
	uint64_t port = 0;

	if (!colon || strchr(colon, ']') || span_u64(span_str(colon + 1), 65535, &port) < 0)
		return 0;
	return (int64_t)port;
}

void derpmap_add_embedded(struct derpmap *d, const struct config *c)
{
	struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);
	const char *rest = strstr(c->server_url, "://");
	bool https = strncmp(c->server_url, "https://", 8) == 0;
	int64_t port = port_of(rest ? rest + 3 : c->server_url);
	int64_t stun = *c->derp_stun_addr ? port_of(c->derp_stun_addr) : 0;
	char host[256], name[24];

	(void)snprintf(name, sizeof(name), "%lld", (long long)c->derp_region_id);
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_int(&w, "RegionID", c->derp_region_id);
	js_wr_kv_str(&w, "RegionCode", c->derp_region_code);
	js_wr_kv_str(&w, "RegionName", c->derp_region_name);
	js_wr_key(&w, "Nodes");
	js_wr_open(&w, JS_ARRAY);
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "Name", name);
	js_wr_kv_int(&w, "RegionID", c->derp_region_id);
	js_wr_kv_str(&w, "HostName", config_host(c, host));
	js_wr_kv_int(&w, "STUNPort", stun ? stun : -1);
	js_wr_kv_int(&w, "DERPPort", port ? port : https ? 443 : 80);
	if (*c->derp_ipv4)
		js_wr_kv_str(&w, "IPv4", c->derp_ipv4);
	if (*c->derp_ipv6)
		js_wr_kv_str(&w, "IPv6", c->derp_ipv6);
	js_wr_close(&w, JS_OBJECT);
	js_wr_close(&w, JS_ARRAY);
	js_wr_close(&w, JS_OBJECT);
	put(d, c->derp_region_id, buf_take_text(&out));
}

void derpmap_json(const struct derpmap *d, struct buf *out)
{
	bool first = true;

	buf_add_str(out, "{\"Regions\":{");
	for (size_t i = 0; i < d->regions.n; i++) {
		if (!d->regions.v[i].json)
			continue;
		buf_fmt(out, "%s\"%lld\":%s", first ? "" : ",", (long long)d->regions.v[i].id,
		        d->regions.v[i].json);
		first = false;
	}
	buf_add_str(out, "},\"omitDefaultRegions\":true}");
}
