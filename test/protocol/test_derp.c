#include "protocol/derp_client.h"

#include "base/mem.h"
#include "test/check.h"

static struct rand_src rnd;
static struct node_priv relay_priv, node_priv_key;
static struct node_pub relay_pub, node_pub_key;

static void make_keys(void)
{
	rand_seeded(&rnd, 7);
	node_priv_new(&relay_priv);
	node_priv_new(&node_priv_key);
	node_priv_public(&relay_priv, &relay_pub);
	node_priv_public(&node_priv_key, &node_pub_key);
}

static struct derp_client_cfg config(void)
{
	return (struct derp_client_cfg){ .key = node_priv_key, .info.can_ack_pings = true };
}

/* One frame of every type, as its sender builds it. */
static void put_every_type(struct buf *b)
{
	struct box_shared shared;
	struct derp_client_info info = { .can_ack_pings = true, .has_mesh_key = true };
	struct derp_server_info server = { DERP_VERSION, 1000, 2000 };
	struct addr from = { ip4(192, 0, 2, 1), 4, 0 };

	memset(info.mesh_key, 0xab, sizeof(info.mesh_key));
	CHECK_OK(box_shared_init(&shared, node_priv_key.b, relay_pub.b));
	derp_put_server_key(b, &relay_pub);
	derp_put_client_info(b, &shared, &node_pub_key, &info, &rnd);
	derp_put_server_info(b, &shared, &server, &rnd);
	CHECK_OK(derp_put_send(b, &relay_pub, SPAN_LIT("up")));
	CHECK_OK(derp_put_recv(b, &relay_pub, SPAN_LIT("down")));
	derp_put(b, DERP_KEEP_ALIVE, span(NULL, 0));
	derp_put_note_preferred(b, true);
	derp_put_gone(b, &node_pub_key, DERP_GONE_NOT_HERE);
	derp_put_present(b, &node_pub_key, &from, DERP_PRESENT_MESH);
	CHECK_OK(derp_put_forward(b, &node_pub_key, &relay_pub, SPAN_LIT("across")));
	derp_put(b, DERP_WATCH_CONNS, span(NULL, 0));
	derp_put_close_peer(b, &node_pub_key);
	derp_put(b, DERP_PING, SPAN_LIT("12345678"));
	derp_put(b, DERP_PONG, SPAN_LIT("12345678"));
	derp_put(b, DERP_HEALTH, SPAN_LIT("ill"));
	derp_put_restarting(b, 5, 6);
}

static void the_server_key_frame_has_the_exact_bytes(void)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	struct node_pub k;
	uint8_t want[DERP_HEADER + 40] = { 1,    0,    0,    0,    40,   0x44, 0x45,
		                           0x52, 0x50, 0xf0, 0x9f, 0x94, 0x91 };

	memset(k.b, 7, KEY_LEN);
	memset(want + 13, 7, KEY_LEN);
	derp_put_server_key(&b, &k);
	CHECK_EQ(b.n, sizeof(want));
	CHECK_MEM(b.p, want, sizeof(want));
}

static void frames_come_out_whole_at_one_byte_a_call(void)
{
	AUTO_DONE(buf) struct buf all = { 0 };
	struct derp_reader r;
	struct derp_frame f;
	struct span expect;
	unsigned got = 0;

	put_every_type(&all);
	expect = buf_span(&all);
	derp_reader_init(&r, DERP_CLIENT_FRAME_MAX);
	for (size_t i = 0; i < all.n; i++) {
		struct span in = { all.p + i, 1 };
		struct derp_frame want = { 0 };

		if (derp_reader_next(&r, &in, &f) <= 0)
			continue;
		CHECK_EQ(derp_cut(&expect, DERP_CLIENT_FRAME_MAX, &want), 1);
		CHECK_EQ(f.type, want.type);
		CHECK(span_eq(f.body, want.body));
		got++;
	}
	CHECK_EQ(got, 16);
	CHECK_EQ(expect.n, 0);
	derp_reader_done(&r);
}

static void frames_come_out_whole_however_the_stream_is_cut(void)
{
	AUTO_DONE(buf) struct buf all = { 0 };

	put_every_type(&all);
	for (size_t piece = 1; piece <= all.n; piece++) {
		struct derp_reader r;
		struct derp_frame f;
		unsigned got = 0;

		derp_reader_init(&r, DERP_CLIENT_FRAME_MAX);
		for (size_t at = 0; at < all.n; at += piece) {
			struct span in = span_first(span_from(buf_span(&all), at), piece);

			while (derp_reader_next(&r, &in, &f) > 0)
				got++;
			CHECK_EQ(in.n, 0);
		}
		CHECK_EQ(got, 16);
		derp_reader_done(&r);
	}
}

static void a_frame_over_the_limit_is_refused_by_its_header(void)
{
	static const uint8_t big[DERP_HEADER] = { DERP_SEND_PACKET, 0, 1, 0, 65 };
	struct span in = SPAN_OF(big);
	struct derp_reader r;
	struct derp_frame f;

	CHECK_EQ(derp_cut(&in, DERP_SERVER_FRAME_MAX, &f), ERR_LIMIT);
	derp_reader_init(&r, DERP_SERVER_FRAME_MAX);
	for (size_t i = 0; i + 1 < sizeof(big); i++) {
		struct span one = { big + i, 1 };

		CHECK_EQ(derp_reader_next(&r, &one, &f), 0);
	}
	in = span(big + 4, 1);
	CHECK_EQ(derp_reader_next(&r, &in, &f), ERR_LIMIT);
	derp_reader_done(&r);
}

static void a_packet_of_the_greatest_length_passes_and_one_more_byte_does_not(void)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	static uint8_t packet[DERP_PACKET_MAX + 1];
	struct derp_send s;

	CHECK_OK(derp_put_send(&b, &relay_pub, span(packet, DERP_PACKET_MAX)));
	CHECK_OK(derp_send_parse(span(b.p + DERP_HEADER, b.n - DERP_HEADER), &s));
	CHECK_EQ(s.packet.n, DERP_PACKET_MAX);
	CHECK_EQ(derp_put_send(&b, &relay_pub, SPAN_OF(packet)), ERR_LIMIT);
	buf_clear(&b);
	derp_put(&b, DERP_SEND_PACKET, SPAN_OF(packet));
	buf_add(&b, packet, KEY_LEN);
	CHECK_EQ(derp_send_parse(span(b.p + DERP_HEADER, DERP_PACKET_MAX + KEY_LEN + 1), &s),
	         ERR_LIMIT);
}

static void every_truncation_of_every_body_is_harmless(void)
{
	AUTO_DONE(buf) struct buf all = { 0 };
	struct derp_frame f;

	put_every_type(&all);
	for (struct span in = buf_span(&all); derp_cut(&in, 1 << 20, &f) > 0;) {
		for (size_t n = 0; n < f.body.n; n++) {
			uint8_t *copy = mem_dup(f.body.p, n ? n : 1);
			struct span cut = { copy, n };
			struct node_pub pub;
			struct box_shared shared;
			struct derp_client_info ci;
			struct derp_server_info si;
			struct derp_present present;
			struct derp_send send;
			struct derp_forward forward;
			uint8_t reason;

			CHECK(derp_client_info_parse(cut, &relay_priv, &pub, &shared, &ci) < 0);
			CHECK_OK(box_shared_init(&shared, node_priv_key.b, relay_pub.b));
			CHECK(derp_server_info_parse(cut, &shared, &si) < 0);
			CHECK(n >= 40 || derp_server_key_parse(cut, &pub) < 0);
			CHECK((derp_send_parse(cut, &send) < 0) == (n < KEY_LEN));
			CHECK((derp_forward_parse(cut, &forward) < 0) == (n < 2 * KEY_LEN));
			CHECK((derp_present_parse(cut, &present) < 0) == (n < KEY_LEN));
			CHECK((derp_gone_parse(cut, &pub, &reason) < 0) == (n < KEY_LEN));
			free(copy);
		}
	}
}

static void every_bit_flip_of_a_login_is_refused(void)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	struct box_shared shared, got_shared;
	struct derp_client_info info = { .can_ack_pings = true }, got;
	struct node_pub client;

	CHECK_OK(box_shared_init(&shared, node_priv_key.b, relay_pub.b));
	derp_put_client_info(&b, &shared, &node_pub_key, &info, &rnd);

	uint8_t *body = b.p + DERP_HEADER;
	struct span s = { body, b.n - DERP_HEADER };

	CHECK_OK(derp_client_info_parse(s, &relay_priv, &client, &got_shared, &got));
	for (size_t bit = 0; bit < s.n * 8; bit++) {
		/* X25519 takes no notice of the top bit of a public key */
		if (bit == KEY_LEN * 8 - 1)
			continue;
		body[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK(derp_client_info_parse(s, &relay_priv, &client, &got_shared, &got) < 0);
		body[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

static int parse_json_login(const char *json, struct derp_client_info *ret)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	struct box_shared shared;
	struct node_pub client;
	uint8_t *at = buf_room(&b, KEY_LEN + BOX_OVERHEAD + strlen(json));

	CHECK_OK(box_shared_init(&shared, node_priv_key.b, relay_pub.b));
	memcpy(at, node_pub_key.b, KEY_LEN);
	box_seal(at + KEY_LEN, &shared, &rnd, span_str(json));
	return derp_client_info_parse(span(at, KEY_LEN + BOX_OVERHEAD + strlen(json)), &relay_priv,
	                              &client, &shared, ret);
}

static void the_login_json_is_read_as_clients_write_it(void)
{
	/* clang-format off */
	static const struct {
		const char *json;
		int want;
	} cases[] = {
		{ "{\"version\":2,\"CanAckPings\":true}", 0 },
		{ "{\"meshKey\":\"\",\"version\":2,\"IsProber\":false,\"Later\":[1]}", 0 },
		{ "{\"meshKey\":\"00ff\"}", ERR_MALFORMED },
		{ "{\"CanAckPings\":1}", ERR_MALFORMED },
		{ "{\"AppName\":\"derpprobe 1\"}", 0 },
		{ "{\"AppName\":\"a\\u0007\"}", ERR_MALFORMED },
		{ "{\"AppName\":\"123456789012345678901234567890123\"}", ERR_MALFORMED },
		{ "{}", 0 },
		{ "[]", ERR_MALFORMED },
		{ "", ERR_MALFORMED },
		{ "{\"version\":2} x", ERR_MALFORMED },
	};
	/* clang-format on */
	struct derp_client_info got;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++)
		CHECK_EQ(parse_json_login(cases[i].json, &got), cases[i].want);
	CHECK_OK(parse_json_login("{\"meshKey\":\"00000000000000000000000000000000"
	                          "00000000000000000000000000000001\",\"IsProber\":true}",
	                          &got));
	CHECK(got.has_mesh_key && got.is_prober && got.mesh_key[31] == 1);
	CHECK_OK(parse_json_login("{\"meshKey\":\"00000000000000000000000000000000"
	                          "00000000000000000000000000000000\"}",
	                          &got));
	CHECK(!got.has_mesh_key);
}

/* The relay's answer to what the client wrote. */
static void answer_login(struct derp_client *c, struct buf *down)
{
	struct span up = buf_span(&c->out);
	struct derp_frame f;
	struct node_pub who;
	struct box_shared shared;
	struct derp_client_info info;
	struct derp_server_info server = { .version = DERP_VERSION };

	CHECK_EQ(derp_cut(&up, DERP_CLIENT_INFO_MAX, &f), 1);
	CHECK_EQ(f.type, DERP_CLIENT_INFO);
	CHECK_OK(derp_client_info_parse(f.body, &relay_priv, &who, &shared, &info));
	CHECK(node_pub_eq(&who, &node_pub_key));
	CHECK(info.can_ack_pings);
	derp_put_server_info(down, &shared, &server, &rnd);
	buf_clear(&c->out);
}

static void a_client_waits_for_the_key_and_logs_in(void)
{
	AUTO_DONE(buf) struct buf down = { 0 };
	struct derp_client_cfg cfg = config();
	struct derp_client c;
	struct derp_event e;

	CHECK_OK(derp_client_init(&c, &cfg, &rnd));
	CHECK_EQ(c.out.n, 0);
	derp_put_server_key(&down, &relay_pub);
	struct span in = buf_span(&down);
	CHECK_EQ(derp_client_recv(&c, &in, &e), 0);
	CHECK(node_pub_eq(&c.server, &relay_pub));
	buf_clear(&down);
	answer_login(&c, &down);
	in = buf_span(&down);
	CHECK_EQ(derp_client_recv(&c, &in, &e), 1);
	CHECK_EQ(e.kind, DERP_EVENT_READY);
	CHECK(c.ready);
	derp_client_done(&c);
}

static void a_fast_start_says_who_we_are_at_once_and_passes_over_the_key(void)
{
	AUTO_DONE(buf) struct buf down = { 0 };
	struct derp_client_cfg cfg = config();
	struct derp_client c;
	struct derp_event e;

	cfg.server = relay_pub;
	CHECK_OK(derp_client_init(&c, &cfg, &rnd));
	derp_put_server_key(&down, &node_pub_key); /* not looked at any more */
	answer_login(&c, &down);
	struct span in = buf_span(&down);
	CHECK_EQ(derp_client_recv(&c, &in, &e), 1);
	CHECK_EQ(e.kind, DERP_EVENT_READY);
	CHECK_EQ(c.out.n, 0);
	derp_client_done(&c);
}

static void a_client_refuses_a_relay_that_does_not_start_with_its_key(void)
{
	AUTO_DONE(buf) struct buf down = { 0 };
	struct derp_client_cfg cfg = config();
	struct derp_client c;
	struct derp_event e;

	CHECK_OK(derp_client_init(&c, &cfg, &rnd));
	derp_put(&down, DERP_KEEP_ALIVE, span(NULL, 0));
	struct span in = buf_span(&down);
	CHECK_EQ(derp_client_recv(&c, &in, &e), ERR_MALFORMED);
	derp_client_done(&c);

	CHECK_OK(derp_client_init(&c, &cfg, &rnd));
	in = SPAN_LIT("\1\0\0\0\50DERP....................................");
	CHECK_EQ(derp_client_recv(&c, &in, &e), ERR_MALFORMED);
	derp_client_done(&c);
}

static struct derp_client ready_client(void)
{
	struct derp_client_cfg cfg = config();
	struct derp_client c;

	cfg.server = relay_pub;
	CHECK_OK(derp_client_init(&c, &cfg, &rnd));
	buf_clear(&c.out);
	return c;
}

static void a_client_tells_of_packets_peers_and_health_and_answers_pings(void)
{
	AUTO_DONE(buf) struct buf down = { 0 };
	struct addr from = { ip4(192, 0, 2, 1), 4, 0 };
	struct derp_client c = ready_client();
	struct derp_event e;

	CHECK_OK(derp_put_recv(&down, &relay_pub, SPAN_LIT("hello")));
	derp_put(&down, (enum derp_type)0x7f, SPAN_LIT("from the future"));
	derp_put(&down, DERP_RECV_PACKET, SPAN_LIT("too short"));
	derp_put(&down, DERP_PING, SPAN_LIT("12345678 and more"));
	derp_put_gone(&down, &relay_pub, DERP_GONE_NOT_HERE);
	derp_put(&down, DERP_PEER_GONE, SPAN_OF(relay_pub.b));
	derp_put_present(&down, &relay_pub, &from, DERP_PRESENT_PROBER);
	derp_put(&down, DERP_HEALTH, span(NULL, 0));
	derp_put_restarting(&down, 100, 200);
	struct span in = buf_span(&down);

	CHECK_EQ(derp_client_recv(&c, &in, &e), 1);
	CHECK(e.kind == DERP_EVENT_PACKET && span_is(e.data, "hello") &&
	      node_pub_eq(&e.peer, &relay_pub));
	CHECK_EQ(derp_client_recv(&c, &in, &e), 1);
	CHECK(e.kind == DERP_EVENT_GONE && e.reason == DERP_GONE_NOT_HERE);
	CHECK_EQ(derp_client_recv(&c, &in, &e), 1);
	CHECK(e.kind == DERP_EVENT_GONE && e.reason == DERP_GONE_DISCONNECTED);
	CHECK_EQ(derp_client_recv(&c, &in, &e), 1);
	CHECK(e.kind == DERP_EVENT_PRESENT && addr_eq(&e.present.from, &from) &&
	      e.present.flags == DERP_PRESENT_PROBER);
	CHECK_EQ(derp_client_recv(&c, &in, &e), 1);
	CHECK(e.kind == DERP_EVENT_HEALTH && e.data.n == 0);
	CHECK_EQ(derp_client_recv(&c, &in, &e), 1);
	CHECK(e.kind == DERP_EVENT_RESTARTING && e.reconnect_ms == 100 && e.try_ms == 200);
	CHECK_EQ(derp_client_recv(&c, &in, &e), 0);
	CHECK_EQ(c.out.n, DERP_HEADER + DERP_PING_LEN);
	CHECK_MEM(c.out.p,
	          "\x13\0\0\0\x08"
	          "12345678",
	          c.out.n);
	derp_client_done(&c);
}

static void disco_is_known_by_magic_and_length(void)
{
	uint8_t p[62] = { 'T', 'S', 0xf0, 0x9f, 0x92, 0xac };

	CHECK(derp_looks_disco(SPAN_OF(p)));
	CHECK(!derp_looks_disco(span(p, 61)));
	p[5] ^= 1;
	CHECK(!derp_looks_disco(SPAN_OF(p)));
}

int main(void)
{
	make_keys();
	RUN(the_server_key_frame_has_the_exact_bytes);
	RUN(frames_come_out_whole_at_one_byte_a_call);
	RUN(frames_come_out_whole_however_the_stream_is_cut);
	RUN(a_frame_over_the_limit_is_refused_by_its_header);
	RUN(a_packet_of_the_greatest_length_passes_and_one_more_byte_does_not);
	RUN(every_truncation_of_every_body_is_harmless);
	RUN(every_bit_flip_of_a_login_is_refused);
	RUN(the_login_json_is_read_as_clients_write_it);
	RUN(a_client_waits_for_the_key_and_logs_in);
	RUN(a_fast_start_says_who_we_are_at_once_and_passes_over_the_key);
	RUN(a_client_refuses_a_relay_that_does_not_start_with_its_key);
	RUN(a_client_tells_of_packets_peers_and_health_and_answers_pings);
	RUN(disco_is_known_by_magic_and_length);
	return check_done();
}
