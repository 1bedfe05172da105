#include "base/enc.h"
#include "cli/wg.h"
#include "test/check.h"

#define KEY_A "4GFSO6hXVTMpvkNyWKW7OYyHOyLZdLVGhn4P0FAkAU0="
#define KEY_B "GtL7fZc/bLnqZldpVofMCD6hDjrK28SsdLxevJ+qtKU="
#define KEY_C "xTIBA5rboUvnH4htodjb6e697QjLERt1NAB4mZqp8Dg="
#define KEY_1 "AQAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="

#define AUTO_INFO __attribute__((cleanup(wg_info_done))) struct wg_info

static const struct wg_show how = { .name = "wg0", .now = { 1700000000 * US_PER_S } };

static void key(const char *text, uint8_t ret[static KEY_LEN])
{
	CHECK_OK(base64_decode(ret, KEY_LEN, span_str(text)));
}

static void make(struct wg_info *i)
{
	struct node_pub b, c;

	key(KEY_1, i->private_key.b);
	key(KEY_A, i->public_key.b);
	key(KEY_B, b.b);
	key(KEY_C, c.b);
	i->listen_port = 51820;
	i->fwmark = 0xca6c;
	(void)wg_info_add_peer(i, &b);

	struct wg_peer_info *p = wg_info_add_peer(i, &c);

	key(KEY_1, p->psk.b);
	p->endpoint = (struct addr){ .ip = { { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } }, .port = 7 };
	p->keepalive_s = 3661;
	p->last_handshake.us = how.now.us - 90 * US_PER_S;
	p->rx_bytes = 1023;
	p->tx_bytes = (uint64_t)5 << 30;
	vec_push(&p->ips, ((struct prefix){ ip4(10, 0, 0, 2), 32 }));
	vec_push(&p->ips, ((struct prefix){ { { 0xfd } }, 64 }));
}

static void people_see_the_latest_handshake_first(void)
{
	AUTO_INFO i = { 0 };
	AUTO_DONE(buf) struct buf out = { 0 };

	make(&i);
	wg_show_pretty(&out, &i, &how);
	CHECK_STR(buf_text(&out),
	          "interface: wg0\n  public key: " KEY_A "\n  private key: (hidden)\n"
	          "  listening port: 51820\n  fwmark: 0xca6c\n\npeer: " KEY_C
	          "\n  preshared key: (hidden)\n  endpoint: [2001:db8::1]:7\n"
	          "  allowed ips: 10.0.0.2/32, fd00::/64\n"
	          "  latest handshake: 1 minute, 30 seconds ago\n"
	          "  transfer: 1023 B received, 5.00 GiB sent\n"
	          "  persistent keepalive: every 1 hour, 1 minute, 1 second\n\npeer: " KEY_B
	          "\n  allowed ips: (none)\n");
}

static void secrets_are_shown_when_asked_for_alone(void)
{
	AUTO_INFO i = { 0 };
	AUTO_DONE(buf) struct buf out = { 0 };
	struct wg_show open = how;

	make(&i);
	open.show_keys = true;
	wg_show_pretty(&out, &i, &open);
	CHECK(strstr(buf_text(&out), "  private key: " KEY_1 "\n") != NULL);
}

/* clang-format off */
static const struct {
	const char *field, *want;
} fields[] = {
	{ "public-key",           KEY_A "\n" },
	{ "private-key",          KEY_1 "\n" },
	{ "listen-port",          "51820\n" },
	{ "fwmark",               "0xca6c\n" },
	{ "peers",                KEY_B "\n" KEY_C "\n" },
	{ "preshared-keys",       KEY_B "\t(none)\n" KEY_C "\t" KEY_1 "\n" },
	{ "endpoints",            KEY_B "\t(none)\n" KEY_C "\t[2001:db8::1]:7\n" },
	{ "allowed-ips",          KEY_B "\t(none)\n" KEY_C "\t10.0.0.2/32 fd00::/64\n" },
	{ "latest-handshakes",    KEY_B "\t0\n" KEY_C "\t1699999910\n" },
	{ "transfer",             KEY_B "\t0\t0\n" KEY_C "\t1023\t5368709120\n" },
	{ "persistent-keepalive", KEY_B "\toff\n" KEY_C "\t3661\n" },
	{ "dump",                 KEY_1 "\t" KEY_A "\t51820\t0xca6c\n"
	                          KEY_B "\t(none)\t(none)\t(none)\t0\t0\t0\toff\n"
	                          KEY_C "\t" KEY_1 "\t[2001:db8::1]:7\t10.0.0.2/32,fd00::/64\t1699999910\t1023\t5368709120\t3661\n" },
};
/* clang-format on */

static void scripts_see_each_field_as_wg_prints_it(void)
{
	for (size_t k = 0; k < ARRAY_LEN(fields); k++) {
		AUTO_INFO i = { 0 };
		AUTO_DONE(buf) struct buf out = { 0 };

		make(&i);
		CHECK_OK(wg_show_field(&out, &i, fields[k].field, &how));
		CHECK_STR(buf_text(&out), fields[k].want);
	}
}

static void an_empty_device_has_no_keys(void)
{
	AUTO_INFO i = { 0 };
	AUTO_DONE(buf) struct buf out = { 0 };
	struct wg_show named = how;

	named.with_name = true;
	wg_show_pretty(&out, &i, &how);
	CHECK_STR(buf_text(&out), "interface: wg0\n");
	buf_clear(&out);
	CHECK_OK(wg_show_field(&out, &i, "dump", &named));
	CHECK_STR(buf_text(&out), "wg0\t(none)\t(none)\t0\toff\n");
	CHECK_EQ(wg_show_field(&out, &i, "colour", &named), ERR_UNKNOWN);
}

int main(void)
{
	RUN(people_see_the_latest_handshake_first);
	RUN(secrets_are_shown_when_asked_for_alone);
	RUN(scripts_see_each_field_as_wg_prints_it);
	RUN(an_empty_device_has_no_keys);
	return check_done();
}
