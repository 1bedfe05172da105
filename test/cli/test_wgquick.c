#include "cli/wgquick.h"

#include "base/enc.h"
#include "test/check.h"

static void the_file_s_name_is_the_interface_s(void)
{
	char name[IFNAMSIZ];

	CHECK(quick_name("/etc/wireguard/wg0.conf", name));
	CHECK_STR(name, "wg0");
	CHECK(quick_name("a.b_c=+-.conf", name));
	CHECK_STR(name, "a.b_c=+-");
	CHECK(quick_name("/x/123456789012345.conf", name));
	CHECK(!quick_name("/x/1234567890123456.conf", name));
	CHECK(!quick_name("/x/.conf", name));
	CHECK(!quick_name("/x/wg 0.conf", name));
	CHECK(!quick_name("/x/wg0.cnf", name));
}

static void prefixes_are_routed_once_the_longest_first(void)
{
	__attribute__((cleanup(wg_change_done))) struct wg_change c = { 0 };
	struct prefix *list = NULL;
	static const char *const text[] = { "0.0.0.0/0",  "10.0.0.0/8", "10.1.0.0/16",
		                            "10.0.0.0/8", "fd00::/64",  "::/0" };
	static const char *const want[] = { "fd00::/64", "10.1.0.0/16", "10.0.0.0/8", "::/0",
		                            "0.0.0.0/0" };
	char got[PREFIX_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_LEN(text); i++) {
		struct node_pub key = { { (uint8_t)(i % 2) } };
		struct prefix p;

		CHECK_OK(prefix_parse(span_str(text[i]), &p));
		wg_peer_change_add_ip(wg_change_add_peer(&c, &key), p, false);
	}

	size_t n = quick_prefixes(&c, &list);

	CHECK_EQ(n, ARRAY_LEN(want));
	for (size_t i = 0; i < n && i < ARRAY_LEN(want); i++)
		CHECK_STR(prefix_text(&list[i], got), want[i]);
	free(list);
}

static void the_leak_protection_is_wg_quick_s(void)
{
	AUTO_DONE(buf) struct buf out = { 0 };
	const struct prefix own[] = { { ip4(10, 0, 0, 1), 24 }, { { { 0xfd, [15] = 1 } }, 64 } };

	quick_nft_text(&out, "wg0", false, 51820, own, 2);
	CHECK_STR(
		buf_text(&out),
		"add table ip wg-quick-wg0\n"
		"add chain ip wg-quick-wg0 preraw { type filter hook prerouting priority -300; }\n"
		"add chain ip wg-quick-wg0 premangle { type filter hook prerouting priority -150; "
	        "}\n"
		"add chain ip wg-quick-wg0 postmangle { type filter hook postrouting priority "
	        "-150; }\n"
		"add rule ip wg-quick-wg0 preraw iifname != \"wg0\" ip daddr 10.0.0.1 "
		"fib saddr type != local drop\n"
		"add rule ip wg-quick-wg0 postmangle meta l4proto udp mark 51820 ct mark set mark\n"
		"add rule ip wg-quick-wg0 premangle meta l4proto udp meta mark set ct mark\n");
}

int main(void)
{
	RUN(the_file_s_name_is_the_interface_s);
	RUN(prefixes_are_routed_once_the_longest_first);
	RUN(the_leak_protection_is_wg_quick_s);
	return check_done();
}
