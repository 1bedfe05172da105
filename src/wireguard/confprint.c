#include <stdlib.h>

#include "base/enc.h"
#include "base/mem.h"
#include "wireguard/conf.h"

static void print_key(struct buf *out, const char *name, const uint8_t key[static KEY_LEN])
{
	char text[BASE64_LEN(KEY_LEN) + 1];

	buf_fmt(out, "%s = %s\n", name, base64_encode(text, key, KEY_LEN));
	explicit_bzero(text, sizeof(text));
}

static void print_peer(struct buf *out, const struct wg_peer_info *p)
{
	char text[ADDR_TEXT_MAX];

	buf_add_str(out, "[Peer]\n");
	print_key(out, "PublicKey", p->key.b);
	if (!ct_is_zero(p->psk.b, KEY_LEN))
		print_key(out, "PresharedKey", p->psk.b);
	for (size_t i = 0; i < p->ips.n; i++)
		buf_fmt(out, "%s%s%s",
		        i ? ", " : "AllowedIPs = ", wg_prefix_text(&p->ips.v[i], text),
		        i + 1 == p->ips.n ? "\n" : "");
	if (addr_is_set(&p->endpoint))
		buf_fmt(out, "Endpoint = %s\n", wg_addr_text(&p->endpoint, text));
	if (p->keepalive_s)
		buf_fmt(out, "PersistentKeepalive = %u\n", p->keepalive_s);
}

void wg_conf_print(struct buf *out, const struct wg_info *info)
{
	buf_add_str(out, "[Interface]\n");
	if (info->listen_port)
		buf_fmt(out, "ListenPort = %u\n", info->listen_port);
	if (info->fwmark)
		buf_fmt(out, "FwMark = 0x%x\n", info->fwmark);
	if (!node_priv_is_zero(&info->private_key))
		print_key(out, "PrivateKey", info->private_key.b);
	buf_add_str(out, "\n");
	for (size_t i = 0; i < info->peers.n; i++) {
		if (i)
			buf_add_str(out, "\n");
		print_peer(out, &info->peers.v[i]);
	}
}

#define PRINT_TEXTS(out, name, vec)                                       \
	do {                                                              \
		for (size_t i = 0; i < (vec)->n; i++)                     \
			buf_fmt((out), "%s = %s\n", (name), (vec)->v[i]); \
	} while (0)

void wg_quick_print(struct buf *out, const struct wg_quick *q)
{
	char text[PREFIX_TEXT_MAX], ip[IP_TEXT_MAX];

	vec_each(const struct prefix *, a, &q->addresses)
		buf_fmt(out, "Address = %s\n", wg_prefix_text(a, text));
	vec_each(const struct ip *, d, &q->dns)
		buf_fmt(out, "DNS = %s\n", ip_text(d, ip));
	PRINT_TEXTS(out, "DNS", &q->search);
	if (q->mtu)
		buf_fmt(out, "MTU = %u\n", q->mtu);
	if (q->table_given)
		buf_fmt(out, "Table = %s\n", q->table_name);
	if (q->save)
		buf_add_str(out, "SaveConfig = true\n");
	PRINT_TEXTS(out, "PreUp", &q->pre_up);
	PRINT_TEXTS(out, "PostUp", &q->post_up);
	PRINT_TEXTS(out, "PreDown", &q->pre_down);
	PRINT_TEXTS(out, "PostDown", &q->post_down);
}

static int by_key(const void *a, const void *b)
{
	const struct wg_peer_change *const *x = a, *const *y = b;

	return memcmp((*x)->key.b, (*y)->key.b, KEY_LEN);
}

/* The file's block for this key; NULL if it has none. sorted: by key. */
static struct wg_peer_change *find(struct wg_peer_change **sorted, size_t n,
                                   const struct node_pub *key)
{
	struct wg_peer_change want = { .key = *key }, *want_p = &want;
	struct wg_peer_change **hit = n ? bsearch(&want_p, sorted, n, sizeof(*sorted), by_key)
	                                : NULL;

	return hit ? *hit : NULL;
}

/* What the running device has and the file no longer names goes. */
static void reset_absent(struct wg_peer_change *file, const struct wg_peer_info *now)
{
	if (!(file->set & WG_PEER_SET_PSK) && !ct_is_zero(now->psk.b, KEY_LEN))
		file->set |= WG_PEER_SET_PSK; /* its key is all zero */
	if (!(file->set & WG_PEER_SET_KEEPALIVE) && now->keepalive_s)
		file->set |= WG_PEER_SET_KEEPALIVE;
}

void wg_conf_sync(struct wg_change *change, const struct wg_info *running)
{
	size_t n = change->peers.n;

	if (n == 0 || running->peers.n == 0)
		return; /* replacing all peers is right, and shorter */
	change->set &= ~(unsigned)WG_REPLACE_PEERS;

	AUTO_FREE struct wg_peer_change **sorted = mem_new_n(struct wg_peer_change *, n);
	VEC(struct node_pub) gone = { 0 };

	for (size_t i = 0; i < n; i++)
		sorted[i] = &change->peers.v[i];
	qsort(sorted, n, sizeof(*sorted), by_key);
	vec_each(const struct wg_peer_info *, now, &running->peers) {
		struct wg_peer_change *file = find(sorted, n, &now->key);

		if (file)
			reset_absent(file, now);
		else
			vec_push(&gone, now->key);
	}
	vec_each(const struct node_pub *, key, &gone)
		wg_change_add_peer(change, key)->set = WG_PEER_REMOVE;
	vec_done(&gone);
}
