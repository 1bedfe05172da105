#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "cli/wg.h"
#include "cli/wgconf.h"
#include "cli/wgdev.h"
#include "cli/wgresolve.h"
#include "wireguard/value.h"

#define AUTO_CHANGE __attribute__((cleanup(wg_change_done))) struct wg_change
#define AUTO_CONF __attribute__((cleanup(wg_conf_done))) struct wg_conf
#define AUTO_INFO __attribute__((cleanup(wg_info_done))) struct wg_info

enum { KEY_FILE_MAX = 4096 };

/* What `wg set` reads: words, one after another. */
struct words {
	const struct cli *cli;
	struct wg_change *change;
	struct wg_peer_change *peer; /* the one that is being described; NULL: the device */
};

static int bad(const struct words *w, const char *word, const struct fault *f)
{
	return cmd_fail(w->cli, "%s: %s", word, f->message);
}

/* A key in a file: its first line, or nothing at all for no key. */
static int key_from_file(const struct words *w, const char *word, const char *path,
                         uint8_t ret[static KEY_LEN])
{
	AUTO_DONE(buf) struct buf text = { .secret = true };
	struct fault f;
	int r = file_read(path, KEY_FILE_MAX, &text);

	if (r < 0)
		return cmd_fail(w->cli, "%s: %s: %s", word, path, err_text(r));
	memset(ret, 0, KEY_LEN);
	if (text.n == 0)
		return 0;
	if (wg_value_key(span_trim(buf_span(&text)), ret, &f) < 0)
		return cmd_fail(w->cli, "%s: %s: %s", word, path, f.message);
	return 0;
}

static int on_listen_port(struct words *w, const char *word, const char *value)
{
	struct fault f;
	int r = wg_value_port(span_str(value), &w->change->listen_port, &f);

	if (r == ERR_UNKNOWN && wg_resolve_service(value, &w->change->listen_port) < 0)
		return cmd_fail(w->cli, "%s: expected a port from 0 to 65535", word);
	if (r < 0 && r != ERR_UNKNOWN)
		return bad(w, word, &f);
	w->change->set |= WG_SET_LISTEN_PORT;
	return 0;
}

static int on_fwmark(struct words *w, const char *word, const char *value)
{
	struct fault f;

	if (wg_value_fwmark(span_str(value), &w->change->fwmark, &f) < 0)
		return bad(w, word, &f);
	w->change->set |= WG_SET_FWMARK;
	return 0;
}

static int on_private_key(struct words *w, const char *word, const char *value)
{
	w->change->set |= WG_SET_PRIVATE_KEY;
	return key_from_file(w, word, value, w->change->private_key.b);
}

static int on_peer(struct words *w, const char *word, const char *value)
{
	struct node_pub key;
	struct fault f;

	if (wg_value_key(span_str(value), key.b, &f) < 0)
		return bad(w, word, &f);
	if (w->change->peers.n >= WG_PEERS_MAX)
		return cmd_fail(w->cli, "more than %d peers", WG_PEERS_MAX);
	w->peer = wg_change_add_peer(w->change, &key);
	return 0;
}

static int on_remove(struct words *w, const char *word, const char *value)
{
	(void)word;
	(void)value;
	w->peer->set |= WG_PEER_REMOVE;
	return 0;
}

static int on_preshared_key(struct words *w, const char *word, const char *value)
{
	w->peer->set |= WG_PEER_SET_PSK;
	return key_from_file(w, word, value, w->peer->psk.b);
}

static int on_endpoint(struct words *w, const char *word, const char *value)
{
	struct wg_endpoint e;
	struct fault f;

	if (wg_value_endpoint(span_str(value), &e, &f) < 0)
		return bad(w, word, &f);
	w->peer->set |= WG_PEER_SET_ENDPOINT;
	return wg_resolve(w->cli, &e, &w->peer->endpoint) < 0 ? 1 : 0;
}

static int on_keepalive(struct words *w, const char *word, const char *value)
{
	struct fault f;

	if (wg_value_keepalive(span_str(value), &w->peer->keepalive_s, &f) < 0)
		return bad(w, word, &f);
	w->peer->set |= WG_PEER_SET_KEEPALIVE;
	return 0;
}

static int on_allowed_ips(struct words *w, const char *word, const char *value)
{
	struct fault f;
	bool loose = false;

	if (wg_value_allowed_ips(span_str(value), w->peer, &loose, &f) < 0)
		return bad(w, word, &f);
	if (loose)
		(void)fputs("Warning: AllowedIP has nonzero host part\n", w->cli->err);
	return 0;
}

enum place { DEVICE, PEER, ANYWHERE };

/* clang-format off */
static const struct {
	const char *word;
	enum place place;
	int (*fn)(struct words *w, const char *word, const char *value);
	bool alone; /* no value */
} words[] = {
	{ "listen-port",          DEVICE,   on_listen_port,   false },
	{ "fwmark",               DEVICE,   on_fwmark,        false },
	{ "private-key",          DEVICE,   on_private_key,   false },
	{ "peer",                 ANYWHERE, on_peer,          false },
	{ "remove",               PEER,     on_remove,        true },
	{ "preshared-key",        PEER,     on_preshared_key, false },
	{ "endpoint",             PEER,     on_endpoint,      false },
	{ "persistent-keepalive", PEER,     on_keepalive,     false },
	{ "allowed-ips",          PEER,     on_allowed_ips,   false },
};
/* clang-format on */

/* Takes one word and its value; how many arguments that were, or 0 after a complaint. */
static int take_word(struct words *w, int argc, char **argv)
{
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		bool fits = words[i].place == ANYWHERE ||
		            (words[i].place == PEER) == (w->peer != NULL);

		if (strcmp(argv[0], words[i].word) != 0 || !fits)
			continue;
		if (!words[i].alone && argc < 2) {
			(void)cmd_misuse(w->cli, "%s needs a value", argv[0]);
			return 0;
		}
		if (words[i].fn(w, argv[0], words[i].alone ? NULL : argv[1]))
			return 0;
		return words[i].alone ? 1 : 2;
	}
	(void)cmd_misuse(w->cli, "unexpected \"%s\"", argv[0]);
	return 0;
}

static int modify(const struct cli *cli, const char *name, const struct wg_change *c)
{
	int r = wgdev_set(name, c);

	if (r < 0)
		cmd_note(cli, "Unable to modify interface: %s", err_text(r));
	return r < 0;
}

int wg_run_set(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_CHANGE change = { 0 };
	struct words w = { .cli = cli, .change = &change };

	(void)opts;
	for (int i = 1; i < argc;) {
		int n = take_word(&w, argc - i, argv + i);

		if (n == 0)
			return 1;
		i += n;
	}
	return modify(cli, argv[0], &change);
}

static int apply_file(struct cli *cli, char **argv, enum wg_conf_kind kind, bool sync)
{
	AUTO_CONF conf = { 0 };

	if (wgconf_load(cli, argv[1], kind, &conf) < 0)
		return 1;
	if (sync) {
		AUTO_INFO now = { 0 };
		int r = wgdev_get(argv[0], &now);

		if (r < 0) {
			cmd_note(cli, "Unable to retrieve current interface configuration: %s",
			         err_text(r));
			return 1;
		}
		wg_conf_sync(&conf.change, &now);
	}
	return modify(cli, argv[0], &conf.change);
}

int wg_run_setconf(struct cli *cli, const void *opts, int argc, char **argv)
{
	(void)opts;
	(void)argc;
	return apply_file(cli, argv, WG_CONF_SET, false);
}

int wg_run_addconf(struct cli *cli, const void *opts, int argc, char **argv)
{
	(void)opts;
	(void)argc;
	return apply_file(cli, argv, WG_CONF_ADD, false);
}

int wg_run_syncconf(struct cli *cli, const void *opts, int argc, char **argv)
{
	(void)opts;
	(void)argc;
	return apply_file(cli, argv, WG_CONF_SET, true);
}
