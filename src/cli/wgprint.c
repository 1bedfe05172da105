#include <stdlib.h>
#include <string.h>

#include "base/enc.h"
#include "base/err.h"
#include "cli/wg.h"
#include "wireguard/value.h"

/* Colours, or nothing. */
struct paint {
	const char *bold, *green, *yellow, *cyan, *red, *off;
};

static const struct paint colors = { "\x1b[1m",  "\x1b[32m", "\x1b[33m",
	                             "\x1b[36m", "\x1b[31m", "\x1b[0m" };
static const struct paint plain = { "", "", "", "", "", "" };

static void add_key(struct buf *out, const uint8_t key[static KEY_LEN])
{
	char text[BASE64_LEN(KEY_LEN) + 1];

	buf_add_str(out, base64_encode(text, key, KEY_LEN));
	explicit_bzero(text, sizeof(text));
}

static void add_maybe_key(struct buf *out, const uint8_t key[static KEY_LEN])
{
	if (ct_is_zero(key, KEY_LEN))
		buf_add_str(out, "(none)");
	else
		add_key(out, key);
}

static void add_secret(struct buf *out, const uint8_t key[static KEY_LEN], bool show)
{
	if (show)
		add_key(out, key);
	else
		buf_add_str(out, "(hidden)");
}

static void add_duration(struct buf *out, uint64_t left, const struct paint *c)
{
	static const struct {
		uint64_t s;
		const char *name;
	} units[] = { { 365 * 86400, "year" },
		      { 86400, "day" },
		      { 3600, "hour" },
		      { 60, "minute" },
		      { 1, "second" } };
	bool any = false;

	for (size_t i = 0; i < ARRAY_LEN(units); i++) {
		uint64_t n = left / units[i].s;

		left %= units[i].s;
		if (!n)
			continue;
		buf_fmt(out, "%s%llu %s%s%s%s", any ? ", " : "", (unsigned long long)n, c->cyan,
		        units[i].name, n == 1 ? "" : "s", c->off);
		any = true;
	}
}

static void add_ago(struct buf *out, wall then, wall now, const struct paint *c)
{
	int64_t s = now.us / US_PER_S - then.us / US_PER_S;

	if (s == 0) {
		buf_add_str(out, "Now");
	} else if (s < 0) {
		buf_fmt(out, "(%sSystem clock wound backward; connection problems may ensue.%s)",
		        c->red, c->off);
	} else {
		add_duration(out, (uint64_t)s, c);
		buf_add_str(out, " ago");
	}
}

static void add_bytes(struct buf *out, uint64_t n, const struct paint *c)
{
	static const char *const units[] = { "KiB", "MiB", "GiB", "TiB" };
	double v = (double)n / 1024;
	size_t i = 0;

	if (n < 1024) {
		buf_fmt(out, "%u %sB%s", (unsigned)n, c->cyan, c->off);
		return;
	}
	for (; i + 1 < ARRAY_LEN(units) && n >> 10 * (i + 2); i++)
		v /= 1024;
	buf_fmt(out, "%.2f %s%s%s", v, c->cyan, units[i], c->off);
}

static void label(struct buf *out, const char *name, const struct paint *c)
{
	buf_fmt(out, "  %s%s%s: ", c->bold, name, c->off);
}

static void pretty_device(struct buf *out, const struct wg_info *info, const struct wg_show *how,
                          const struct paint *c)
{
	buf_fmt(out, "%s%s%sinterface%s: %s%s%s\n", c->off, c->green, c->bold, c->off, c->green,
	        how->name, c->off);
	if (!node_priv_is_zero(&info->private_key)) {
		label(out, "public key", c);
		add_key(out, info->public_key.b);
		buf_add_str(out, "\n");
		label(out, "private key", c);
		add_secret(out, info->private_key.b, how->show_keys);
		buf_add_str(out, "\n");
	}
	if (info->listen_port) {
		label(out, "listening port", c);
		buf_fmt(out, "%u\n", info->listen_port);
	}
	if (info->fwmark) {
		label(out, "fwmark", c);
		buf_fmt(out, "0x%x\n", info->fwmark);
	}
}

static void pretty_ips(struct buf *out, const struct wg_peer_info *p, const struct paint *c)
{
	char text[PREFIX_TEXT_MAX];

	label(out, "allowed ips", c);
	for (size_t i = 0; i < p->ips.n; i++) {
		const char *s = wg_prefix_text(&p->ips.v[i], text);
		size_t n = strcspn(s, "/");

		buf_fmt(out, "%s%.*s%s/%s%s", i ? ", " : "", (int)n, s, c->cyan, c->off, s + n + 1);
	}
	buf_add_str(out, p->ips.n ? "\n" : "(none)\n");
}

static void pretty_peer(struct buf *out, const struct wg_peer_info *p, const struct wg_show *how,
                        const struct paint *c)
{
	char text[ADDR_TEXT_MAX];

	buf_fmt(out, "%s%speer%s: %s", c->yellow, c->bold, c->off, c->yellow);
	add_key(out, p->key.b);
	buf_fmt(out, "%s\n", c->off);
	if (!ct_is_zero(p->psk.b, KEY_LEN)) {
		label(out, "preshared key", c);
		add_secret(out, p->psk.b, how->show_keys);
		buf_add_str(out, "\n");
	}
	if (addr_is_set(&p->endpoint)) {
		label(out, "endpoint", c);
		buf_fmt(out, "%s\n", wg_addr_text(&p->endpoint, text));
	}
	pretty_ips(out, p, c);
	if (p->last_handshake.us >= US_PER_S) {
		label(out, "latest handshake", c);
		add_ago(out, p->last_handshake, how->now, c);
		buf_add_str(out, "\n");
	}
	if (p->rx_bytes || p->tx_bytes) {
		label(out, "transfer", c);
		add_bytes(out, p->rx_bytes, c);
		buf_add_str(out, " received, ");
		add_bytes(out, p->tx_bytes, c);
		buf_add_str(out, " sent\n");
	}
	if (p->keepalive_s) {
		label(out, "persistent keepalive", c);
		buf_add_str(out, "every ");
		add_duration(out, p->keepalive_s, c);
		buf_add_str(out, "\n");
	}
}

static int by_handshake(const void *a, const void *b)
{
	const struct wg_peer_info *x = a, *y = b;

	return (x->last_handshake.us < y->last_handshake.us) -
	       (x->last_handshake.us > y->last_handshake.us);
}

void wg_show_pretty(struct buf *out, struct wg_info *info, const struct wg_show *how)
{
	const struct paint *c = how->color ? &colors : &plain;

	pretty_device(out, info, how, c);
	/* glibc's qsort keeps the order of equals, as it does in wg. */
	if (info->peers.n)
		qsort(info->peers.v, info->peers.n, sizeof(*info->peers.v), by_handshake);
	vec_each(const struct wg_peer_info *, p, &info->peers) {
		buf_add_str(out, "\n");
		pretty_peer(out, p, how, c);
	}
}

/* The fields of `wg show IF FIELD`: of the device, or a line for each peer. */
static void of_public_key(struct buf *out, const struct wg_info *i)
{
	if (node_priv_is_zero(&i->private_key))
		buf_add_str(out, "(none)");
	else
		add_key(out, i->public_key.b);
}

static void of_private_key(struct buf *out, const struct wg_info *i)
{
	add_maybe_key(out, i->private_key.b);
}

static void of_listen_port(struct buf *out, const struct wg_info *i)
{
	buf_fmt(out, "%u", i->listen_port);
}

static void of_fwmark(struct buf *out, const struct wg_info *i)
{
	if (i->fwmark)
		buf_fmt(out, "0x%x", i->fwmark);
	else
		buf_add_str(out, "off");
}

static void of_key(struct buf *out, const struct wg_peer_info *p)
{
	add_key(out, p->key.b);
}

static void of_psk(struct buf *out, const struct wg_peer_info *p)
{
	add_maybe_key(out, p->psk.b);
}

static void of_endpoint(struct buf *out, const struct wg_peer_info *p)
{
	char text[ADDR_TEXT_MAX];

	buf_add_str(out, addr_is_set(&p->endpoint) ? wg_addr_text(&p->endpoint, text) : "(none)");
}

static void add_ips(struct buf *out, const struct wg_peer_info *p, const char *sep)
{
	char text[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < p->ips.n; i++)
		buf_fmt(out, "%s%s", i ? sep : "", wg_prefix_text(&p->ips.v[i], text));
	if (!p->ips.n)
		buf_add_str(out, "(none)");
}

static void of_ips(struct buf *out, const struct wg_peer_info *p)
{
	add_ips(out, p, " ");
}

static void of_ips_comma(struct buf *out, const struct wg_peer_info *p)
{
	add_ips(out, p, ",");
}

static void of_handshake(struct buf *out, const struct wg_peer_info *p)
{
	buf_fmt(out, "%lld", (long long)(p->last_handshake.us / US_PER_S));
}

static void of_transfer(struct buf *out, const struct wg_peer_info *p)
{
	buf_fmt(out, "%llu\t%llu", (unsigned long long)p->rx_bytes,
	        (unsigned long long)p->tx_bytes);
}

static void of_keepalive(struct buf *out, const struct wg_peer_info *p)
{
	if (p->keepalive_s)
		buf_fmt(out, "%u", p->keepalive_s);
	else
		buf_add_str(out, "off");
}

typedef void device_fn(struct buf *out, const struct wg_info *i);
typedef void peer_fn(struct buf *out, const struct wg_peer_info *p);

/* clang-format off */
static const struct {
	const char *name;
	device_fn *device; /* one of the two */
	peer_fn *peer;     /* after the peer's key; of_key: that alone */
} fields[] = {
	{ "public-key",           of_public_key,  NULL },
	{ "private-key",          of_private_key, NULL },
	{ "listen-port",          of_listen_port, NULL },
	{ "fwmark",               of_fwmark,      NULL },
	{ "peers",                NULL,           of_key },
	{ "preshared-keys",       NULL,           of_psk },
	{ "endpoints",            NULL,           of_endpoint },
	{ "allowed-ips",          NULL,           of_ips },
	{ "latest-handshakes",    NULL,           of_handshake },
	{ "transfer",             NULL,           of_transfer },
	{ "persistent-keepalive", NULL,           of_keepalive },
};
static device_fn *const dump_device[] = { of_private_key, of_public_key, of_listen_port, of_fwmark };
static peer_fn *const dump_peer[] = { of_key, of_psk, of_endpoint, of_ips_comma, of_handshake,
	                              of_transfer, of_keepalive };
/* clang-format on */

static void begin_line(struct buf *out, const struct wg_show *how)
{
	if (how->with_name)
		buf_fmt(out, "%s\t", how->name);
}

static void dump(struct buf *out, const struct wg_info *info, const struct wg_show *how)
{
	begin_line(out, how);
	for (size_t i = 0; i < ARRAY_LEN(dump_device); i++) {
		dump_device[i](out, info);
		buf_add_str(out, i + 1 < ARRAY_LEN(dump_device) ? "\t" : "\n");
	}
	vec_each(const struct wg_peer_info *, p, &info->peers) {
		begin_line(out, how);
		for (size_t i = 0; i < ARRAY_LEN(dump_peer); i++) {
			dump_peer[i](out, p);
			buf_add_str(out, i + 1 < ARRAY_LEN(dump_peer) ? "\t" : "\n");
		}
	}
}

static void print_peers(struct buf *out, const struct wg_info *info, peer_fn *fn,
                        const struct wg_show *how)
{
	vec_each(const struct wg_peer_info *, p, &info->peers) {
		begin_line(out, how);
		add_key(out, p->key.b);
		if (fn != of_key) {
			buf_add_str(out, "\t");
			fn(out, p);
		}
		buf_add_str(out, "\n");
	}
}

int wg_show_field(struct buf *out, const struct wg_info *info, const char *field,
                  const struct wg_show *how)
{
	if (strcmp(field, "dump") == 0) {
		dump(out, info, how);
		return 0;
	}
	for (size_t i = 0; i < ARRAY_LEN(fields); i++) {
		if (strcmp(field, fields[i].name) != 0)
			continue;
		if (fields[i].peer) {
			print_peers(out, info, fields[i].peer, how);
			return 0;
		}
		begin_line(out, how);
		fields[i].device(out, info);
		buf_add_str(out, "\n");
		return 0;
	}
	return ERR_UNKNOWN;
}
