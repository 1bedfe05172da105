#include "relay/hub.h"

#include <errno.h>

#include "base/mem.h"
#include "test/check.h"

/* A connection whose socket has room for `room` bytes, and keeps what it was given. */
struct fake {
	struct hub_client c;
	struct buf got;
	size_t room;
	bool lost;
	unsigned writes;
	size_t read; /* of got, by next() */
};

static ssize_t fake_write(struct hub_client *c, const struct iovec *iov, size_t n)
{
	struct fake *f = CONTAINER_OF(c, struct fake, c);
	size_t taken = 0;

	f->writes++;
	if (f->lost)
		return -ECONNRESET;
	for (size_t i = 0; i < n; i++) {
		size_t k = iov[i].iov_len < f->room ? iov[i].iov_len : f->room;

		buf_add(&f->got, iov[i].iov_base, k);
		f->room -= k;
		taken += k;
	}
	return (ssize_t)taken;
}

static struct hub hub;
static mono now;
static struct rand_src rnd;

static void start(size_t pool_max, uint32_t client_max)
{
	struct hub_cfg cfg = { pool_max, client_max, 1 << 20, fake_write };
	struct node_pub self = { { 0xff } };

	now = (mono){ 1000 * US_PER_S };
	hub_init(&hub, &cfg, &self);
}

static void start_default(void)
{
	start(HUB_POOL_DEFAULT, HUB_CLIENT_DEFAULT);
}

static struct node_pub key(uint8_t n)
{
	return (struct node_pub){ { n, 1, 2, 3 } };
}

static void join(struct fake *f, enum hub_role role, uint8_t n)
{
	struct node_pub k = key(n);

	memset(f, 0, sizeof(*f));
	f->room = SIZE_MAX / 2;
	hub_join(&hub, &f->c, role, &k, now);
}

static void leave(struct fake *f)
{
	hub_leave(&hub, &f->c, now);
	buf_done(&f->got);
}

static void stop(struct fake *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		leave(&v[i]);
	CHECK_EQ(hub.pool.used, 0);
	CHECK_EQ(hub.stash_pool.used, 0);
	CHECK_EQ(hub.peers.n, 0);
	CHECK_EQ(hub.edges.n, 0);
	hub_done(&hub);
}

static int recv_buf(struct fake *f, struct buf *b)
{
	int r = hub_recv(&hub, &f->c, buf_span(b), now);

	buf_clear(b);
	return r;
}

static void send_to(struct fake *from, uint8_t to, struct span packet)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	struct node_pub dst = key(to);

	CHECK_OK(derp_put_send(&b, &dst, packet));
	CHECK_OK(recv_buf(from, &b));
}

static struct span disco(uint8_t mark)
{
	static uint8_t p[80];

	memcpy(p, (uint8_t[]){ 'T', 'S', 0xf0, 0x9f, 0x92, 0xac }, 6);
	p[79] = mark;
	return SPAN_OF(p);
}

/* The next frame a connection was sent; type 0: none. */
static struct derp_frame next(struct fake *f)
{
	struct span in = span_from(buf_span(&f->got), f->read);
	struct derp_frame frame = { 0 };

	hub_flush(&hub);
	in = span_from(buf_span(&f->got), f->read);
	if (derp_cut(&in, DERP_CLIENT_FRAME_MAX, &frame) > 0)
		f->read = f->got.n - in.n;
	return frame;
}

static struct span packet_of(struct derp_frame f)
{
	return span_from(f.body, f.type == DERP_FORWARD_PACKET ? 2 * KEY_LEN : KEY_LEN);
}

static bool from_key(struct derp_frame f, uint8_t n)
{
	struct node_pub k = key(n);

	return f.body.n >= KEY_LEN && memcmp(f.body.p, k.b, KEY_LEN) == 0;
}

static void a_packet_comes_out_with_its_senders_key(void)
{
	struct fake v[2];
	struct derp_frame f;

	start_default();
	join(&v[0], HUB_NODE, 1);
	join(&v[1], HUB_NODE, 2);
	send_to(&v[0], 2, SPAN_LIT("hello"));
	f = next(&v[1]);
	CHECK_EQ(f.type, DERP_RECV_PACKET);
	CHECK(from_key(f, 1) && span_is(packet_of(f), "hello"));
	CHECK_EQ(next(&v[0]).type, 0);
	stop(v, 2);
}

static void packets_of_one_turn_leave_in_one_write(void)
{
	struct fake v[2];

	start_default();
	join(&v[0], HUB_NODE, 1);
	join(&v[1], HUB_NODE, 2);
	for (unsigned i = 0; i < 20; i++)
		send_to(&v[0], 2, SPAN_LIT("hello"));
	hub_flush(&hub);
	CHECK_EQ(v[1].writes, 1);
	for (unsigned i = 0; i < 20; i++)
		CHECK_EQ(next(&v[1]).type, DERP_RECV_PACKET);
	stop(v, 2);
}

static void a_stream_may_be_cut_anywhere(void)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	struct node_pub dst = key(2);
	static uint8_t big[DERP_PACKET_MAX];

	for (unsigned i = 0; i < 3; i++)
		CHECK_OK(derp_put_send(&b, &dst, SPAN_LIT("hello")));
	CHECK_OK(derp_put_send(&b, &dst, SPAN_OF(big)));
	CHECK_OK(derp_put_send(&b, &dst, SPAN_LIT("end")));
	for (size_t piece = 1; piece < b.n; piece = piece < 200 ? piece + 1 : piece * 2) {
		struct fake v[2];
		struct derp_frame f;

		start_default();
		join(&v[0], HUB_NODE, 1);
		join(&v[1], HUB_NODE, 2);
		for (size_t at = 0; at < b.n; at += piece)
			CHECK_OK(hub_recv(&hub, &v[0].c,
			                  span_first(span_from(buf_span(&b), at), piece), now));
		for (unsigned i = 0; i < 3; i++)
			CHECK(span_is(packet_of(next(&v[1])), "hello"));
		CHECK_EQ(packet_of(next(&v[1])).n, sizeof(big));
		f = next(&v[1]);
		CHECK(span_is(packet_of(f), "end"));
		stop(v, 2);
	}
}

static void frames_that_break_the_rules_are_told(void)
{
	/* clang-format off */
	static const struct {
		uint8_t type;
		uint32_t n;
		int want;
	} cases[] = {
		{ DERP_SEND_PACKET, 31, ERR_SHORT },
		{ DERP_SEND_PACKET, 32, 0 },
		{ DERP_SEND_PACKET, 32 + 65537, ERR_LIMIT },
		{ DERP_SEND_PACKET, 1 << 20, ERR_LIMIT },
		{ DERP_NOTE_PREFERRED, 0, ERR_MALFORMED },
		{ DERP_NOTE_PREFERRED, 2, ERR_MALFORMED },
		{ DERP_PING, 7, ERR_MALFORMED },
		{ DERP_PING, 8, 0 },
		{ DERP_PING, 1000, 0 },
		{ DERP_PING, 1001, ERR_MALFORMED },
		{ DERP_PONG, 3, 0 },
		{ DERP_WATCH_CONNS, 0, ERR_DENIED },
		{ DERP_WATCH_CONNS, 1, ERR_MALFORMED },
		{ DERP_CLOSE_PEER, 32, ERR_DENIED },
		{ DERP_CLOSE_PEER, 31, ERR_MALFORMED },
		{ DERP_FORWARD_PACKET, 64, ERR_DENIED },
		{ 0x7f, 5000, 0 },
		{ 0x7f, 70000, ERR_LIMIT },
	};
	/* clang-format on */
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		AUTO_FREE uint8_t *frame = mem_zalloc(1, DERP_HEADER + cases[i].n);
		struct fake v[1];

		start_default();
		join(&v[0], HUB_NODE, 1);
		derp_put_header(frame, cases[i].type, cases[i].n);
		CHECK_EQ(hub_recv(&hub, &v[0].c, span(frame, DERP_HEADER + cases[i].n), now),
		         cases[i].want);
		stop(v, 1);
	}
}

static void only_disco_to_a_stranger_is_answered_and_not_too_often(void)
{
	struct fake v[1];
	struct derp_frame f;
	unsigned told = 0;

	start_default();
	join(&v[0], HUB_NODE, 1);
	send_to(&v[0], 9, SPAN_LIT("data"));
	CHECK_EQ(next(&v[0]).type, 0);
	for (unsigned i = 0; i < 10; i++)
		send_to(&v[0], 9, disco(0));
	while ((f = next(&v[0])).type) {
		CHECK_EQ(f.type, DERP_PEER_GONE);
		CHECK(from_key(f, 9) && f.body.p[KEY_LEN] == DERP_GONE_NOT_HERE);
		told++;
	}
	CHECK_EQ(told, 3);
	now = mono_after(now, US_PER_S);
	for (unsigned i = 0; i < 10; i++)
		send_to(&v[0], 9, disco(0));
	CHECK_EQ(next(&v[0]).type, DERP_PEER_GONE);
	CHECK_EQ(next(&v[0]).type, 0);
	CHECK_EQ(hub.count.drops[HUB_DROP_UNKNOWN_DEST][HUB_DISCO], 20);
	CHECK_EQ(hub.count.drops[HUB_DROP_UNKNOWN_DEST][HUB_DATA], 1);
	stop(v, 1);
}

static void of_two_connections_of_a_key_the_one_heard_last_is_used(void)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	struct fake v[3];

	start_default();
	join(&v[0], HUB_NODE, 1);
	join(&v[1], HUB_NODE, 2);
	join(&v[2], HUB_NODE, 2);
	CHECK_EQ(hub.n_dup_keys, 1);
	send_to(&v[0], 2, SPAN_LIT("newest"));
	CHECK_EQ(next(&v[1]).type, 0);
	CHECK(span_is(packet_of(next(&v[2])), "newest"));

	derp_put_note_preferred(&b, true);
	CHECK_OK(recv_buf(&v[1], &b));
	send_to(&v[0], 2, SPAN_LIT("back"));
	CHECK(span_is(packet_of(next(&v[1])), "back"));
	CHECK_EQ(next(&v[2]).type, 0);

	leave(&v[1]);
	CHECK_EQ(hub.n_dup_keys, 0);
	CHECK_EQ(next(&v[0]).type, 0);
	send_to(&v[0], 2, SPAN_LIT("rest"));
	CHECK(span_is(packet_of(next(&v[2])), "rest"));
	v[1] = v[2];
	leave(&v[2]);
	memset(&v[1], 0, sizeof(v[1]));
	stop(v, 1);
}

static void those_who_heard_a_peer_are_told_once_that_it_left(void)
{
	struct fake v[3];
	struct derp_frame f;

	start_default();
	for (uint8_t i = 0; i < 3; i++)
		join(&v[i], HUB_NODE, i);
	send_to(&v[0], 1, SPAN_LIT("a"));
	send_to(&v[0], 1, SPAN_LIT("b"));
	(void)next(&v[1]);
	(void)next(&v[1]);
	leave(&v[0]);
	f = next(&v[1]);
	CHECK_EQ(f.type, DERP_PEER_GONE);
	CHECK(from_key(f, 0) && f.body.p[KEY_LEN] == DERP_GONE_DISCONNECTED);
	CHECK_EQ(next(&v[1]).type, 0);
	CHECK_EQ(next(&v[2]).type, 0);
	stop(v + 1, 2);
}

static void a_watcher_hears_of_everybody_and_of_who_comes_and_goes(void)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	struct fake v[4];
	struct derp_present p;
	struct derp_frame f;
	unsigned seen = 0;

	start_default();
	join(&v[0], HUB_MESH, 1);
	join(&v[1], HUB_NODE, 2);
	derp_put(&b, DERP_WATCH_CONNS, span(NULL, 0));
	CHECK_OK(recv_buf(&v[0], &b));
	while ((f = next(&v[0])).type) {
		CHECK_EQ(f.type, DERP_PEER_PRESENT);
		CHECK_OK(derp_present_parse(f.body, &p));
		CHECK_EQ(p.flags, p.peer.b[0] == 1 ? DERP_PRESENT_MESH : DERP_PRESENT_REGULAR);
		seen++;
	}
	CHECK_EQ(seen, 2);
	join(&v[2], HUB_NODE, 3);
	join(&v[3], HUB_NODE, 3);
	CHECK_EQ(next(&v[0]).type, DERP_PEER_PRESENT);
	CHECK_EQ(next(&v[0]).type, DERP_PEER_PRESENT);
	leave(&v[3]);
	CHECK_EQ(next(&v[0]).type, 0); /* the key is still here */
	leave(&v[2]);
	CHECK_EQ(next(&v[0]).type, DERP_PEER_GONE);
	stop(v, 2);
}

static void a_packet_for_a_neighbours_peer_is_forwarded_there_and_no_further(void)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	struct node_pub far = key(9), near_key = key(1);
	struct fake v[3]; /* a node, our link to the neighbour, the neighbour's connection to us */
	struct derp_forward fwd;
	struct derp_frame f;

	start_default();
	join(&v[0], HUB_NODE, 1);
	join(&v[1], HUB_LINK, 0);
	join(&v[2], HUB_MESH, 7);
	hub_link_present(&hub, &v[1].c, &far);
	hub_link_present(&hub, &v[1].c, &far);
	send_to(&v[0], 9, SPAN_LIT("out"));
	f = next(&v[1]);
	CHECK_EQ(f.type, DERP_FORWARD_PACKET);
	CHECK_OK(derp_forward_parse(f.body, &fwd));
	CHECK(node_pub_eq(fwd.src, &near_key) && node_pub_eq(fwd.dst, &far));
	CHECK(span_is(fwd.packet, "out"));

	CHECK_OK(derp_put_forward(&b, &far, &near_key, SPAN_LIT("in")));
	CHECK_OK(recv_buf(&v[2], &b));
	f = next(&v[0]);
	CHECK(f.type == DERP_RECV_PACKET && from_key(f, 9) && span_is(packet_of(f), "in"));

	/* for a key that is not here: dropped, even if another neighbour has it */
	CHECK_OK(derp_put_forward(&b, &near_key, &far, disco(1)));
	CHECK_OK(recv_buf(&v[2], &b));
	CHECK_EQ(next(&v[1]).type, 0);
	CHECK_EQ(next(&v[2]).type, DERP_PEER_GONE);

	/* the far peer leaves: who heard it is told */
	hub_link_gone(&hub, &v[1].c, &far);
	f = next(&v[0]);
	CHECK(f.type == DERP_PEER_GONE && from_key(f, 9));
	stop(v, 3);
}

static void of_two_neighbours_the_first_to_know_a_key_is_used_until_it_is_lost(void)
{
	struct node_pub far = key(9);
	struct fake v[3];

	start_default();
	join(&v[0], HUB_NODE, 1);
	join(&v[1], HUB_LINK, 0);
	join(&v[2], HUB_LINK, 0);
	hub_link_present(&hub, &v[1].c, &far);
	hub_link_present(&hub, &v[2].c, &far);
	send_to(&v[0], 9, SPAN_LIT("x"));
	CHECK_EQ(next(&v[1]).type, DERP_FORWARD_PACKET);
	leave(&v[1]);
	send_to(&v[0], 9, SPAN_LIT("x"));
	CHECK_EQ(next(&v[2]).type, DERP_FORWARD_PACKET);
	leave(&v[2]);
	CHECK_EQ(hub.n_peers_remote, 0);
	stop(v, 1);
}

static void close_peer_dooms_every_connection_of_a_key(void)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	struct node_pub k = key(2);
	struct fake v[3];

	start_default();
	join(&v[0], HUB_MESH, 1);
	join(&v[1], HUB_NODE, 2);
	join(&v[2], HUB_NODE, 2);
	derp_put_close_peer(&b, &k);
	CHECK_OK(recv_buf(&v[0], &b));
	CHECK(hub_next_doomed(&hub) && hub_next_doomed(&hub) && !hub_next_doomed(&hub));
	CHECK(v[1].c.doomed && v[2].c.doomed);
	stop(v, 3);
}

static void one_pong_answers_a_flood_of_pings(void)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	struct fake v[1];
	struct derp_frame f;

	start_default();
	join(&v[0], HUB_NODE, 1);
	derp_put(&b, DERP_PING, SPAN_LIT("12345678 and more"));
	derp_put(&b, DERP_PING, SPAN_LIT("abcdefgh"));
	CHECK_OK(recv_buf(&v[0], &b));
	f = next(&v[0]);
	CHECK(f.type == DERP_PONG && span_is(f.body, "12345678"));
	CHECK_EQ(next(&v[0]).type, 0);
	stop(v, 1);
}

static void a_socket_with_little_room_loses_no_byte_and_no_order(void)
{
	struct fake v[2];
	uint8_t i = 0, seen = 0;
	struct derp_frame f;

	start_default();
	join(&v[0], HUB_NODE, 1);
	join(&v[1], HUB_NODE, 2);
	v[1].room = 0;
	for (i = 0; i < 200; i++)
		send_to(&v[0], 2, span((uint8_t[]){ i, 0, 0 }, 3));
	for (unsigned turn = 0; turn < 20000 && seen < 200; turn++) {
		v[1].room = 1 + rand_src_below(&rnd, 50);
		if (turn % 7 == 0) {
			AUTO_DONE(buf) struct buf b = { 0 };

			derp_put(&b, DERP_PING, SPAN_LIT("12345678"));
			CHECK_OK(recv_buf(&v[1], &b));
		}
		hub_writable(&hub, &v[1].c);
		while ((f = next(&v[1])).type) {
			if (f.type == DERP_RECV_PACKET)
				CHECK_EQ(packet_of(f).p[0], seen++);
			else
				CHECK_EQ(f.type, DERP_PONG);
		}
	}
	CHECK_EQ(seen, 200);
	stop(v, 2);
}

static void a_full_queue_drops_the_oldest_of_the_longest_line(void)
{
	static uint8_t big[1000];
	struct fake v[3];
	struct derp_frame f;
	unsigned greedy = 0, light = 0;

	start(HUB_POOL_DEFAULT, 20000);
	for (uint8_t i = 0; i < 3; i++)
		join(&v[i], HUB_NODE, i);
	v[2].room = 0;
	send_to(&v[0], 2, SPAN_LIT("blocks"));
	hub_flush(&hub);
	CHECK(v[2].c.blocked);
	for (uint8_t i = 0; i < 5; i++)
		send_to(&v[1], 2, span((uint8_t[]){ i }, 1));
	for (unsigned i = 0; i < 500; i++) {
		big[0] = (uint8_t)i;
		send_to(&v[0], 2, SPAN_OF(big));
	}
	CHECK(v[2].c.queued <= 20000);
	v[2].room = SIZE_MAX / 2;
	hub_writable(&hub, &v[2].c);
	while ((f = next(&v[2])).type) {
		if (from_key(f, 1))
			CHECK_EQ(packet_of(f).p[0], light++);
		else if (packet_of(f).n == sizeof(big))
			CHECK_EQ(packet_of(f).p[0], (uint8_t)(500 - 19 + (int)greedy++));
	}
	CHECK_EQ(light, 5);
	CHECK_EQ(greedy, 19);
	CHECK_EQ(hub.count.drops[HUB_DROP_QUEUE_HEAD][HUB_DATA], 481);
	stop(v, 3);
}

static void disco_is_dropped_only_for_disco(void)
{
	static uint8_t big[1000];
	struct fake v[2];
	struct derp_frame f;
	unsigned kept = 0;

	start(HUB_POOL_DEFAULT, 5000);
	join(&v[0], HUB_NODE, 0);
	join(&v[1], HUB_NODE, 1);
	v[1].room = 0;
	send_to(&v[0], 1, SPAN_LIT("blocks"));
	hub_flush(&hub);
	for (uint8_t i = 0; i < 20; i++)
		send_to(&v[0], 1, disco(i));
	for (unsigned i = 0; i < 50; i++)
		send_to(&v[0], 1, SPAN_OF(big));
	CHECK_EQ(hub.count.drops[HUB_DROP_QUEUE_HEAD][HUB_DISCO], 0);
	for (uint8_t i = 20; i < 100; i++)
		send_to(&v[0], 1, disco(i));
	CHECK(hub.count.drops[HUB_DROP_QUEUE_HEAD][HUB_DISCO] > 0);
	send_to(&v[0], 1, SPAN_OF(big));
	CHECK_EQ(hub.count.drops[HUB_DROP_QUEUE_TAIL][HUB_DATA], 1);
	v[1].room = SIZE_MAX / 2;
	hub_writable(&hub, &v[1].c);
	while ((f = next(&v[1])).type)
		kept += packet_of(f).n == 80;
	CHECK(kept > 30);
	stop(v, 2);
}

/* Bytes each of two senders gets through a bottleneck that one of them floods. */
static void a_flood_leaves_a_light_sender_its_share(void)
{
	static uint8_t big[1200];
	struct fake v[3];
	struct derp_frame f;
	unsigned heard = 0;

	start_default();
	for (uint8_t i = 0; i < 3; i++)
		join(&v[i], HUB_NODE, i);
	v[2].room = 0;
	for (unsigned turn = 0; turn < 1000; turn++) {
		for (unsigned i = 0; i < 20; i++)
			send_to(&v[0], 2, SPAN_OF(big));
		send_to(&v[1], 2, SPAN_LIT("light"));
		v[2].room += 3000; /* a seventh of what is sent */
		hub_writable(&hub, &v[2].c);
		hub_flush(&hub);
	}
	while ((f = next(&v[2])).type)
		heard += from_key(f, 1);
	CHECK(heard >= 990);
	stop(v, 3);
}

static void slow_readers_cannot_take_the_memory_of_those_who_keep_up(void)
{
	enum { SLOW = 100 };
	static struct fake v[SLOW + 2];
	static uint8_t big[60000];
	struct derp_frame f;

	start(4 << 20, HUB_CLIENT_DEFAULT);
	for (uint8_t i = 0; i < SLOW + 2; i++) {
		join(&v[i], HUB_NODE, i);
		if (i < SLOW)
			v[i].room = 10;
	}
	for (unsigned turn = 0; turn < 5; turn++) {
		for (uint8_t i = 0; i < SLOW; i++)
			send_to(&v[SLOW], i, turn % 2 ? SPAN_OF(big) : SPAN_LIT("small"));
		hub_flush(&hub);
	}
	CHECK(hub.pool.used <= (4 << 20) + HUB_STAGE_RESERVE);
	CHECK(hub.count.drops[HUB_DROP_POOL][HUB_DATA] > 0);
	send_to(&v[SLOW], SLOW + 1, SPAN_LIT("still here"));
	f = next(&v[SLOW + 1]);
	CHECK(f.type == DERP_RECV_PACKET && span_is(packet_of(f), "still here"));
	/* and the slow ones get whole frames once they read */
	for (uint8_t i = 0; i < SLOW; i++) {
		v[i].room = SIZE_MAX / 2;
		hub_writable(&hub, &v[i].c);
		while ((f = next(&v[i])).type)
			CHECK(packet_of(f).n == 5 || packet_of(f).n == sizeof(big));
		CHECK_EQ(v[i].read, v[i].got.n);
	}
	stop(v, SLOW + 2);
}

static void a_lost_socket_dooms_its_client(void)
{
	struct fake v[2];

	start_default();
	join(&v[0], HUB_NODE, 1);
	join(&v[1], HUB_NODE, 2);
	v[1].lost = true;
	send_to(&v[0], 2, SPAN_LIT("x"));
	hub_flush(&hub);
	CHECK(hub_next_doomed(&hub) == &v[1].c);
	CHECK_EQ(v[1].c.doomed, -ECONNRESET);
	send_to(&v[0], 2, SPAN_LIT("x"));
	hub_flush(&hub);
	CHECK_EQ(v[1].writes, 1);
	stop(v, 2);
}

static void unfinished_frames_are_bounded_and_the_longest_gives_way(void)
{
	enum { N = HUB_STASH_MAX / POOL_LARGE_BYTES + 2 };
	struct fake *v = mem_new_n(struct fake, N);
	static const uint8_t begun[DERP_HEADER + 1] = { DERP_SEND_PACKET, 0, 0, 0xff, 0, 1 };

	start_default();
	for (unsigned i = 0; i < N; i++) {
		join(&v[i], HUB_NODE, (uint8_t)i);
		CHECK_OK(hub_recv(&hub, &v[i].c, SPAN_OF(begun), now));
	}
	CHECK_EQ(hub.count.half_frames_evicted, 2);
	CHECK(hub_next_doomed(&hub) == &v[0].c);
	CHECK(hub_next_doomed(&hub) == &v[1].c);
	CHECK_EQ(hub_recv(&hub, &v[0].c, SPAN_OF(begun), now), ERR_LIMIT);
	stop(v, N);
	free(v);
}

static bool excuse_second(struct hub_client *c)
{
	return node_pub_eq(hub_key(c), &(struct node_pub){ { 2, 1, 2, 3 } });
}

static void a_frame_that_is_never_finished_dooms_unless_its_sender_is_held(void)
{
	static const uint8_t begun[DERP_HEADER + 1] = { DERP_SEND_PACKET, 0, 0, 0xff, 0, 1 };
	struct fake v[3];

	start_default();
	for (uint8_t i = 0; i < 3; i++) {
		join(&v[i], HUB_NODE, (uint8_t)(i + 1));
		CHECK_OK(hub_recv(&hub, &v[i].c, SPAN_OF(begun), now));
		now = mono_after(now, US_PER_S);
	}
	CHECK(hub_has_unfinished(&hub));
	hub.now = now;
	hub_doom_unfinished(&hub, mono_after(now, -US_PER_S), excuse_second);
	CHECK(hub_next_doomed(&hub) == &v[0].c);
	CHECK(!hub_next_doomed(&hub));
	CHECK_EQ(v[0].c.doomed, ERR_TIMEOUT);
	/* For the second, time has begun anew. */
	hub.now = now = mono_after(now, 100);
	hub_doom_unfinished(&hub, mono_after(now, -50), excuse_second);
	CHECK(hub_next_doomed(&hub) == &v[2].c);
	CHECK(!hub_next_doomed(&hub));
	stop(v, 3);
	CHECK(!hub_has_unfinished(&hub));
}

static void home_is_counted(void)
{
	AUTO_DONE(buf) struct buf b = { 0 };
	struct fake v[1];

	start_default();
	join(&v[0], HUB_NODE, 1);
	derp_put_note_preferred(&b, true);
	derp_put_note_preferred(&b, true);
	CHECK_OK(recv_buf(&v[0], &b));
	CHECK_EQ(hub.n_home, 1);
	leave(&v[0]);
	CHECK_EQ(hub.n_home, 0);
	stop(v, 0);
}

/* Anything goes, in any order, and nothing is left over. */
static void a_long_random_run_keeps_its_books(void)
{
	enum { N = 12 };
	static struct fake v[N];
	bool in[N] = { 0 };
	static uint8_t payload[3000];

	start(256 << 10, 30000);
	for (unsigned step = 0; step < 60000; step++) {
		size_t i = rand_src_below(&rnd, N);
		uint8_t to = (uint8_t)rand_src_below(&rnd, 8);
		struct node_pub k = key(to);

		if (!in[i]) {
			static const enum hub_role roles[] = { HUB_NODE, HUB_NODE, HUB_MESH,
				                               HUB_LINK };

			join(&v[i], roles[rand_src_below(&rnd, 4)], (uint8_t)(i % 8));
			v[i].room = rand_src_below(&rnd, 2) ? SIZE_MAX / 4 : 1000;
			in[i] = true;
			continue;
		}
		switch (rand_src_below(&rnd, 40)) {
		case 0:
			leave(&v[i]);
			in[i] = false;
			break;
		case 1:
			v[i].room += 5000;
			hub_writable(&hub, &v[i].c);
			break;
		case 2:
			if (v[i].c.role == HUB_LINK)
				hub_link_present(&hub, &v[i].c, &k);
			break;
		case 3:
			if (v[i].c.role == HUB_LINK)
				hub_link_gone(&hub, &v[i].c, &k);
			break;
		case 4:
			hub_flush(&hub);
			break;
		case 5: {
			AUTO_DONE(buf) struct buf b = { 0 };
			struct node_pub s = key((uint8_t)rand_src_below(&rnd, 30));

			if (v[i].c.role != HUB_MESH)
				break;
			derp_put(&b, DERP_WATCH_CONNS, span(NULL, 0));
			CHECK_OK(derp_put_forward(&b, &s, &k, SPAN_LIT("fwd")));
			CHECK_OK(recv_buf(&v[i], &b));
			break;
		}
		default:
			if (v[i].c.role != HUB_LINK)
				send_to(&v[i], to,
				        rand_src_below(&rnd, 5)
				                ? span(payload, rand_src_below(&rnd, 3000))
				                : disco(0));
		}
		buf_clear(&v[i].got);
		if (step % 64 == 0)
			CHECK(!hub_check(&hub));
	}
	for (unsigned i = 0; i < N; i++) {
		if (in[i])
			leave(&v[i]);
	}
	stop(v, 0);
}

int main(void)
{
	rand_seeded(&rnd, 3);
	RUN(a_packet_comes_out_with_its_senders_key);
	RUN(packets_of_one_turn_leave_in_one_write);
	RUN(a_stream_may_be_cut_anywhere);
	RUN(frames_that_break_the_rules_are_told);
	RUN(only_disco_to_a_stranger_is_answered_and_not_too_often);
	RUN(of_two_connections_of_a_key_the_one_heard_last_is_used);
	RUN(those_who_heard_a_peer_are_told_once_that_it_left);
	RUN(a_watcher_hears_of_everybody_and_of_who_comes_and_goes);
	RUN(a_packet_for_a_neighbours_peer_is_forwarded_there_and_no_further);
	RUN(of_two_neighbours_the_first_to_know_a_key_is_used_until_it_is_lost);
	RUN(close_peer_dooms_every_connection_of_a_key);
	RUN(one_pong_answers_a_flood_of_pings);
	RUN(a_socket_with_little_room_loses_no_byte_and_no_order);
	RUN(a_full_queue_drops_the_oldest_of_the_longest_line);
	RUN(disco_is_dropped_only_for_disco);
	RUN(a_flood_leaves_a_light_sender_its_share);
	RUN(slow_readers_cannot_take_the_memory_of_those_who_keep_up);
	RUN(a_lost_socket_dooms_its_client);
	RUN(unfinished_frames_are_bounded_and_the_longest_gives_way);
	RUN(a_frame_that_is_never_finished_dooms_unless_its_sender_is_held);
	RUN(home_is_counted);
	RUN(a_long_random_run_keeps_its_books);
	return check_done();
}
