#include "wireguard/conf.h"

#include "base/enc.h"
#include "test/check.h"

#define KEY_A "4GFSO6hXVTMpvkNyWKW7OYyHOyLZdLVGhn4P0FAkAU0="
#define KEY_B "GtL7fZc/bLnqZldpVofMCD6hDjrK28SsdLxevJ+qtKU="
#define KEY_C "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="

#define WITH_CONF __attribute__((cleanup(wg_conf_done))) struct wg_conf

static int parse(const char *text, enum wg_conf_kind kind, struct wg_conf *c, struct fault *f)
{
	return wg_conf_parse(span_str(text), kind, c, f);
}

static const char whole[] = "[Interface]\n"
			    "PrivateKey = " KEY_A "\n"
			    "ListenPort = 51820 # comment\n"
			    "FWMARK = 0xca6c\n"
			    "\n"
			    "[Peer]\n"
			    "PublicKey = " KEY_B "\n"
			    "AllowedIPs = 10.0.0.2/32, fd00::/64\n"
			    "AllowedIPs = 10.1.0.0/16\n"
			    "Endpoint = [2001:db8::1]:51820\n"
			    "PersistentKeepalive = 25\n"
			    "[ P e e r ]\n"
			    "PublicKey = " KEY_C "\n"
			    "PresharedKey = " KEY_B "\n"
			    "Endpoint = vpn.example.org:7\n"
			    "PersistentKeepalive = off";

static void a_whole_file_is_read(void)
{
	WITH_CONF c = { 0 };
	struct fault f = { 0 };
	char text[PREFIX_TEXT_MAX];

	CHECK_OK(parse(whole, WG_CONF_SET, &c, &f));
	CHECK_EQ(c.change.set,
	         WG_SET_PRIVATE_KEY | WG_SET_LISTEN_PORT | WG_SET_FWMARK | WG_REPLACE_PEERS);
	CHECK_EQ(c.change.listen_port, 51820);
	CHECK_EQ(c.change.fwmark, 0xca6c);
	CHECK_EQ(c.change.peers.n, 2);

	const struct wg_peer_change *a = &c.change.peers.v[0], *b = &c.change.peers.v[1];

	CHECK_EQ(a->set, WG_PEER_REPLACE_IPS | WG_PEER_SET_ENDPOINT | WG_PEER_SET_KEEPALIVE);
	CHECK_EQ(a->ips.n, 3);
	CHECK_STR(wg_prefix_text(&a->ips.v[2].prefix, text), "10.1.0.0/16");
	CHECK_EQ(a->keepalive_s, 25);
	CHECK_EQ(a->endpoint.port, 51820);
	CHECK_EQ(b->set, WG_PEER_REPLACE_IPS | WG_PEER_SET_ENDPOINT | WG_PEER_SET_KEEPALIVE |
	                         WG_PEER_SET_PSK);
	CHECK_EQ(b->keepalive_s, 0);
	CHECK_EQ(c.names.n, 1);
	CHECK_EQ(c.names.v[0].peer, 1);
	CHECK_EQ(c.names.v[0].line, 15);
	CHECK_STR(c.names.v[0].endpoint.host, "vpn.example.org");
	CHECK_STR(c.names.v[0].endpoint.service, "7");
}

static void a_file_that_is_added_leaves_the_rest_alone(void)
{
	WITH_CONF c = { 0 };

	CHECK_OK(parse("[Interface]\nListenPort=1\n[Peer]\nPublicKey=" KEY_B
	               "\nAllowedIPs = +10.0.0.0/8, -fd00::/64\n",
	               WG_CONF_ADD, &c, NULL));
	CHECK_EQ(c.change.set, WG_SET_LISTEN_PORT);
	CHECK_EQ(c.change.peers.v[0].set, 0);
	CHECK(!c.change.peers.v[0].ips.v[0].remove);
	CHECK(c.change.peers.v[0].ips.v[1].remove);
}

static const char quick[] = "[Interface]\n"
			    "PrivateKey = " KEY_A "\n"
			    "Address = 10.0.0.1/24,fd00::1/64\n"
			    "Address = 10.9.0.1\n"
			    "DNS = 1.1.1.1, corp.example 2606:4700::1111\n"
			    "MTU = 1380\n"
			    "Table = vpn\n"
			    "SaveConfig = true\n"
			    "PreUp = echo 'a # b' %i\n"
			    "PreUp = second\n"
			    "PostDown =   sleep 1; true  \n"
			    "# a comment\n"
			    "[Peer]\n"
			    "PublicKey = " KEY_B "\n";

static void the_keys_of_wg_quick_are_read_and_stripped(void)
{
	WITH_CONF c = { 0 };
	struct fault f;

	CHECK_OK(parse(quick, WG_CONF_QUICK, &c, &f));
	CHECK_EQ(c.quick.addresses.n, 3);
	CHECK_EQ(c.quick.addresses.v[2].bits, 32);
	CHECK_EQ(c.quick.dns.n, 2);
	CHECK_EQ(c.quick.search.n, 1);
	CHECK_STR(c.quick.search.v[0], "corp.example");
	CHECK_EQ(c.quick.mtu, 1380);
	CHECK_EQ(c.quick.table, WG_TABLE_NAMED);
	CHECK_STR(c.quick.table_name, "vpn");
	CHECK(c.quick.save);
	CHECK_EQ(c.quick.pre_up.n, 2);
	CHECK_STR(c.quick.pre_up.v[0], "echo 'a # b' %i");
	CHECK_STR(c.quick.post_down.v[0], "sleep 1; true");
	CHECK_STR(buf_text(&c.stripped), "[Interface]\nPrivateKey = " KEY_A
	                                 "\n# a comment\n[Peer]\nPublicKey = " KEY_B "\n");

	AUTO_DONE(buf) struct buf out = { 0 };

	wg_quick_print(&out, &c.quick);
	CHECK_STR(buf_text(&out), "Address = 10.0.0.1/24\nAddress = fd00::1/64\n"
	                          "Address = 10.9.0.1/32\nDNS = 1.1.1.1\n"
	                          "DNS = 2606:4700::1111\nDNS = corp.example\nMTU = 1380\n"
	                          "Table = vpn\nSaveConfig = true\nPreUp = echo 'a # b' %i\n"
	                          "PreUp = second\nPostDown = sleep 1; true\n");
}

/* clang-format off */
static const struct {
	const char *text;
	unsigned line;
	const char *says;
} faults[] = {
	{ "ListenPort = 1\n",                                    1, "expected [Interface] or [Peer]" },
	{ "\n[Interfce]\n",                                      2, "unknown section" },
	{ "[Interface]\nPrivatKey = " KEY_A "\n",                2, "PrivatKey is not a key of [Interface]" },
	{ "[Interface]\nPrivateKey = abc\n",                     2, "PrivateKey: not a key" },
	{ "[Interface]\n\nListenPort = 70000\n",                 3, "ListenPort: expected a port" },
	{ "[Interface]\nFwMark = zz\n",                          2, "FwMark: expected off" },
	{ "[Interface]\nFwMark = 0x1ffffffff\n",                 2, "FwMark: expected off" },
	{ "[Interface]\n[Peer]\nEndpoint = 1.2.3.4:5\n",         2, "[Peer] has no PublicKey" },
	{ "[Peer]\n[Peer]\nPublicKey=" KEY_B "\n",               1, "[Peer] has no PublicKey" },
	{ "[Peer]\nPublicKey=" KEY_B "\nAllowedIPs=10.0.0.0/33", 3, "\"10.0.0.0/33\" is not an address range" },
	{ "[Peer]\nPublicKey=" KEY_B "\nAllowedIPs=1.2.3.4,,",   3, "is not an address range" },
	{ "[Peer]\nPublicKey=" KEY_B "\nEndpoint=1.2.3.4",       3, "Endpoint: no port" },
	{ "[Peer]\nPublicKey=" KEY_B "\nEndpoint=[::1",          3, "Endpoint: no ]" },
	{ "[Peer]\nPersistentKeepalive=65536\n",                 2, "PersistentKeepalive: expected off" },
	{ "[Interface]\nAddress = 1.2.3.4/24\nDNS = x_y!\n",     3, "DNS: expected a resolver" },
	{ "[Interface]\nAddress = 1.2.3/24\n",                   2, "Address: expected an address" },
	{ "[Interface]\nMTU = 12\n",                             2, "MTU: expected a number" },
	{ "[Interface]\nSaveConfig = yes\n",                     2, "SaveConfig: expected true or false" },
	{ "[Interface]\nTable = a b\n",                          2, "Table: expected off" },
	{ "[Interface]\nhello\n",                                2, "hello is not a key of [Interface]" },
	{ "[Interface]\n" KEY_A "\n",                            2, "expected a key of [Interface]" },
};
/* clang-format on */

static void a_fault_names_the_line_and_what_was_expected(void)
{
	for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
		WITH_CONF c = { 0 };
		struct fault f = { 0 };

		CHECK(parse(faults[i].text, WG_CONF_QUICK, &c, &f) < 0);
		CHECK_EQ(f.line, faults[i].line);
		if (!strstr(f.message, faults[i].says))
			CHECK_STR(f.message, faults[i].says);
		/* Keys are never told again, not even in the wrong place. */
		CHECK(!strstr(f.message, "4GFSO6"));
	}
}

static void the_keys_of_wg_quick_are_unknown_to_wg(void)
{
	WITH_CONF c = { 0 };
	struct fault f = { 0 };

	CHECK_EQ(parse(quick, WG_CONF_SET, &c, &f), ERR_MALFORMED);
	CHECK_EQ(f.line, 3);
}

static void every_truncation_ends_well(void)
{
	for (size_t n = 0; n < sizeof(quick); n++) {
		WITH_CONF c = { 0 };

		(void)!wg_conf_parse(span(quick, n), WG_CONF_QUICK, &c, NULL);
	}
}

static void make_info(struct wg_info *i)
{
	struct node_pub b, d;
	struct wg_peer_info *p;
	struct prefix v4 = { ip4(10, 0, 0, 2), 32 }, v6 = { { { 0xfd } }, 64 };

	CHECK_OK(base64_decode(i->private_key.b, KEY_LEN, SPAN_LIT(KEY_A)));
	CHECK_OK(base64_decode(b.b, KEY_LEN, SPAN_LIT(KEY_B)));
	CHECK_OK(base64_decode(d.b, KEY_LEN, SPAN_LIT(KEY_C)));
	i->listen_port = 51820;
	i->fwmark = 0xca6c;
	p = wg_info_add_peer(i, &b);
	vec_push(&p->ips, v4);
	vec_push(&p->ips, v6);
	p->endpoint = (struct addr){ .ip = ip4(192, 0, 2, 1), .port = 7 };
	p->keepalive_s = 25;
	p->psk.b[0] = 1;
	p = wg_info_add_peer(i, &d);
}

static void a_device_is_printed_as_wg_showconf_does(void)
{
	__attribute__((cleanup(wg_info_done))) struct wg_info i = { 0 };
	AUTO_DONE(buf) struct buf out = { 0 };

	make_info(&i);
	wg_conf_print(&out, &i);
	CHECK_STR(buf_text(&out),
	          "[Interface]\nListenPort = 51820\nFwMark = 0xca6c\nPrivateKey = " KEY_A
	          "\n\n[Peer]\nPublicKey = " KEY_B
	          "\nPresharedKey = AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
	          "AllowedIPs = 10.0.0.2/32, fd00::/64\nEndpoint = 192.0.2.1:7\n"
	          "PersistentKeepalive = 25\n\n[Peer]\nPublicKey = " KEY_C "\n");
}

static void a_sync_removes_what_the_file_no_longer_names(void)
{
	__attribute__((cleanup(wg_info_done))) struct wg_info i = { 0 };
	WITH_CONF c = { 0 };

	make_info(&i);
	CHECK_OK(parse("[Peer]\nPublicKey=" KEY_B "\n", WG_CONF_SET, &c, NULL));
	wg_conf_sync(&c.change, &i);
	CHECK(!(c.change.set & WG_REPLACE_PEERS));
	CHECK_EQ(c.change.peers.n, 2);
	CHECK_EQ(c.change.peers.v[0].set,
	         WG_PEER_REPLACE_IPS | WG_PEER_SET_PSK | WG_PEER_SET_KEEPALIVE);
	CHECK_EQ(c.change.peers.v[0].keepalive_s, 0);
	CHECK_EQ(c.change.peers.v[1].set, WG_PEER_REMOVE);
	CHECK(node_pub_eq(&c.change.peers.v[1].key, &i.peers.v[1].key));
}

int main(void)
{
	RUN(a_whole_file_is_read);
	RUN(a_file_that_is_added_leaves_the_rest_alone);
	RUN(the_keys_of_wg_quick_are_read_and_stripped);
	RUN(a_fault_names_the_line_and_what_was_expected);
	RUN(the_keys_of_wg_quick_are_unknown_to_wg);
	RUN(every_truncation_ends_well);
	RUN(a_device_is_printed_as_wg_showconf_does);
	RUN(a_sync_removes_what_the_file_no_longer_names);
	return check_done();
}
