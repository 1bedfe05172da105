#include "platform/stream.h"

#include <stdlib.h>
#include <unistd.h>

#include "base/mem.h"
#include "test/check.h"
#include "test/platform/stream_pair.h"

static struct pair p;

static void what_is_written_arrives(void)
{
	pair_open(&p, NULL);
	CHECK_EQ(stream_write(p.a.s, SPAN_LIT("hello ")), 0);
	CHECK_EQ(stream_write(p.a.s, SPAN_LIT("there")), 0);
	pair_settle(&p);
	CHECK_STR(buf_text(&p.b.got), "hello there");
	CHECK_EQ(stream_count(p.a.s).out, 11);
	CHECK_EQ(stream_count(p.b.s).in, 11);
	pair_close(&p);
}

static void unread_bytes_come_again_in_front_of_the_next(void)
{
	pair_open(&p, NULL);
	p.b.leave_under = 5;
	CHECK_OK(stream_write(p.a.s, SPAN_LIT("abc")));
	pair_settle(&p);
	CHECK_EQ(p.b.got.n, 0);
	CHECK_OK(stream_write(p.a.s, SPAN_LIT("de")));
	pair_settle(&p);
	CHECK_STR(buf_text(&p.b.got), "abcde");
	pair_close(&p);
}

static void a_reader_that_takes_one_byte_a_call_gets_all(void)
{
	pair_open(&p, NULL);
	p.b.use_at_most = 1;
	for (int i = 0; i < 50; i++)
		CHECK_OK(stream_write(p.a.s, SPAN_LIT("0123456789")));
	pair_settle(&p);
	CHECK_EQ(p.b.got.n, 500);
	pair_close(&p);
}

static void a_message_longer_than_in_max_closes(void)
{
	static const struct stream_cfg cfg = { .in_max = 100 };
	uint8_t bytes[200] = { 0 };

	pair_open(&p, &cfg);
	p.b.leave_under = 1000;
	CHECK_OK(stream_write(p.a.s, span(bytes, 99)));
	pair_settle(&p);
	CHECK_EQ(p.b.closes, 0);
	CHECK_OK(stream_write(p.a.s, span(bytes, 1)));
	pair_settle(&p);
	CHECK_EQ(p.b.why, ERR_LIMIT);
	CHECK_EQ(p.a.why, ERR_CLOSED);
	pair_close(&p);
}

static void a_paused_reader_pushes_back_until_the_writer_is_refused(void)
{
	static const struct stream_cfg cfg = { .out_max = 64 << 10 };
	uint8_t bytes[4096] = { 7 };
	size_t sent = 0;
	int r;

	pair_open(&p, &cfg);
	stream_pause(p.b.s);
	while ((r = stream_write(p.a.s, span(bytes, sizeof(bytes)))) >= 0)
		sent += sizeof(bytes);
	CHECK_EQ(r, ERR_LIMIT);
	CHECK(stream_queued(p.a.s) > (60 << 10));
	pair_settle(&p);
	CHECK_EQ(p.b.got.n, 0);
	CHECK_EQ(p.a.drains, 0);
	stream_resume(p.b.s);
	pair_settle(&p);
	CHECK_EQ(p.b.got.n, sent);
	CHECK_EQ(p.a.drains, 1);
	pair_close(&p);
}

static void try_write_takes_what_fits_and_says_when_there_is_room(void)
{
	AUTO_FREE uint8_t *bytes = mem_zalloc(1, 1 << 20);
	struct iovec iov = { bytes, 1 << 20 };

	pair_open(&p, NULL);
	stream_pause(p.b.s);

	int first = stream_try_write(p.a.s, &iov, 1);

	CHECK(first > 0 && first < 1 << 20);
	CHECK_EQ(stream_queued(p.a.s), 0);
	pair_settle(&p);
	CHECK_EQ(p.a.drains, 0);
	stream_resume(p.b.s);
	pair_settle(&p);
	CHECK_EQ(p.a.drains, 1);
	CHECK_EQ(p.b.got.n, first);
	pair_close(&p);
}

static void a_writer_told_to_wait_hears_of_room_though_another_write_made_it(void)
{
	static const struct stream_cfg cfg = { .out_max = 4 << 20, .out_high = 1000 };
	AUTO_FREE uint8_t *bytes = mem_zalloc(1, 1 << 20);
	struct iovec none = { bytes, 0 };

	pair_open(&p, &cfg);
	stream_pause(p.b.s);
	CHECK_EQ(stream_write(p.a.s, span(bytes, 1 << 20)), STREAM_FULL);
	stream_resume(p.b.s);
	/* Only the reader's end is let run: the writer's socket has room before the loop says so.
	 */
	for (int i = 0; i < 1000 && stream_queued(p.a.s) > 0; i++) {
		uint8_t sink[65536];

		(void)!read(p.b.fd, sink, sizeof(sink));
		CHECK(stream_try_write(p.a.s, &none, 1) >= 0);
	}
	CHECK_EQ(stream_queued(p.a.s), 0);
	CHECK_EQ(p.a.drains, 0);
	pair_settle(&p);
	CHECK_EQ(p.a.drains, 1);
	pair_close(&p);
}

static void the_owner_may_free_the_stream_while_reading(void)
{
	pair_open(&p, NULL);
	p.b.free_in_read = true;
	CHECK_OK(stream_write(p.a.s, SPAN_LIT("x")));
	pair_settle(&p);
	CHECK(p.b.s == NULL);
	CHECK_EQ(p.a.closes, 1);
	CHECK_EQ(p.b.closes, 0);
	pair_close(&p);
}

static void half_a_close_leaves_the_other_direction_open(void)
{
	pair_open(&p, NULL);
	stream_hand_over(p.b.s, &end_half_ops, &p.b);
	CHECK_OK(stream_write(p.a.s, SPAN_LIT("ask")));
	stream_shutdown(p.a.s);
	CHECK_EQ(stream_write(p.a.s, SPAN_LIT("x")), ERR_BADSTATE);
	pair_settle(&p);
	CHECK_EQ(p.b.eofs, 1);
	CHECK_EQ(p.b.closes, 0);
	CHECK_OK(stream_write(p.b.s, SPAN_LIT("answer")));
	pair_settle(&p);
	CHECK_STR(buf_text(&p.a.got), "answer");
	CHECK_EQ(p.a.closes, 0);
	stream_shutdown(p.b.s);
	pair_settle(&p);
	CHECK_EQ(p.a.why, ERR_CLOSED);
	pair_close(&p);
}

static void a_deadline_closes_with_timeout(void)
{
	pair_open(&p, NULL);
	stream_deadline(p.a.s, mono_after(ev_now(p.ev), 1000));
	for (int i = 0; i < 100 && p.a.closes == 0; i++)
		ev_turn(p.ev, 1000);
	CHECK_EQ(p.a.why, ERR_TIMEOUT);
	pair_close(&p);
}

static void a_deadline_may_be_moved_away(void)
{
	pair_open(&p, NULL);
	stream_deadline(p.a.s, mono_after(ev_now(p.ev), 1000));
	stream_deadline(p.a.s, MONO_NEVER);
	for (int i = 0; i < 5; i++)
		ev_turn(p.ev, 1000);
	CHECK_EQ(p.a.closes, 0);
	pair_close(&p);
}

static void a_queue_that_stands_still_closes(void)
{
	static const struct stream_cfg cfg = { .stall_us = 2000, .out_max = 1 << 20 };
	AUTO_FREE uint8_t *bytes = mem_zalloc(1, 1 << 20);

	pair_open(&p, &cfg);
	stream_pause(p.b.s);
	CHECK(stream_write(p.a.s, span(bytes, 1 << 20)) >= 0);
	for (int i = 0; i < 100 && p.a.closes == 0; i++)
		ev_turn(p.ev, 1000);
	CHECK_EQ(p.a.why, ERR_TIMEOUT);
	pair_close(&p);
}

static void a_new_owner_is_shown_what_the_old_one_left(void)
{
	struct end other = { 0 };

	pair_open(&p, NULL);
	p.b.leave_under = 100;
	CHECK_OK(stream_write(p.a.s, SPAN_LIT("early")));
	pair_settle(&p);
	stream_hand_over(p.b.s, &end_ops, &other);
	pair_settle(&p);
	CHECK_STR(buf_text(&other.got), "early");
	buf_done(&other.got);
	pair_close(&p);
}

static void a_lingering_stream_sends_all_and_frees_itself(void)
{
	AUTO_FREE uint8_t *bytes = mem_zalloc(1, 900000);

	pair_open(&p, NULL);
	stream_hand_over(p.b.s, &end_half_ops, &p.b);
	CHECK(stream_write(p.a.s, span(bytes, 900000)) >= 0);
	stream_linger(TAKE(p.a.s), 5 * US_PER_S);
	pair_settle(&p);
	CHECK_EQ(p.b.got.n, 900000);
	CHECK_EQ(p.b.eofs, 1);
	stream_free(TAKE(p.b.s));
	pair_settle(&p);
	pair_close(&p);
}

static void the_other_end_of_a_unix_socket_is_known(void)
{
	struct stream_cred cred;

	pair_open(&p, NULL);
	CHECK_OK(stream_cred(p.a.s, &cred));
	CHECK_EQ(cred.pid, getpid());
	CHECK_EQ(cred.uid, getuid());
	CHECK(!addr_is_set(stream_peer(p.a.s)));
	pair_close(&p);
}

int main(void)
{
	RUN(what_is_written_arrives);
	RUN(unread_bytes_come_again_in_front_of_the_next);
	RUN(a_reader_that_takes_one_byte_a_call_gets_all);
	RUN(a_message_longer_than_in_max_closes);
	RUN(a_paused_reader_pushes_back_until_the_writer_is_refused);
	RUN(try_write_takes_what_fits_and_says_when_there_is_room);
	RUN(a_writer_told_to_wait_hears_of_room_though_another_write_made_it);
	RUN(the_owner_may_free_the_stream_while_reading);
	RUN(half_a_close_leaves_the_other_direction_open);
	RUN(a_deadline_closes_with_timeout);
	RUN(a_deadline_may_be_moved_away);
	RUN(a_queue_that_stands_still_closes);
	RUN(a_new_owner_is_shown_what_the_old_one_left);
	RUN(a_lingering_stream_sends_all_and_frees_itself);
	RUN(the_other_end_of_a_unix_socket_is_known);
	return check_done();
}
