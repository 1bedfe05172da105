#include "relay/keyfile.h"

#include <errno.h>

#include "base/file.h"
#include "base/json.h"

static int parse(struct span text, struct node_priv *ret)
{
	AUTO_DONE(arena) struct arena arena = { 0 };
	struct js *j;
	int r = js_parse(&arena, text, true, &j, NULL);

	return r < 0 ? r : node_priv_parse(js_text(js_get(j, "PrivateKey")), ret);
}

static int make(const char *path, struct node_priv *ret, bool *ret_made_folder)
{
	AUTO_DONE(buf) struct buf text = { .secret = true };
	AUTO_WIPE(node_priv) key;
	char hex[KEY_TEXT_MAX];
	const char *slash = strrchr(path, '/');

	if (slash && slash != path) {
		AUTO_FREE char *folder = span_dup(span(path, (size_t)(slash - path)));
		bool there = file_exists(folder);
		int r = file_mkdirs(folder, 0700);

		if (r < 0)
			return r;
		*ret_made_folder = !there;
	}
	node_priv_new(&key);
	buf_fmt(&text, "{\n\t\"PrivateKey\": \"%s\"\n}\n", node_priv_text(&key, hex));
	explicit_bzero(hex, sizeof(hex));

	int r = file_write_atomic(path, buf_span(&text), 0600);

	if (r == 0)
		*ret = key;
	return r;
}

int keyfile_load(const char *path, struct node_priv *ret, bool *ret_made_folder)
{
	AUTO_DONE(buf) struct buf text = { .secret = true };
	int r = file_read_private(path, KEYFILE_MAX, &text);

	if (r == -ENOENT)
		return make(path, ret, ret_made_folder);
	return r < 0 ? r : parse(buf_span(&text), ret);
}

int keyfile_mesh(const char *path, uint8_t ret[static DERP_MESH_KEY])
{
	AUTO_DONE(buf) struct buf text = { .secret = true };
	int r = file_read_private(path, KEYFILE_MAX, &text);

	return r < 0 ? r : hex_decode(ret, DERP_MESH_KEY, span_trim(buf_span(&text)));
}
