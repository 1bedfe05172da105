/* The relay's small pure parts: upgrade, pages, settings, STUN limits, WebSocket frames. */
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "http/h1.h"
#include "relay/config.h"
#include "relay/keyfile.h"
#include "relay/pages.h"
#include "relay/stunsrv.h"
#include "relay/websock.h"
#include "test/check.h"

static struct http_head parse(const char *text)
{
	struct http_head head = { 0 };
	struct h1_reader r;
	struct h1_step step;

	h1_reader_init(&r, H1_REQUEST);
	CHECK_OK(h1_read(&r, span_str(text), &head, &step));
	CHECK_EQ(step.event, H1_HEAD);
	return head;
}

static void a_request_for_derp_is_understood_in_every_form(void)
{
#define GET "GET /derp HTTP/1.1\r\nHost: h\r\n"
#define WS "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
	/* clang-format off */
	static const struct {
		const char *text;
		enum relay_way want;
		bool not_ideal;
	} cases[] = {
		{ GET "Upgrade: DERP\r\nConnection: Upgrade\r\n\r\n", RELAY_WAY_DERP, false },
		{ GET "Upgrade: derp\r\nConnection: upgrade\r\nIdeal-Node: 1a\r\n\r\n", RELAY_WAY_DERP, true },
		{ GET "Upgrade: DERP\r\nConnection: Upgrade\r\nDerp-Fast-Start: 1\r\n\r\n", RELAY_WAY_FAST, false },
		{ GET "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", RELAY_WAY_DERP, false },
		{ GET WS "Sec-WebSocket-Protocol: x, derp\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", RELAY_WAY_WEBSOCKET, false },
		{ GET WS "Sec-WebSocket-Protocol: derp\r\nSec-WebSocket-Key: a\r\n\r\n", RELAY_WAY_NONE, false },
		{ GET "Upgrade: websocket\r\nSec-WebSocket-Protocol: derp\r\n\r\n", RELAY_WAY_NONE, false },
		{ GET "Upgrade: h2c\r\n\r\n", RELAY_WAY_NONE, false },
		{ GET "\r\n", RELAY_WAY_NONE, false },
		{ "POST /derp HTTP/1.1\r\nHost: h\r\nUpgrade: DERP\r\n\r\n", RELAY_WAY_NONE, false },
	};
	/* clang-format on */
#undef GET
#undef WS
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		struct http_head head = parse(cases[i].text);
		struct relay_upgrade up;

		relay_upgrade_of(&head, &up);
		CHECK(page_is_derp(&head));
		CHECK_EQ(up.way, cases[i].want);
		CHECK_EQ(up.not_ideal, cases[i].not_ideal);
	}
}

static const char *answer(const char *request, struct page_env env, struct buf *out)
{
	struct http_head head = parse(request);
	struct page p;

	(void)page_find(&head, &env, &p);
	buf_clear(out);
	page_write(out, &head, &p, true);
	page_done(&p);
	return buf_text(out);
}

static void a_challenge_is_echoed_only_if_it_is_one(void)
{
#define GET204 "GET /generate_204?t=1 HTTP/1.1\r\nHost: h\r\n"
	AUTO_DONE(buf) struct buf out = { 0 };
	struct page_env env = { 0 };
	const char *text;

	text = answer(GET204 "X-Tailscale-Challenge: ts_a.b-c:1\r\n\r\n", env, &out);
	CHECK(strstr(text, "HTTP/1.1 204 ") == text);
	CHECK(strstr(text, "X-Tailscale-Response: response ts_a.b-c:1\r\n"));
	CHECK(!strstr(text, "Content-Length"));
	text = answer(GET204 "X-Tailscale-Challenge: a b\r\n\r\n", env, &out);
	CHECK(!strstr(text, "X-Tailscale-Response"));
	text = answer(GET204 "X-Tailscale-Challenge: "
	                     "12345678901234567890123456789012345678901234567890123456789012345"
	                     "\r\n\r\n",
	              env, &out);
	CHECK(!strstr(text, "X-Tailscale-Response"));
#undef GET204
}

static void pages_are_told_apart_by_path_method_and_who_asks(void)
{
	/* clang-format off */
	static const struct {
		const char *line;
		bool trusted;
		unsigned want;
	} cases[] = {
		{ "GET /", false, 200 },
		{ "GET /nothing", false, 404 },
		{ "GET /derp/probe", false, 200 },
		{ "HEAD /derp/latency-check", false, 200 },
		{ "POST /derp/latency-check", false, 405 },
		{ "POST /generate_204", false, 204 },
		{ "GET /robots.txt", false, 200 },
		{ "GET /healthz", false, 200 },
		{ "GET /bootstrap-dns?q=x.example", false, 200 },
		{ "GET /metrics", false, 404 },
		{ "GET /debug/", false, 404 },
		{ "GET /debug/x/../y", false, 404 },
	};
	/* clang-format on */
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_DONE(buf) struct buf out = { 0 };
		AUTO_FREE char *text = str_fmt("%s HTTP/1.1\r\nHost: h\r\n\r\n", cases[i].line);
		AUTO_FREE char *want = str_fmt("HTTP/1.1 %u ", cases[i].want);

		CHECK(strstr(answer(text, (struct page_env){ .trusted = cases[i].trusted }, &out),
		             want));
	}
}

static void operators_pages_are_for_this_machine_alone(void)
{
	/* clang-format off */
	static const struct {
		const char *request;
		const char *want;
	} cases[] = {
		{ "GET /debug/ HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 " },
		{ "GET /debug/ HTTP/1.1\r\nHost: h\r\n\r\n", "key nodekey:" },
		{ "GET /debug/check HTTP/1.1\r\nHost: h\r\n\r\n", "in order" },
		{ "GET /debug/clients/ HTTP/1.1\r\nHost: h\r\n\r\n", "key role from" },
		{ "GET /debug/traffic HTTP/1.1\r\nHost: h\r\n\r\n", "key role from" },
		{ "GET /debug/vars HTTP/1.1\r\nHost: h\r\n\r\n", "\t\"fairlead_relay_clients\": 0," },
		{ "GET /debug/vars HTTP/1.1\r\nHost: h\r\n\r\n", "{reason=\\\"slow\\\"}\": 0," },
		{ "GET /debug/varz HTTP/1.1\r\nHost: h\r\n\r\n", "\nfairlead_relay_clients 0\n" },
		{ "GET /debug/nothing HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 404 " },
		{ "GET /metrics HTTP/1.1\r\nHost: h\r\n\r\n", "\nfairlead_relay_clients 0\n" },
		/* A proxy on this machine asks for somebody who may be anywhere. */
		{ "GET /debug/ HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\n\r\n", "HTTP/1.1 404 " },
		{ "GET /metrics HTTP/1.1\r\nHost: h\r\nVia: 1.1 p\r\n\r\n", "HTTP/1.1 404 " },
		{ "GET /debug/vars HTTP/1.1\r\nHost: h\r\nForwarded: for=192.0.2.1\r\n\r\n", "HTTP/1.1 404 " },
	};
	/* clang-format on */
	AUTO_WIPE(node_priv) key;
	struct rand_src rnd;
	struct ev *ev = ev_new();
	struct relay_env env = { .ev = ev, .rand = &rnd, .key = &key };

	rand_seeded(&rnd, 1);
	node_priv_new(&key);

	struct relay *r = relay_new(&env);

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_DONE(buf) struct buf out = { 0 };

		CHECK(strstr(answer(cases[i].request,
		                    (struct page_env){ .relay = r, .trusted = true }, &out),
		             cases[i].want));
	}
	relay_free(r);
	ev_free(ev);
}

static void a_key_is_made_for_us_alone_and_refused_when_others_may_read_it(void)
{
	AUTO_WIPE(node_priv) made;
	AUTO_WIPE(node_priv) read;
	char folder[] = "/tmp/fairlead-key-XXXXXX";
	uint8_t mesh[DERP_MESH_KEY];
	bool made_folder = false;

	CHECK(mkdtemp(folder) != NULL);

	AUTO_FREE char *sub = str_fmt("%s/state", folder);
	AUTO_FREE char *path = str_fmt("%s/relay.key", sub);
	AUTO_FREE char *mesh_path = str_fmt("%s/mesh.key", sub);
	struct stat st;

	CHECK_OK(keyfile_load(path, &made, &made_folder));
	CHECK(made_folder);
	CHECK(stat(path, &st) == 0 && (st.st_mode & 0777) == 0600);
	CHECK(stat(sub, &st) == 0 && (st.st_mode & 0777) == 0700);
	made_folder = false;
	CHECK_OK(keyfile_load(path, &read, &made_folder));
	CHECK(!made_folder);
	CHECK_MEM(made.b, read.b, sizeof(made.b));
	CHECK(chmod(path, 0640) == 0);
	CHECK_EQ(keyfile_load(path, &read, &made_folder), ERR_DENIED);
	CHECK_OK(file_write_atomic(mesh_path,
	                           SPAN_LIT("00112233445566778899aabbccddeeff"
	                                    "00112233445566778899aabbccddeeff\n"),
	                           0604));
	CHECK_EQ(keyfile_mesh(mesh_path, mesh), ERR_DENIED);
	CHECK(chmod(mesh_path, 0400) == 0);
	CHECK_OK(keyfile_mesh(mesh_path, mesh));
	CHECK_EQ(mesh[1], 0x11);
	(void)unlink(path);
	(void)unlink(mesh_path);
	(void)rmdir(sub);
	(void)rmdir(folder);
}

static void a_settings_file_is_read_and_flags_win(void)
{
	struct relay_config c;
	struct fault fault;
	AUTO_DONE(buf) struct buf text = { 0 };
	char a0[] = "relay", a1[] = "--stun=no", a2[] = "--hostname", a3[] = "b.example";
	char a4[] = "--self-signed", *args[] = { a0, a1, a2, a3, a4, NULL };

	relay_config_init(&c);
	CHECK(c.stun && c.packet_memory == 64 << 20 && c.write_timeout_us == 2000000);
	CHECK_OK(
		relay_config_read(&c,
	                          SPAN_LIT("# comment\n\nhostname a.example\nclient-rate = 2M # x\n"
	                                   "write-timeout 500ms\nmesh-with\n"),
	                          &fault));
	CHECK_STR(c.hostname, "a.example");
	CHECK_EQ(c.client_rate, 2 << 20);
	CHECK_EQ(c.write_timeout_us, 500000);
	CHECK_OK(relay_config_args(&c, 5, args, &text, &fault));
	CHECK_STR(c.hostname, "b.example");
	CHECK(!c.stun && c.self_signed);
	relay_config_done(&c);
}

static void a_wrong_setting_is_named_with_its_line(void)
{
	struct relay_config c;
	struct fault fault;

	relay_config_init(&c);
	CHECK_EQ(relay_config_read(&c, SPAN_LIT("stun yes\nstun-prot 1\n"), &fault), ERR_UNKNOWN);
	CHECK_EQ(fault.line, 2);
	CHECK_EQ(relay_config_read(&c, SPAN_LIT("stun perhaps\n"), &fault), ERR_MALFORMED);
	CHECK_EQ(relay_config_read(&c, SPAN_LIT("stun-port 70000x\n"), &fault), ERR_MALFORMED);
	CHECK_EQ(relay_config_read(&c, SPAN_LIT("client-rate 9999999999G\n"), &fault), ERR_LIMIT);
	relay_config_done(&c);
}

static void one_source_gets_its_rate_and_others_theirs(void)
{
	static struct stunsrv s;
	const uint64_t key[2] = { 1, 2 };
	uint8_t req[STUN_REQUEST_LEN], out[STUN_RESPONSE_MAX];
	const uint8_t txid[STUN_TXID] = { 1 };
	struct addr a = { ip4(192, 0, 2, 1), 1, 0 }, b = { ip4(192, 0, 2, 2), 1, 0 };
	mono now = { 1 };
	unsigned n = 0;

	stun_request(req, txid);
	stunsrv_init(&s, 10, key);
	for (unsigned i = 0; i < 100; i++) {
		a.port++; /* the port does not matter */
		n += stunsrv_answer(&s, now, &a, SPAN_OF(req), out) > 0;
	}
	CHECK_EQ(n, 40);
	CHECK_EQ(stunsrv_answer(&s, now, &b, SPAN_OF(req), out), 32);
	now = mono_after(now, US_PER_S);
	for (unsigned i = 0; i < 100; i++)
		n += stunsrv_answer(&s, now, &a, SPAN_OF(req), out) > 0;
	CHECK_EQ(n, 50);
	req[30] ^= 1;
	CHECK_EQ(stunsrv_answer(&s, now, &b, SPAN_OF(req), out), 0);
	CHECK_EQ(s.foreign, 1);
}

static void the_websocket_answer_is_that_of_the_rfc(void)
{
	AUTO_DONE(buf) struct buf out = { 0 };

	ws_put_accept(&out, SPAN_LIT("dGhlIHNhbXBsZSBub25jZQ=="), "derp");
	CHECK(strstr(buf_text(&out), "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
}

static void put_masked(struct buf *b, uint8_t first, const char *text)
{
	static const uint8_t mask[4] = { 1, 2, 3, 4 };
	size_t n = strlen(text);

	buf_add_u8(b, first);
	buf_add_u8(b, (uint8_t)(0x80 | n));
	buf_add(b, mask, 4);
	for (size_t i = 0; i < n; i++)
		buf_add_u8(b, (uint8_t)text[i] ^ mask[i & 3]);
}

static void messages_come_out_as_one_stream_however_they_are_cut(void)
{
	AUTO_DONE(buf) struct buf all = { 0 };

	put_masked(&all, 0x02, "he");    /* a message in two frames */
	put_masked(&all, 0x89, "ping!"); /* and a ping between them */
	put_masked(&all, 0x80, "llo");
	put_masked(&all, 0x82, "");
	put_masked(&all, 0x82, " world");
	put_masked(&all, 0x88, "");
	for (size_t piece = 1; piece <= all.n; piece++) {
		struct websock *w = websock_new();
		AUTO_DONE(buf) struct buf held = { 0 };
		char got[32] = "";
		int r = 0;

		for (size_t at = 0; at < all.n && r >= 0; at += piece) {
			struct span in, part;

			buf_add_span(&held, span_first(span_from(buf_span(&all), at), piece));
			in = buf_span(&held);
			while ((r = websock_read(w, NULL, &in, &part)) > 0) {
				memcpy(got + strlen(got), part.p, part.n);
				websock_used(w, part.n);
			}
			buf_drop(&held, held.n - in.n);
		}
		CHECK_EQ(r, ERR_CLOSED);
		CHECK_STR(got, "hello world");
		websock_free(w);
	}
}

static void frames_against_the_rfc_are_refused(void)
{
	static const uint8_t bad[][2] = {
		{ 0x82, 0x01 }, /* not masked */
		{ 0xc2, 0x81 }, /* compressed */
		{ 0x81, 0x81 }, /* text */
		{ 0x80, 0x81 }, /* goes on with nothing */
		{ 0x83, 0x81 }, /* no such kind */
		{ 0x09, 0x81 }, /* a ping in pieces */
		{ 0x89, 0xfe }, /* a long ping */
	};

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		uint8_t frame[16] = { bad[i][0], bad[i][1] };
		struct websock *w = websock_new();
		struct span in = SPAN_OF(frame), part;

		CHECK_EQ(websock_read(w, NULL, &in, &part), ERR_MALFORMED);
		websock_free(w);
	}
}

int main(void)
{
	RUN(a_request_for_derp_is_understood_in_every_form);
	RUN(a_challenge_is_echoed_only_if_it_is_one);
	RUN(pages_are_told_apart_by_path_method_and_who_asks);
	RUN(operators_pages_are_for_this_machine_alone);
	RUN(a_key_is_made_for_us_alone_and_refused_when_others_may_read_it);
	RUN(a_settings_file_is_read_and_flags_win);
	RUN(a_wrong_setting_is_named_with_its_line);
	RUN(one_source_gets_its_rate_and_others_theirs);
	RUN(the_websocket_answer_is_that_of_the_rfc);
	RUN(messages_come_out_as_one_stream_however_they_are_cut);
	RUN(frames_against_the_rfc_are_refused);
	return check_done();
}
