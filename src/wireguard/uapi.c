#include "wireguard/uapi.h"

#include <errno.h>
#include <string.h>

#include "base/err.h"
#include "base/ip.h"
#include "wireguard/value.h"

/* ---- operations ---------------------------------------------------------- */

static const struct {
	const char *line;
	enum wg_uapi_op op;
} ops[] = {
	{ "get=1\n", WG_UAPI_GET },
	{ "set=1\n", WG_UAPI_SET },
	{ "get=drops\n", WG_UAPI_DROPS },
};

/* Could these few bytes become a first line? */
static bool begins_one(struct span in)
{
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		if (in.n < strlen(ops[i].line) && memcmp(ops[i].line, in.p, in.n) == 0)
			return true;
	}
	return false;
}

/*
 * The empty line that ends an operation whose first line is `head` bytes: the
 * bytes up to it, and those with it. False if it is not there yet.
 */
static bool find_end(struct span in, size_t head, bool eof, size_t *ret_lines, size_t *ret_used)
{
	const uint8_t *from = in.p + head - 1; /* the newline of the first line may be half of it */
	const uint8_t *end = memmem(from, in.n - head + 1, "\n\n", 2);

	if (!end && !eof)
		return false;
	*ret_lines = end ? (size_t)(end - in.p) + 1 : in.n;
	*ret_used = end ? *ret_lines + 1 : in.n;
	return true;
}

int wg_uapi_cut(struct span in, bool eof, enum wg_uapi_op *ret_op, size_t *ret_used,
                struct span *ret_lines)
{
	if (in.n == 0)
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(ops); i++) {
		size_t head = strlen(ops[i].line), lines;

		if (!span_starts(in, ops[i].line))
			continue;
		if (!find_end(in, head, eof, &lines, ret_used))
			return in.n > WG_UAPI_MAX ? ERR_LIMIT : 0;
		*ret_op = ops[i].op;
		*ret_lines = span(in.p + head, lines - head);
		return 1;
	}
	return !eof && begins_one(in) ? 0 : ERR_MALFORMED;
}

/* ---- reading lines ------------------------------------------------------- */

/* "key=value" off the front. 1, 0 at the end, -EPROTO without '='. */
static int next_line(struct span *rest, struct span *ret_key, struct span *ret_value)
{
	struct span line;

	do {
		if (!rest->n || !span_cut(rest, '\n', &line))
			return 0;
	} while (!line.n);

	size_t eq = span_find(line, '=');

	if (eq == line.n)
		return -EPROTO;
	*ret_key = span_first(line, eq);
	*ret_value = span_from(line, eq + 1);
	return 1;
}

static int read_true(struct span v)
{
	return span_is(v, "true") ? 0 : -EINVAL;
}

static int read_number(struct span v, uint64_t max, uint64_t *ret)
{
	return span_u64(v, max, ret) < 0 ? -EINVAL : 0;
}

static int read_u16(struct span v, uint16_t *ret)
{
	uint64_t n;
	int r = read_number(v, UINT16_MAX, &n);

	if (r == 0)
		*ret = (uint16_t)n;
	return r;
}

enum { ZONE_MAX = 16 }; /* as IFNAMSIZ */

static int read_key(struct span v, uint8_t ret[static KEY_LEN])
{
	return hex_decode(ret, KEY_LEN, v) < 0 ? -EINVAL : 0;
}

static int read_prefix(struct span v, struct prefix *ret)
{
	return span_find(v, '/') == v.n || prefix_parse(v, ret) < 0 ? -EINVAL : 0;
}

static int read_endpoint(struct span v, struct addr *ret)
{
	return addr_parse(v, ret) < 0 || !ret->port ? -EINVAL : 0;
}

/* ---- set ----------------------------------------------------------------- */

static int set_private_key(struct wg_change *c, struct span v)
{
	c->set |= WG_SET_PRIVATE_KEY;
	return read_key(v, c->private_key.b);
}

static int set_listen_port(struct wg_change *c, struct span v)
{
	c->set |= WG_SET_LISTEN_PORT;
	return read_u16(v, &c->listen_port);
}

static int set_fwmark(struct wg_change *c, struct span v)
{
	uint64_t n;
	int r = read_number(v, UINT32_MAX, &n);

	if (r == 0) {
		c->set |= WG_SET_FWMARK;
		c->fwmark = (uint32_t)n;
	}
	return r;
}

static int set_replace_peers(struct wg_change *c, struct span v)
{
	c->set |= WG_REPLACE_PEERS;
	return read_true(v);
}

static int peer_remove(struct wg_peer_change *p, struct span v)
{
	p->set |= WG_PEER_REMOVE;
	return read_true(v);
}

static int peer_update_only(struct wg_peer_change *p, struct span v)
{
	p->set |= WG_PEER_UPDATE_ONLY;
	return read_true(v);
}

static int peer_psk(struct wg_peer_change *p, struct span v)
{
	p->set |= WG_PEER_SET_PSK;
	return read_key(v, p->psk.b);
}

static int peer_endpoint(struct wg_peer_change *p, struct span v)
{
	p->set |= WG_PEER_SET_ENDPOINT;
	return read_endpoint(v, &p->endpoint);
}

static int peer_keepalive(struct wg_peer_change *p, struct span v)
{
	p->set |= WG_PEER_SET_KEEPALIVE;
	return read_u16(v, &p->keepalive_s);
}

static int peer_replace_ips(struct wg_peer_change *p, struct span v)
{
	p->set |= WG_PEER_REPLACE_IPS;
	p->ips.n = 0; /* those named before are replaced too */
	return read_true(v);
}

static int peer_allowed_ip(struct wg_peer_change *p, struct span v)
{
	bool remove = span_starts(v, "-");
	struct prefix prefix;
	int r = read_prefix(remove ? span_from(v, 1) : v, &prefix);

	if (r < 0)
		return r;
	if (p->ips.n >= WG_PREFIXES_MAX)
		return -E2BIG;
	wg_peer_change_add_ip(p, prefix, remove);
	return 0;
}

static int peer_protocol_version(struct wg_peer_change *p, struct span v)
{
	(void)p;
	return span_is(v, "1") ? 0 : -EINVAL;
}

static const struct {
	const char *key;
	int (*read)(struct wg_change *c, struct span value);
} device_keys[] = {
	{ "private_key", set_private_key },
	{ "listen_port", set_listen_port },
	{ "fwmark", set_fwmark },
	{ "replace_peers", set_replace_peers },
};

static const struct {
	const char *key;
	int (*read)(struct wg_peer_change *p, struct span value);
} peer_keys[] = {
	{ "allowed_ip", peer_allowed_ip },
	{ "remove", peer_remove },
	{ "update_only", peer_update_only },
	{ "preshared_key", peer_psk },
	{ "endpoint", peer_endpoint },
	{ "persistent_keepalive_interval", peer_keepalive },
	{ "replace_allowed_ips", peer_replace_ips },
	{ "protocol_version", peer_protocol_version },
};

static int set_device_key(struct wg_change *c, struct span key, struct span value)
{
	for (size_t i = 0; i < ARRAY_LEN(device_keys); i++) {
		if (span_is(key, device_keys[i].key))
			return device_keys[i].read(c, value);
	}
	return -EINVAL;
}

static int set_peer_key(struct wg_peer_change *p, struct span key, struct span value)
{
	for (size_t i = 0; i < ARRAY_LEN(peer_keys); i++) {
		if (span_is(key, peer_keys[i].key))
			return peer_keys[i].read(p, value);
	}
	return -EINVAL;
}

static int add_peer(struct wg_change *c, struct span value, struct wg_peer_change **ret)
{
	struct node_pub key;
	int r = read_key(value, key.b);

	if (r < 0)
		return r;
	if (c->peers.n >= WG_PEERS_MAX)
		return -E2BIG;
	*ret = wg_change_add_peer(c, &key);
	return 0;
}

void wg_uapi_number_zones(struct span lines, unsigned (*index_of)(const char *name),
                          struct buf *ret)
{
	while (lines.n) {
		size_t at = span_find(lines, '%'), n;
		char name[ZONE_MAX];

		buf_add(ret, lines.p, at < lines.n ? at + 1 : at);
		lines = span_from(lines, at < lines.n ? at + 1 : at);
		n = span_find(lines, ']');
		if (n == 0 || n >= sizeof(name) || n >= lines.n)
			continue;
		memcpy(name, lines.p, n);
		name[n] = '\0';

		unsigned index = strchr(name, '\n') ? 0 : index_of(name);

		if (!index)
			continue;
		buf_fmt(ret, "%u", index);
		lines = span_from(lines, n);
	}
}

int wg_uapi_read_set(struct span lines, struct wg_change *ret)
{
	struct wg_peer_change *peer = NULL;
	struct span key, value;
	int r;

	*ret = (struct wg_change){ 0 };
	while ((r = next_line(&lines, &key, &value)) > 0) {
		if (span_is(key, "public_key"))
			r = add_peer(ret, value, &peer);
		else if (peer)
			r = set_peer_key(peer, key, value);
		else
			r = set_device_key(ret, key, value);
		if (r < 0)
			return r;
	}
	return r;
}

/* ---- writing ------------------------------------------------------------- */

static void add_key(struct buf *out, const char *name, const uint8_t key[static KEY_LEN])
{
	char hex[HEX_LEN(KEY_LEN) + 1];

	buf_fmt(out, "%s=%s\n", name, hex_encode(hex, key, KEY_LEN));
	explicit_bzero(hex, sizeof(hex));
}

static void add_prefix(struct buf *out, const char *sign, const struct prefix *p)
{
	char text[PREFIX_TEXT_MAX];

	buf_fmt(out, "allowed_ip=%s%s\n", sign, wg_prefix_text(p, text));
}

static void add_endpoint(struct buf *out, const struct addr *a)
{
	char text[ADDR_TEXT_MAX];

	if (addr_is_set(a))
		buf_fmt(out, "endpoint=%s\n", wg_addr_text(a, text));
}

/* Nobody speaks of our own errors here: the nearest errno stands for them. */
static int errno_of(int r)
{
	if (r > ERR_OURS)
		return r;
	switch (r) {
	case ERR_LIMIT:
		return -E2BIG;
	case ERR_MALFORMED:
		return -EINVAL;
	default:
		return -EIO;
	}
}

void wg_uapi_write_errno(struct buf *out, int r)
{
	buf_fmt(out, "errno=%d\n\n", errno_of(r));
}

static void add_peer_info(struct buf *out, const struct wg_peer_info *p)
{
	int64_t us = p->last_handshake.us > 0 ? p->last_handshake.us : 0;

	add_key(out, "public_key", p->key.b);
	add_key(out, "preshared_key", p->psk.b);
	buf_fmt(out, "protocol_version=1\n");
	add_endpoint(out, &p->endpoint);
	buf_fmt(out, "last_handshake_time_sec=%lld\nlast_handshake_time_nsec=%lld\n",
	        (long long)(us / US_PER_S), (long long)(us % US_PER_S * 1000));
	buf_fmt(out, "tx_bytes=%llu\nrx_bytes=%llu\n", (unsigned long long)p->tx_bytes,
	        (unsigned long long)p->rx_bytes);
	buf_fmt(out, "persistent_keepalive_interval=%u\n", p->keepalive_s);
	vec_each(const struct prefix *, prefix, &p->ips)
		add_prefix(out, "", prefix);
}

void wg_uapi_write_get(struct buf *out, const struct wg_info *info)
{
	out->secret = true;
	if (!node_priv_is_zero(&info->private_key))
		add_key(out, "private_key", info->private_key.b);
	if (info->listen_port)
		buf_fmt(out, "listen_port=%u\n", info->listen_port);
	if (info->fwmark)
		buf_fmt(out, "fwmark=%u\n", info->fwmark);
	vec_each(const struct wg_peer_info *, p, &info->peers)
		add_peer_info(out, p);
	wg_uapi_write_errno(out, 0);
}

void wg_uapi_write_drops(struct buf *out, const uint64_t counts[static WG_DROP_MAX])
{
	for (enum wg_drop d = 0; d < WG_DROP_MAX; d++)
		buf_fmt(out, "%s=%llu\n", wg_drop_name(d), (unsigned long long)counts[d]);
	wg_uapi_write_errno(out, 0);
}

static void add_peer_change(struct buf *out, const struct wg_peer_change *p)
{
	add_key(out, "public_key", p->key.b);
	if (p->set & WG_PEER_REMOVE) {
		buf_fmt(out, "remove=true\n");
		return;
	}
	if (p->set & WG_PEER_UPDATE_ONLY)
		buf_fmt(out, "update_only=true\n");
	if (p->set & WG_PEER_SET_PSK)
		add_key(out, "preshared_key", p->psk.b);
	if (p->set & WG_PEER_SET_ENDPOINT)
		add_endpoint(out, &p->endpoint);
	if (p->set & WG_PEER_SET_KEEPALIVE)
		buf_fmt(out, "persistent_keepalive_interval=%u\n", p->keepalive_s);
	if (p->set & WG_PEER_REPLACE_IPS)
		buf_fmt(out, "replace_allowed_ips=true\n");
	vec_each(const struct wg_ip_change *, ip, &p->ips)
		add_prefix(out, ip->remove ? "-" : "", &ip->prefix);
}

void wg_uapi_write_set(struct buf *out, const struct wg_change *c)
{
	out->secret = true;
	buf_fmt(out, "set=1\n");
	if (c->set & WG_SET_PRIVATE_KEY)
		add_key(out, "private_key", c->private_key.b);
	if (c->set & WG_SET_LISTEN_PORT)
		buf_fmt(out, "listen_port=%u\n", c->listen_port);
	if (c->set & WG_SET_FWMARK)
		buf_fmt(out, "fwmark=%u\n", c->fwmark);
	if (c->set & WG_REPLACE_PEERS)
		buf_fmt(out, "replace_peers=true\n");
	vec_each(const struct wg_peer_change *, p, &c->peers)
		add_peer_change(out, p);
	buf_fmt(out, "\n");
}

/* ---- get, client side ---------------------------------------------------- */

static int get_device_key(struct wg_info *i, struct span key, struct span v)
{
	uint64_t n;
	int r = 0;

	if (span_is(key, "private_key")) {
		r = read_key(v, i->private_key.b);
		if (r == 0)
			node_priv_public(&i->private_key, &i->public_key);
	} else if (span_is(key, "listen_port")) {
		r = read_u16(v, &i->listen_port);
	} else if (span_is(key, "fwmark")) {
		r = read_number(v, UINT32_MAX, &n);
		if (r == 0)
			i->fwmark = (uint32_t)n;
	}
	return r;
}

static int get_handshake_time(struct wg_peer_info *p, struct span v, int64_t unit_us, uint64_t max)
{
	uint64_t n;
	int r = read_number(v, max, &n);

	if (r == 0)
		p->last_handshake.us += unit_us ? (int64_t)n * unit_us : (int64_t)n / 1000;
	return r;
}

static int get_allowed_ip(struct wg_peer_info *p, struct span v)
{
	struct prefix prefix;
	int r = read_prefix(v, &prefix);

	if (r < 0)
		return r;
	if (p->ips.n >= WG_PREFIXES_MAX)
		return -E2BIG;
	vec_push(&p->ips, prefix);
	return 0;
}

static int get_peer_key(struct wg_peer_info *p, struct span key, struct span v)
{
	if (span_is(key, "allowed_ip"))
		return get_allowed_ip(p, v);
	if (span_is(key, "preshared_key"))
		return read_key(v, p->psk.b);
	if (span_is(key, "endpoint"))
		return read_endpoint(v, &p->endpoint);
	if (span_is(key, "persistent_keepalive_interval"))
		return read_u16(v, &p->keepalive_s);
	if (span_is(key, "last_handshake_time_sec"))
		return get_handshake_time(p, v, US_PER_S, INT64_MAX / US_PER_S / 2);
	if (span_is(key, "last_handshake_time_nsec"))
		return get_handshake_time(p, v, 0, 999999999);
	if (span_is(key, "rx_bytes"))
		return read_number(v, UINT64_MAX, &p->rx_bytes);
	if (span_is(key, "tx_bytes"))
		return read_number(v, UINT64_MAX, &p->tx_bytes);
	return 0;
}

static int get_add_peer(struct wg_info *i, struct span v, struct wg_peer_info **ret)
{
	struct node_pub key;
	int r = read_key(v, key.b);

	if (r < 0)
		return r;
	if (i->peers.n >= WG_PEERS_MAX)
		return -E2BIG;
	*ret = wg_info_add_peer(i, &key);
	return 0;
}

static int read_errno(struct span v)
{
	bool negative = span_starts(v, "-");
	uint64_t n;

	if (span_u64(negative ? span_from(v, 1) : v, 4095, &n) < 0)
		return -EPROTO;
	return -(int)n;
}

int wg_uapi_read_get(struct span reply, struct wg_info *ret)
{
	struct wg_peer_info *peer = NULL;
	struct span key, value;
	int r;

	*ret = (struct wg_info){ 0 };
	while ((r = next_line(&reply, &key, &value)) > 0) {
		if (span_is(key, "errno"))
			return read_errno(value);
		if (span_is(key, "public_key"))
			r = get_add_peer(ret, value, &peer);
		else if (peer)
			r = get_peer_key(peer, key, value);
		else
			r = get_device_key(ret, key, value);
		if (r < 0)
			return r;
	}
	return r < 0 ? r : -EPROTO;
}

int wg_uapi_read_errno(struct span reply)
{
	struct span key, value;
	int r;

	while ((r = next_line(&reply, &key, &value)) > 0) {
		if (span_is(key, "errno"))
			return read_errno(value);
	}
	return -EPROTO;
}
