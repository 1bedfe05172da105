#include "wireguard/uapi.h"

#include <errno.h>

#include "test/check.h"

#define KEY_A "00000000000000000000000000000000000000000000000000000000000000aa"
#define KEY_B "00000000000000000000000000000000000000000000000000000000000000bb"
#define KEY_P "a8dac1d8a70a751f0f699fb14ba1cff7b79cf4fbd8f09f44c6e6a90d0369604f"

static int set(const char *lines, struct wg_change *ret)
{
	return wg_uapi_read_set(span_str(lines), ret);
}

static const char whole_set[] = "set=1\n"
				"private_key=" KEY_P "\n"
				"listen_port=51820\n"
				"fwmark=51820\n"
				"replace_peers=true\n"
				"public_key=" KEY_A "\n"
				"preshared_key=" KEY_B "\n"
				"endpoint=192.0.2.1:51820\n"
				"persistent_keepalive_interval=25\n"
				"replace_allowed_ips=true\n"
				"allowed_ip=10.0.0.2/32\n"
				"allowed_ip=-fd00::/64\n"
				"public_key=" KEY_B "\n"
				"remove=true\n"
				"\n";

static void every_key_of_a_set_is_read_and_written_back_the_same(void)
{
	struct wg_change c;
	struct buf out = { 0 };
	enum wg_uapi_op op;
	size_t used;
	struct span lines;

	CHECK_EQ(wg_uapi_cut(span_str(whole_set), false, &op, &used, &lines), 1);
	CHECK_EQ(op, WG_UAPI_SET);
	CHECK_EQ(used, sizeof(whole_set) - 1);
	CHECK_OK(wg_uapi_read_set(lines, &c));
	CHECK_EQ(c.set, WG_SET_PRIVATE_KEY | WG_SET_LISTEN_PORT | WG_SET_FWMARK | WG_REPLACE_PEERS);
	CHECK_EQ(c.listen_port, 51820);
	CHECK_EQ(c.peers.n, 2);
	CHECK_EQ(c.peers.v[0].keepalive_s, 25);
	CHECK_EQ(c.peers.v[0].endpoint.port, 51820);
	CHECK_EQ(c.peers.v[0].ips.n, 2);
	CHECK(c.peers.v[0].ips.v[1].remove);
	CHECK_EQ(c.peers.v[1].set, WG_PEER_REMOVE);
	wg_uapi_write_set(&out, &c);
	CHECK_STR(buf_text(&out), whole_set);
	buf_done(&out);
	wg_change_done(&c);
}

static void values_out_of_their_range_are_refused(void)
{
	/* clang-format off */
	static const char *const bad[] = {
		"private_key=00", "private_key=" KEY_A "0", "private_key=", "listen_port=65536",
		"listen_port=-1", "listen_port=", "fwmark=4294967296", "fwmark=0x10",
		"replace_peers=false", "replace_peers=1", "unknown=1", "allowed_ip=10.0.0.0/8",
		"public_key=zz", "endpoint=1.2.3.4:5", "=", "=1",
	};
	static const char *const bad_peer[] = {
		"remove=false", "update_only=yes", "preshared_key=1", "endpoint=1.2.3.4",
		"endpoint=1.2.3.4:0", "endpoint=example.org:1", "endpoint=[::1]:65536",
		"persistent_keepalive_interval=65536", "replace_allowed_ips=", "allowed_ip=10.0.0.0",
		"allowed_ip=10.0.0.0/33", "allowed_ip=::/129", "allowed_ip=--10.0.0.0/8",
		"protocol_version=2", "listen_port=1", ("private_key=" KEY_A),
	};
	/* clang-format on */
	struct wg_change c;
	char text[300];

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		if (set(bad[i], &c) != -EINVAL)
			check_fail(__FILE__, __LINE__, "taken: %s", bad[i]);
		wg_change_done(&c);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad_peer); i++) {
		(void)snprintf(text, sizeof(text), "public_key=" KEY_A "\n%s\n", bad_peer[i]);
		if (set(text, &c) != -EINVAL)
			check_fail(__FILE__, __LINE__, "taken: %s", bad_peer[i]);
		wg_change_done(&c);
	}
	CHECK_EQ(set("fwmark\n", &c), -EPROTO);
	wg_change_done(&c);
}

static void zeros_mean_none(void)
{
	struct wg_change c;

	CHECK_OK(
		set("private_key=0000000000000000000000000000000000000000000000000000000000000000\n"
	            "listen_port=0\nfwmark=0\n",
	            &c));
	CHECK_EQ(c.set, WG_SET_PRIVATE_KEY | WG_SET_LISTEN_PORT | WG_SET_FWMARK);
	CHECK(node_priv_is_zero(&c.private_key));
	wg_change_done(&c);
}

static void operations_are_cut_at_their_empty_line(void)
{
	static const char two[] = "get=1\n\nget=drops\n\nset=1\nfwmark=1\n\n";
	enum wg_uapi_op op;
	struct span in = span_str(two), lines;
	size_t used;

	CHECK_EQ(wg_uapi_cut(in, false, &op, &used, &lines), 1);
	CHECK_EQ(op, WG_UAPI_GET);
	CHECK_EQ(used, 7);
	in = span_from(in, used);
	CHECK_EQ(wg_uapi_cut(in, false, &op, &used, &lines), 1);
	CHECK_EQ(op, WG_UAPI_DROPS);
	in = span_from(in, used);
	CHECK_EQ(wg_uapi_cut(in, false, &op, &used, &lines), 1);
	CHECK_EQ(op, WG_UAPI_SET);
	CHECK(span_is(lines, "fwmark=1\n"));
	CHECK_EQ(used, in.n);

	for (size_t n = 0; n + 1 < sizeof(whole_set); n++)
		CHECK_EQ(wg_uapi_cut(span(whole_set, n), false, &op, &used, &lines), 0);
	CHECK_EQ(wg_uapi_cut(span_str("set=1\nfwmark=1\n"), true, &op, &used, &lines), 1);
	CHECK_EQ(wg_uapi_cut(span_str("set=1\n\n"), false, &op, &used, &lines), 1);
	CHECK_EQ(lines.n, 0);
	CHECK_EQ(wg_uapi_cut(span_str("help\n"), false, &op, &used, &lines), ERR_MALFORMED);
	CHECK_EQ(wg_uapi_cut(span_str("get=2\n\n"), false, &op, &used, &lines), ERR_MALFORMED);
	CHECK_EQ(wg_uapi_cut(span_str("ge"), true, &op, &used, &lines), ERR_MALFORMED);
}

static void a_get_is_written_as_wg_wants_it_and_read_back(void)
{
	static const char want[] =
		"private_key=" KEY_P "\nlisten_port=51820\nfwmark=7\npublic_key=" KEY_A "\n"
		"preshared_key=" KEY_B "\nprotocol_version=1\nendpoint=[2001:db8::1]:9\n"
		"last_handshake_time_sec=1700000000\nlast_handshake_time_nsec=5000\n"
		"tx_bytes=18446744073709551615\nrx_bytes=3\npersistent_keepalive_interval=0\n"
		"allowed_ip=10.0.0.0/8\nallowed_ip=::/0\nerrno=0\n\n";
	struct wg_info i;
	struct buf out = { 0 };

	CHECK_OK(wg_uapi_read_get(span_str(want), &i));
	CHECK_EQ(i.peers.n, 1);
	CHECK_EQ(i.peers.v[0].last_handshake.us, INT64_C(1700000000000005));
	CHECK_EQ(i.peers.v[0].ips.n, 2);
	wg_uapi_write_get(&out, &i);
	CHECK_STR(buf_text(&out), want);
	buf_done(&out);
	wg_info_done(&i);
}

static void an_unset_device_says_nothing_but_success(void)
{
	struct wg_info i = { 0 };
	struct buf out = { 0 };

	wg_uapi_write_get(&out, &i);
	CHECK_STR(buf_text(&out), "errno=0\n\n");
	buf_done(&out);
}

static void a_reply_without_errno_is_a_broken_one(void)
{
	struct wg_info i;

	CHECK_EQ(wg_uapi_read_get(span_str("fwmark=1\n"), &i), -EPROTO);
	wg_info_done(&i);
	CHECK_EQ(wg_uapi_read_get(span_str(""), &i), -EPROTO);
	wg_info_done(&i);
	CHECK_EQ(wg_uapi_read_get(span_str("future=1\nerrno=0\n\n"), &i), 0);
	wg_info_done(&i);
	CHECK_EQ(wg_uapi_read_get(span_str("errno=1\n\n"), &i), -EPERM);
	wg_info_done(&i);
	CHECK_EQ(wg_uapi_read_errno(span_str("errno=-98\n\n")), -EADDRINUSE);
	CHECK_EQ(wg_uapi_read_errno(span_str("errno=0\n\n")), 0);
	CHECK_EQ(wg_uapi_read_errno(span_str("errno=x\n\n")), -EPROTO);
	CHECK_EQ(wg_uapi_read_errno(span_str("\n")), -EPROTO);
}

static void our_errors_reach_wg_as_negative_numbers_it_knows(void)
{
	struct buf out = { 0 };

	wg_uapi_write_errno(&out, -EADDRINUSE);
	wg_uapi_write_errno(&out, ERR_MALFORMED);
	wg_uapi_write_errno(&out, ERR_LIMIT);
	CHECK_STR(buf_text(&out), "errno=-98\n\nerrno=-22\n\nerrno=-7\n\n");
	buf_done(&out);
}

static unsigned index_of(const char *name)
{
	return strcmp(name, "eth0") == 0 ? 7 : 0;
}

static void zones_by_name_become_numbers_and_nothing_else_changes(void)
{
	static const char *const lines[][2] = {
		{ "endpoint=[fe80::1%eth0]:5\n", "endpoint=[fe80::1%7]:5\n" },
		{ "a=[fe80::1%eth0]:5\nb=[fe80::2%eth0]:6\n", "a=[fe80::1%7]:5\nb=[fe80::2%7]:6\n" },
		{ "endpoint=[fe80::1%3]:5\n", "endpoint=[fe80::1%3]:5\n" },
		{ "endpoint=[fe80::1%eth1]:5\n", "endpoint=[fe80::1%eth1]:5\n" },
		{ "endpoint=[fe80::1%a-name-that-is-too-long]:5\n",
		  "endpoint=[fe80::1%a-name-that-is-too-long]:5\n" },
		{ "%", "%" },
		{ "%]", "%]" },
		{ "%eth0", "%eth0" },
		{ "%\n%eth0]", "%\n%7]" },
		{ "", "" },
	};

	for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
		struct buf out = { 0 };

		wg_uapi_number_zones(span_str(lines[i][0]), index_of, &out);
		CHECK_STR(buf_text(&out), lines[i][1]);
		buf_done(&out);
	}
}

static void drops_have_a_line_each(void)
{
	uint64_t counts[WG_DROP_MAX] = { [WG_DROP_REPLAY] = 7 };
	struct buf out = { 0 };
	size_t lines = 0;

	wg_uapi_write_drops(&out, counts);
	CHECK(strstr(buf_text(&out), "\nreplay=7\n"));
	for (const char *s = buf_text(&out); (s = strchr(s, '\n')); s++)
		lines++;
	CHECK_EQ(lines, WG_DROP_MAX + 2);
	buf_done(&out);
}

static void every_truncation_of_a_set_is_taken_or_refused_in_order(void)
{
	for (size_t n = 6; n < sizeof(whole_set); n++) {
		struct wg_change c;
		int r = wg_uapi_read_set(span(whole_set + 6, n - 6), &c);

		CHECK(r == 0 || r == -EINVAL || r == -EPROTO);
		wg_change_done(&c);
	}
}

int main(void)
{
	RUN(every_key_of_a_set_is_read_and_written_back_the_same);
	RUN(values_out_of_their_range_are_refused);
	RUN(zeros_mean_none);
	RUN(operations_are_cut_at_their_empty_line);
	RUN(a_get_is_written_as_wg_wants_it_and_read_back);
	RUN(an_unset_device_says_nothing_but_success);
	RUN(a_reply_without_errno_is_a_broken_one);
	RUN(our_errors_reach_wg_as_negative_numbers_it_knows);
	RUN(zones_by_name_become_numbers_and_nothing_else_changes);
	RUN(drops_have_a_line_each);
	RUN(every_truncation_of_a_set_is_taken_or_refused_in_order);
	return check_done();
}
