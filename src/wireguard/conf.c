#include "wireguard/conf.h"

#include "base/err.h"
#include "base/mem.h"

enum section { SECTION_NONE, SECTION_INTERFACE, SECTION_PEER };

struct parser {
	struct wg_conf *out;
	enum wg_conf_kind kind;
	enum section section;
	unsigned line;         /* from 1 */
	unsigned section_line; /* where the present section began */
	bool has_key;          /* the present peer has its PublicKey */
	bool taken;            /* the present line is wg-quick's */
	struct fault *f;
};

static struct wg_peer_change *peer_of(struct parser *p)
{
	return &p->out->change.peers.v[p->out->change.peers.n - 1];
}

/* The value's own message, with the key in front and the line. */
static int value_fault(struct parser *p, int r, const char *key, const struct fault *inner)
{
	return fault_set(p->f, r, p->line, 0, "%s: %s", key, inner->message);
}

static bool is_space(uint8_t c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* One function for each key; `value` has no white space but in free text. */
typedef int key_fn(struct parser *p, const char *key, struct span value);

static int on_private_key(struct parser *p, const char *key, struct span value)
{
	struct fault in;
	int r = wg_value_key(value, p->out->change.private_key.b, &in);

	if (r < 0)
		return value_fault(p, r, key, &in);
	p->out->change.set |= WG_SET_PRIVATE_KEY;
	return 0;
}

static int on_listen_port(struct parser *p, const char *key, struct span value)
{
	struct fault in;
	int r = wg_value_port(value, &p->out->change.listen_port, &in);

	free(TAKE(p->out->listen_service));
	if (r == ERR_UNKNOWN && value.n <= WG_SERVICE_MAX) {
		p->out->listen_service = span_dup(value);
		p->out->listen_line = p->line;
		r = 0;
	} else if (r == ERR_UNKNOWN) {
		r = fault_set(&in, ERR_MALFORMED, 0, 0, "expected a port from 0 to 65535");
	}
	if (r < 0)
		return value_fault(p, r, key, &in);
	p->out->change.set |= WG_SET_LISTEN_PORT;
	return 0;
}

static int on_fwmark(struct parser *p, const char *key, struct span value)
{
	struct fault in;
	int r = wg_value_fwmark(value, &p->out->change.fwmark, &in);

	if (r < 0)
		return value_fault(p, r, key, &in);
	p->out->change.set |= WG_SET_FWMARK;
	return 0;
}

static int on_public_key(struct parser *p, const char *key, struct span value)
{
	struct fault in;
	int r = wg_value_key(value, peer_of(p)->key.b, &in);

	if (r < 0)
		return value_fault(p, r, key, &in);
	p->has_key = true;
	return 0;
}

static int on_preshared_key(struct parser *p, const char *key, struct span value)
{
	struct fault in;
	int r = wg_value_key(value, peer_of(p)->psk.b, &in);

	if (r < 0)
		return value_fault(p, r, key, &in);
	peer_of(p)->set |= WG_PEER_SET_PSK;
	return 0;
}

static int on_allowed_ips(struct parser *p, const char *key, struct span value)
{
	struct fault in;
	bool loose = false;
	int r = wg_value_allowed_ips(value, peer_of(p), &loose, &in);

	if (r < 0)
		return value_fault(p, r, key, &in);
	if (loose)
		(void)fault_set(vec_add(&p->out->warnings), 0, p->line, 0,
		                "AllowedIPs has an address with bits beyond its length");
	return 0;
}

static int on_endpoint(struct parser *p, const char *key, struct span value)
{
	struct fault in;
	struct wg_endpoint e;
	int r = wg_value_endpoint(value, &e, &in);

	if (r < 0)
		return value_fault(p, r, key, &in);

	size_t peer = p->out->change.peers.n - 1;

	/* The last of several counts. */
	if (p->out->names.n && p->out->names.v[p->out->names.n - 1].peer == peer)
		p->out->names.n--;
	if (wg_endpoint_numeric(&e, &peer_of(p)->endpoint) < 0) {
		struct wg_conf_name *n = vec_add(&p->out->names);

		n->peer = peer;
		n->line = p->line;
		n->endpoint = e;
	}
	peer_of(p)->set |= WG_PEER_SET_ENDPOINT;
	return 0;
}

static int on_keepalive(struct parser *p, const char *key, struct span value)
{
	struct fault in;
	int r = wg_value_keepalive(value, &peer_of(p)->keepalive_s, &in);

	if (r < 0)
		return value_fault(p, r, key, &in);
	peer_of(p)->set |= WG_PEER_SET_KEEPALIVE;
	return 0;
}

/* wg-quick's keys. */
static int one_kind_full(struct parser *p, const char *key)
{
	return fault_set(p->f, ERR_LIMIT, p->line, 0, "%s: more than %d of them", key,
	                 WG_CONF_LINES_OF_A_KIND);
}

/* The parts between commas and spaces, the empty ones left out. */
static bool next_item(struct span *rest, struct span *ret)
{
	while (rest->n && (rest->p[0] == ',' || is_space(rest->p[0])))
		*rest = span_from(*rest, 1);

	size_t n = 0;

	while (n < rest->n && rest->p[n] != ',' && !is_space(rest->p[n]))
		n++;
	*ret = span_first(*rest, n);
	*rest = span_from(*rest, n);
	return n > 0;
}

static int on_address(struct parser *p, const char *key, struct span value)
{
	struct span item;
	struct prefix a;

	while (next_item(&value, &item)) {
		if (prefix_parse(item, &a) < 0)
			return fault_set(p->f, ERR_MALFORMED, p->line, 0,
			                 "%s: expected an address like 10.0.0.1/24 or fd00::1/64",
			                 key);
		if (p->out->quick.addresses.n >= WG_CONF_LINES_OF_A_KIND)
			return one_kind_full(p, key);
		vec_push(&p->out->quick.addresses, a);
	}
	return 0;
}

static bool name_ok(struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		uint8_t c = s.p[i];

		if (!(c >= '0' && c <= '9') && !((c | 0x20) >= 'a' && (c | 0x20) <= 'z') &&
		    c != '-' && c != '_' && c != '.' && c != '~')
			return false;
	}
	return s.n > 0 && s.n <= WG_HOST_MAX;
}

static bool looks_like_address(struct span s)
{
	if (span_find(s, ':') < s.n)
		return true;
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '.' && !(s.p[i] >= '0' && s.p[i] <= '9'))
			return false;
	return true;
}

static int on_dns(struct parser *p, const char *key, struct span value)
{
	struct wg_quick *q = &p->out->quick;
	struct span item;
	struct ip ip;

	while (next_item(&value, &item)) {
		if (q->dns.n + q->search.n >= WG_CONF_LINES_OF_A_KIND)
			return one_kind_full(p, key);
		if (ip_parse(item, &ip) == 0)
			vec_push(&q->dns, ip);
		else if (!looks_like_address(item) && name_ok(item))
			vec_push(&q->search, span_dup(item));
		else
			return fault_set(p->f, ERR_MALFORMED, p->line, 0,
			                 "%s: expected a resolver's address or a search domain",
			                 key);
	}
	return 0;
}

static int on_mtu(struct parser *p, const char *key, struct span value)
{
	uint64_t v;

	if (span_u64(value, WG_MTU_MAX, &v) < 0 || v < 68)
		return fault_set(p->f, ERR_MALFORMED, p->line, 0,
		                 "%s: expected a number from 68 to %d", key, WG_MTU_MAX);
	p->out->quick.mtu = (uint32_t)v;
	return 0;
}

static int on_table(struct parser *p, const char *key, struct span value)
{
	struct wg_quick *q = &p->out->quick;

	if (!name_ok(value))
		return fault_set(p->f, ERR_MALFORMED, p->line, 0,
		                 "%s: expected off, auto, or the number or name of a table", key);
	free(TAKE(q->table_name));
	q->table_name = span_dup(value);
	q->table_given = true;
	q->table = span_is_nocase(value, "off")    ? WG_TABLE_OFF
	           : span_is_nocase(value, "auto") ? WG_TABLE_AUTO
	                                           : WG_TABLE_NAMED;
	return 0;
}

static int on_save(struct parser *p, const char *key, struct span value)
{
	if (!span_is_nocase(value, "true") && !span_is_nocase(value, "false"))
		return fault_set(p->f, ERR_MALFORMED, p->line, 0, "%s: expected true or false",
		                 key);
	p->out->quick.save = span_is_nocase(value, "true");
	return 0;
}

#define ON_HOOK(field)                                                              \
	static int on_##field(struct parser *p, const char *key, struct span value) \
	{                                                                           \
		if (p->out->quick.field.n >= WG_CONF_LINES_OF_A_KIND)               \
			return one_kind_full(p, key);                               \
		vec_push(&p->out->quick.field, span_dup(value));                    \
		return 0;                                                           \
	}
ON_HOOK(pre_up)
ON_HOOK(post_up)
ON_HOOK(pre_down)
ON_HOOK(post_down)

enum key_flag { KEY_QUICK = 1, KEY_FREE = 2 };

struct key_row {
	const char *name;
	key_fn *fn;
	enum section section;
	unsigned flags; /* KEY_QUICK: wg-quick's; KEY_FREE: text that is kept as it is */
};

/* clang-format off */
static const struct key_row keys[] = {
	{ "PrivateKey",          on_private_key,   SECTION_INTERFACE, 0 },
	{ "ListenPort",          on_listen_port,   SECTION_INTERFACE, 0 },
	{ "FwMark",              on_fwmark,        SECTION_INTERFACE, 0 },
	{ "PublicKey",           on_public_key,    SECTION_PEER,      0 },
	{ "PresharedKey",        on_preshared_key, SECTION_PEER,      0 },
	{ "AllowedIPs",          on_allowed_ips,   SECTION_PEER,      0 },
	{ "Endpoint",            on_endpoint,      SECTION_PEER,      0 },
	{ "PersistentKeepalive", on_keepalive,     SECTION_PEER,      0 },
	{ "Address",             on_address,       SECTION_INTERFACE, KEY_QUICK },
	{ "DNS",                 on_dns,           SECTION_INTERFACE, KEY_QUICK },
	{ "MTU",                 on_mtu,           SECTION_INTERFACE, KEY_QUICK },
	{ "Table",               on_table,         SECTION_INTERFACE, KEY_QUICK },
	{ "SaveConfig",          on_save,          SECTION_INTERFACE, KEY_QUICK },
	{ "PreUp",               on_pre_up,        SECTION_INTERFACE, KEY_QUICK | KEY_FREE },
	{ "PostUp",              on_post_up,       SECTION_INTERFACE, KEY_QUICK | KEY_FREE },
	{ "PreDown",             on_pre_down,      SECTION_INTERFACE, KEY_QUICK | KEY_FREE },
	{ "PostDown",            on_post_down,     SECTION_INTERFACE, KEY_QUICK | KEY_FREE },
};
/* clang-format on */

static const struct key_row *find_key(const struct parser *p, struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(keys); i++)
		if (keys[i].section == p->section && span_is_nocase(name, keys[i].name) &&
		    (!(keys[i].flags & KEY_QUICK) || p->kind == WG_CONF_QUICK))
			return &keys[i];
	return NULL;
}

static int end_section(struct parser *p)
{
	if (p->section == SECTION_PEER && !p->has_key)
		return fault_set(p->f, ERR_MALFORMED, p->section_line, 0,
		                 "[Peer] has no PublicKey");
	return 0;
}

static int begin_section(struct parser *p, struct span dense)
{
	int r = end_section(p);

	if (r < 0)
		return r;
	p->section_line = p->line;
	if (span_is_nocase(dense, "[Interface]")) {
		p->section = SECTION_INTERFACE;
		return 0;
	}
	if (!span_is_nocase(dense, "[Peer]"))
		return fault_set(p->f, ERR_MALFORMED, p->line, 0,
		                 "unknown section: expected [Interface] or [Peer]");
	if (p->out->change.peers.n >= WG_PEERS_MAX)
		return fault_set(p->f, ERR_LIMIT, p->line, 0, "more than %d peers", WG_PEERS_MAX);
	p->section = SECTION_PEER;
	p->has_key = false;

	struct wg_peer_change *peer = wg_change_add_peer(&p->out->change,
	                                                 &(struct node_pub){ { 0 } });

	peer->set = WG_PEER_REPLACE_IPS;
	return 0;
}

/* The name of the key only: what follows it may be a secret in the wrong place. */
static int unknown_key(struct parser *p, struct span name)
{
	const char *where = p->section == SECTION_PEER ? "[Peer]" : "[Interface]";

	if (p->section == SECTION_NONE)
		return fault_set(p->f, ERR_MALFORMED, p->line, 0,
		                 "expected [Interface] or [Peer] before anything else");
	for (size_t i = 0; i < name.n; i++)
		if (!((name.p[i] | 0x20) >= 'a' && (name.p[i] | 0x20) <= 'z') || i > 24)
			return fault_set(p->f, ERR_MALFORMED, p->line, 0,
			                 "expected a key of %s, then = and its value", where);
	return fault_set(p->f, ERR_MALFORMED, p->line, 0, "%.*s is not a key of %s", SPAN_FMT(name),
	                 where);
}

static int parse_line(struct parser *p, struct span raw, struct buf *dense)
{
	struct span plain = span_first(raw, span_find(raw, '#'));

	buf_clear(dense);
	for (size_t i = 0; i < plain.n; i++)
		if (!is_space(plain.p[i]))
			buf_add_u8(dense, plain.p[i]);

	struct span d = buf_span(dense);

	if (d.n == 0)
		return 0;
	if (d.p[0] == '[')
		return begin_section(p, d);

	struct span name = span_first(d, span_find(d, '='));
	const struct key_row *row = name.n < d.n ? find_key(p, name) : NULL;

	if (!row)
		return unknown_key(p, name);
	if (memchr(raw.p, '\0', raw.n))
		return fault_set(p->f, ERR_MALFORMED, p->line, 0, "a NUL byte in the line");
	p->taken = row->flags & KEY_QUICK;
	/* Lists are parted at spaces too, so they too are read from the line itself. */
	struct span value = row->flags & KEY_FREE
	                            ? span_trim(span_from(raw, span_find(raw, '=') + 1))
	                    : row->flags & KEY_QUICK
	                            ? span_trim(span_from(plain, span_find(plain, '=') + 1))
	                            : span_from(d, name.n + 1);

	return row->fn(p, row->name, value);
}

static int parse_lines(struct parser *p, struct span text)
{
	AUTO_DONE(buf) struct buf dense = { .secret = true };
	struct span line;

	while (text.p && text.n) {
		size_t n = span_find(text, '\n');

		line = span_first(text, n);
		text = span_from(text, n + 1);
		p->line++;
		p->taken = false;

		int r = parse_line(p, line, &dense);

		if (r < 0)
			return r;
		if (p->kind == WG_CONF_QUICK && !p->taken) {
			buf_add_span(&p->out->stripped, line);
			buf_add_u8(&p->out->stripped, '\n');
		}
	}
	return end_section(p);
}

int wg_conf_parse(struct span text, enum wg_conf_kind kind, struct wg_conf *ret, struct fault *f)
{
	struct parser p = { .out = ret, .kind = kind, .f = f };

	ret->stripped.secret = true;
	if (text.n > WG_CONF_MAX)
		return fault_set(f, ERR_LIMIT, 0, 0, "larger than %d bytes", WG_CONF_MAX);
	if (kind != WG_CONF_ADD)
		ret->change.set = WG_REPLACE_PEERS | WG_SET_PRIVATE_KEY | WG_SET_LISTEN_PORT |
		                  WG_SET_FWMARK;

	int r = parse_lines(&p, text);

	if (r < 0)
		return r;
	return wg_change_check(&ret->change) < 0
	               ? fault_set(f, ERR_LIMIT, p.line, 0, "more than %d address ranges in all",
	                           WG_PREFIXES_MAX)
	               : 0;
}

void wg_conf_done(struct wg_conf *c)
{
	wg_change_done(&c->change);
	vec_done(&c->quick.addresses);
	vec_done(&c->quick.dns);
	vec_done_free(&c->quick.search);
	vec_done_free(&c->quick.pre_up);
	vec_done_free(&c->quick.post_up);
	vec_done_free(&c->quick.pre_down);
	vec_done_free(&c->quick.post_down);
	free(TAKE(c->quick.table_name));
	free(TAKE(c->listen_service));
	vec_done(&c->names);
	vec_done(&c->warnings);
	buf_done(&c->stripped);
	*c = (struct wg_conf){ 0 };
}
