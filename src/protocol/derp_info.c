/* The boxed JSON of the DERP login. */
#include <stdio.h>

#include "base/json.h"
#include "protocol/derp.h"

static void seal_frame(struct buf *out, enum derp_type type, const struct node_pub *in_front,
                       const struct box_shared *shared, struct span text, struct rand_src *rand)
{
	AUTO_DONE(buf) struct buf body = { .secret = true };

	if (in_front)
		buf_add(&body, in_front->b, KEY_LEN);

	uint8_t *at = buf_room(&body, text.n + BOX_OVERHEAD);

	box_seal(at, shared, rand, text);
	body.n += text.n + BOX_OVERHEAD;
	derp_put(out, type, buf_span(&body));
}

void derp_put_client_info(struct buf *out, const struct box_shared *shared,
                          const struct node_pub *client, const struct derp_client_info *info,
                          struct rand_src *rand)
{
	AUTO_DONE(buf) struct buf text = { .secret = true };
	char hex[HEX_LEN(DERP_MESH_KEY) + 1];

	buf_add_str(&text, "{");
	if (info->has_mesh_key)
		buf_fmt(&text, "\"meshKey\":\"%s\",",
		        hex_encode(hex, info->mesh_key, DERP_MESH_KEY));
	explicit_bzero(hex, sizeof(hex));
	buf_fmt(&text, "\"version\":%d,\"CanAckPings\":%s", DERP_VERSION,
	        info->can_ack_pings ? "true" : "false");
	if (info->is_prober)
		buf_add_str(&text, ",\"IsProber\":true");
	if (info->app_name[0])
		buf_fmt(&text, ",\"AppName\":\"%s\"", info->app_name);
	buf_add_str(&text, "}");
	seal_frame(out, DERP_CLIENT_INFO, client, shared, buf_span(&text), rand);
}

void derp_put_server_info(struct buf *out, const struct box_shared *shared,
                          const struct derp_server_info *info, struct rand_src *rand)
{
	char text[160];
	int n = snprintf(text, sizeof(text), "{\"version\":%d", info->version);

	if (info->bucket_bytes_per_s)
		n += snprintf(text + n, sizeof(text) - (size_t)n,
		              ",\"TokenBucketBytesPerSecond\":%llu,\"TokenBucketBytesBurst\":%llu",
		              (unsigned long long)info->bucket_bytes_per_s,
		              (unsigned long long)info->bucket_bytes);
	n += snprintf(text + n, sizeof(text) - (size_t)n, "}");
	seal_frame(out, DERP_SERVER_INFO, NULL, shared, span(text, (size_t)n), rand);
}

/* Opens a box and reads the object inside, into the arena. */
static int open_object(struct arena *arena, struct span sealed, const struct box_shared *shared,
                       struct js **ret)
{
	AUTO_DONE(buf) struct buf text = { .secret = true };

	if (sealed.n < BOX_OVERHEAD)
		return ERR_AUTH;

	uint8_t *at = buf_room(&text, sealed.n - BOX_OVERHEAD + 1);
	int r = box_open(at, shared, sealed);

	if (r < 0)
		return r;
	text.n = sealed.n - BOX_OVERHEAD;
	if (js_parse(arena, buf_span(&text), false, ret, NULL) < 0 || (*ret)->kind != JS_OBJECT)
		return ERR_MALFORMED;
	return 0;
}

/* A member that is left out or null keeps its zero value, as in Go. */
static int member(const struct js *object, const char *name, enum js_kind kind,
                  const struct js **ret)
{
	const struct js *v = js_get(object, name);

	if (v && v->kind == JS_NULL)
		v = NULL;
	*ret = v;
	return v && v->kind != kind ? ERR_MALFORMED : 0;
}

static int get_bool(const struct js *object, const char *name, bool *ret)
{
	const struct js *v;
	int r = member(object, name, JS_BOOL, &v);

	*ret = js_truth(v, false);
	return r;
}

static int get_int(const struct js *object, const char *name, int64_t *ret)
{
	const struct js *v;
	int r = member(object, name, JS_NUMBER, &v);

	*ret = js_int(v, 0);
	return r;
}

static int get_text(const struct js *object, const char *name, struct span *ret)
{
	const struct js *v;
	int r = member(object, name, JS_STRING, &v);

	*ret = js_text(v);
	return r;
}

static int read_app_name(const struct js *j, char dst[static DERP_APP_NAME_MAX + 1])
{
	struct span name;
	int r = get_text(j, "AppName", &name);

	if (r < 0 || name.n > DERP_APP_NAME_MAX)
		return ERR_MALFORMED;
	for (size_t i = 0; i < name.n; i++) {
		if (name.p[i] < 0x20 || name.p[i] > 0x7e)
			return ERR_MALFORMED;
		dst[i] = (char)name.p[i];
	}
	dst[name.n] = 0;
	return 0;
}

static int read_client_info(const struct js *j, struct derp_client_info *ret)
{
	struct span mesh;
	int64_t version = 0;
	int r = get_text(j, "meshKey", &mesh);

	if (r == 0 && mesh.n) {
		r = hex_decode(ret->mesh_key, DERP_MESH_KEY, mesh);
		ret->has_mesh_key = r == 0 && !ct_is_zero(ret->mesh_key, DERP_MESH_KEY);
	}
	if (r == 0)
		r = get_int(j, "version", &version);
	if (r == 0)
		r = get_bool(j, "CanAckPings", &ret->can_ack_pings);
	if (r == 0)
		r = get_bool(j, "IsProber", &ret->is_prober);
	if (r == 0)
		r = read_app_name(j, ret->app_name);
	if (r < 0)
		return r;
	ret->version = version < 0 || version > INT16_MAX ? 0 : (int)version;
	return 0;
}

int derp_client_info_parse(struct span body, const struct node_priv *server,
                           struct node_pub *ret_client, struct box_shared *ret_shared,
                           struct derp_client_info *ret)
{
	AUTO_WIPE(derp_client_info) info = { 0 };
	AUTO_WIPE(box_shared) shared;
	AUTO_DONE(arena) struct arena arena = { 0 };
	struct js *j;
	struct node_pub client;

	if (body.n < DERP_CLIENT_INFO_MIN)
		return ERR_SHORT;
	if (body.n > DERP_CLIENT_INFO_MAX)
		return ERR_LIMIT;
	memcpy(client.b, body.p, KEY_LEN);
	if (node_pub_is_zero(&client) || box_shared_init(&shared, server->b, client.b) < 0)
		return ERR_AUTH;

	int r = open_object(&arena, span_from(body, KEY_LEN), &shared, &j);

	if (r == 0)
		r = read_client_info(j, &info);
	if (r < 0)
		return r;
	*ret_client = client;
	*ret_shared = shared;
	*ret = info;
	return 0;
}

int derp_server_info_parse(struct span body, const struct box_shared *shared,
                           struct derp_server_info *ret)
{
	AUTO_DONE(arena) struct arena arena = { 0 };
	struct js *j;
	int64_t version = 0, rate = 0, burst = 0;

	if (body.n > DERP_CLIENT_FRAME_MAX)
		return ERR_LIMIT;

	int r = open_object(&arena, body, shared, &j);

	if (r == 0)
		r = get_int(j, "version", &version);
	if (r == 0)
		r = get_int(j, "TokenBucketBytesPerSecond", &rate);
	if (r == 0)
		r = get_int(j, "TokenBucketBytesBurst", &burst);
	if (r < 0)
		return r;
	*ret = (struct derp_server_info){
		.version = version < 0 || version > INT16_MAX ? 0 : (int)version,
		.bucket_bytes_per_s = rate > 0 ? (uint64_t)rate : 0,
		.bucket_bytes = burst > 0 ? (uint64_t)burst : 0,
	};
	return 0;
}
