#include "crypto/keyjson.h"

#include "base/err.h"
#include "crypto/keys.h"

static int read_key(struct js_rd *r, const struct js_type *t, void *at)
{
	struct span text;
	int e = js_rd_string_view(r, &text);

	if (e == 0 && key_parse(text, t->prefix, at) < 0)
		return js_rd_fail(r, ERR_MALFORMED, "expected a key");
	return e;
}

static void write_key(struct js_wr *w, const struct js_type *t, const void *at)
{
	char text[KEY_TEXT_MAX];

	js_wr_str(w, key_text(text, t->prefix, at));
}

/* clang-format off */
#define KEY(text) { .shape = JS_SCALAR, .size = KEY_LEN, .read = read_key, .write = write_key, .prefix = (text) }
const struct js_type js_t_node_pub      = KEY("nodekey:");
const struct js_type js_t_machine_pub   = KEY("mkey:");
const struct js_type js_t_disco_pub     = KEY("discokey:");
const struct js_type js_t_challenge_pub = KEY("chalpub:");
const struct js_type js_t_lock_pub      = KEY("nlpub:");
/* clang-format on */
