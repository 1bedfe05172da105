#include "coordinator/requests.h"

#include "base/err.h"
#include "base/json.h"

static int read_key(struct js_rd *rd, int (*parse)(struct span text, void *ret), void *ret)
{
	struct span text;
	int r;

	if (js_peek(rd) == JS_NULL)
		return js_rd_null(rd);
	r = js_rd_string_view(rd, &text);
	return r < 0 ? r : parse(text, ret);
}

static int parse_node(struct span text, void *ret)
{
	return node_pub_parse(text, ret);
}

static int parse_disco(struct span text, void *ret)
{
	return disco_pub_parse(text, ret);
}

static int read_bool(struct js_rd *rd, bool *ret)
{
	return js_peek(rd) == JS_NULL ? js_rd_null(rd) : js_rd_bool(rd, ret);
}

static int read_text(struct js_rd *rd, struct span *ret)
{
	return js_peek(rd) == JS_NULL ? js_rd_null(rd) : js_rd_string(rd, ret);
}

static int read_version(struct js_rd *rd, int64_t *ret)
{
	return js_rd_int(rd, 0, 1 << 16, ret);
}

/* Go's zero time, the year 1, is no wish. */
static int read_time(struct js_rd *rd, wall *ret)
{
	struct span text = { 0 };
	wall t = { 0 };
	int r = read_text(rd, &text);

	if (r < 0 || !text.n || span_starts(text, "0001-01-01T"))
		return r;
	r = wall_parse(text, &t);
	if (r >= 0)
		*ret = t;
	return r;
}

static int read_auth(struct js_rd *rd, struct span *ret)
{
	struct span key, skipped;
	int r;

	if (js_peek(rd) == JS_NULL)
		return js_rd_null(rd);
	r = js_rd_enter(rd, JS_OBJECT);
	while (r >= 0 && (r = js_rd_next_key(rd, &key)) > 0)
		r = span_is(key, "AuthKey") ? read_text(rd, ret) : js_rd_skip(rd, &skipped);
	return r;
}

static int register_field(struct js_rd *rd, struct arena *a, struct span key, void *ret)
{
	struct register_request *q = ret;
	struct span skipped;

	(void)a;
	if (span_is(key, "Version"))
		return read_version(rd, &q->version);
	if (span_is(key, "NodeKey"))
		return read_key(rd, parse_node, &q->key);
	if (span_is(key, "OldNodeKey"))
		return read_key(rd, parse_node, &q->old_key);
	if (span_is(key, "Auth"))
		return read_auth(rd, &q->auth_key);
	if (span_is(key, "Followup"))
		return read_text(rd, &q->followup);
	if (span_is(key, "Expiry"))
		return read_time(rd, &q->expiry);
	if (span_is(key, "Ephemeral"))
		return read_bool(rd, &q->ephemeral);
	if (span_is(key, "Hostinfo"))
		return js_rd_skip(rd, &q->hostinfo);
	return js_rd_skip(rd, &skipped);
}

static int read_endpoints(struct js_rd *rd, struct arena *a, struct map_request *q)
{
	int r;

	if (js_peek(rd) == JS_NULL)
		return js_rd_null(rd);
	q->has_endpoints = true;
	q->endpoints.v = arena_new_n(a, struct addr, NODE_ENDPOINTS_MAX);
	q->endpoints.n = 0;
	r = js_rd_enter(rd, JS_ARRAY);
	while (r >= 0 && (r = js_rd_next(rd)) > 0) {
		struct span text;
		struct addr one;

		r = js_rd_string_view(rd, &text);
		/* One with a zone by name is no use to anybody else: passed over. */
		if (r >= 0 && addr_parse(text, &one) >= 0 && q->endpoints.n < NODE_ENDPOINTS_MAX)
			q->endpoints.v[q->endpoints.n++] = one;
	}
	return r;
}

static int read_compress(struct js_rd *rd, bool *ret)
{
	struct span text = { 0 };
	int r = read_text(rd, &text);

	*ret = span_is(text, "zstd");
	return r;
}

static int map_field(struct js_rd *rd, struct arena *a, struct span key, void *ret)
{
	struct map_request *q = ret;
	struct span skipped;

	if (span_is(key, "Version"))
		return read_version(rd, &q->version);
	if (span_is(key, "Compress"))
		return read_compress(rd, &q->zstd);
	if (span_is(key, "KeepAlive"))
		return read_bool(rd, &q->keep_alive);
	if (span_is(key, "NodeKey"))
		return read_key(rd, parse_node, &q->key);
	if (span_is(key, "DiscoKey"))
		return read_key(rd, parse_disco, &q->disco);
	if (span_is(key, "Stream"))
		return read_bool(rd, &q->stream);
	if (span_is(key, "OmitPeers"))
		return read_bool(rd, &q->omit_peers);
	if (span_is(key, "ReadOnly"))
		return read_bool(rd, &q->read_only);
	if (span_is(key, "Hostinfo"))
		return js_rd_skip(rd, &q->hostinfo);
	if (span_is(key, "Endpoints"))
		return read_endpoints(rd, a, q);
	return js_rd_skip(rd, &skipped);
}

static int admit_field(struct js_rd *rd, struct arena *a, struct span key, void *ret)
{
	struct span skipped;

	(void)a;
	return span_is(key, "NodePublic") ? read_key(rd, parse_node, ret)
	                                  : js_rd_skip(rd, &skipped);
}

/* One object, field by field. */
static int read_request(struct arena *a, struct span json,
                        int (*field)(struct js_rd *rd, struct arena *a, struct span key, void *ret),
                        void *ret)
{
	struct js_rd rd;
	struct span key;
	int r;

	if (json.n > REQUEST_MAX)
		return ERR_LIMIT;
	js_rd_init(&rd, a, json);
	r = js_rd_enter(&rd, JS_OBJECT);
	while (r >= 0 && (r = js_rd_next_key(&rd, &key)) > 0)
		r = field(&rd, a, key, ret);
	return r < 0 ? r : js_rd_end(&rd);
}

int register_request_read(struct arena *a, struct span json, struct register_request *ret)
{
	int r;

	*ret = (struct register_request){ 0 };
	r = read_request(a, json, register_field, ret);
	if (r >= 0 && (node_pub_is_zero(&ret->key) || ret->followup.n > 1024))
		r = ERR_MALFORMED;
	return r;
}

int map_request_read(struct arena *a, struct span json, struct map_request *ret)
{
	*ret = (struct map_request){ 0 };
	return read_request(a, json, map_field, ret);
}

int admit_request_read(struct arena *a, struct span json, struct node_pub *ret)
{
	*ret = (struct node_pub){ 0 };
	return read_request(a, json, admit_field, ret);
}
