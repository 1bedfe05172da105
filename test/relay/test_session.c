#include "relay/relay.h"

#include "base/mem.h"
#include "crypto/init.h"
#include "protocol/derp_client.h"
#include "relay/embed.h"
#include "relay/websock.h"
#include "test/check.h"

/* A client at the other end of a socket pair. */
struct peer {
	struct stream *stream;
	struct derp_client derp;
	struct node_pub pub;
	struct derp_event last;
	char data[64]; /* of the last packet */
	unsigned packets, gone;
	bool closed, websocket, answered;
};

static struct ev *ev;
static struct rand_src rnd;
static struct node_priv relay_key;
static struct node_pub relay_pub;
static struct relay *relay;
static struct relay_ask *asked;
static enum { ADMIT_YES, ADMIT_NO, ADMIT_LATER } admission;

static void on_admit(void *owner, struct relay_ask *ask)
{
	(void)owner;
	if (admission == ADMIT_LATER)
		asked = ask;
	else
		relay_answer(ask, admission == ADMIT_YES);
}

static void start(struct relay_env env)
{
	env.ev = ev = ev_new();
	env.rand = &rnd;
	node_priv_new(&relay_key);
	node_priv_public(&relay_key, &relay_pub);
	env.key = &relay_key;
	admission = ADMIT_YES;
	asked = NULL;
	relay = relay_new(&env);
}

static void stop(struct peer *v, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		stream_free(v[i].stream);
		derp_client_done(&v[i].derp);
	}
	relay_free(relay);
	ev_free(ev);
}

static void turn(unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		ev_turn(ev, 2000);
}

static size_t on_read(struct stream *s, void *owner, struct span in)
{
	struct peer *p = owner;
	size_t all = in.n;

	(void)s;
	if (!p->answered) {
		const uint8_t *end = memmem(in.p, in.n, "\r\n\r\n", 4);

		if (!end)
			return 0;
		in = span_from(in, (size_t)(end + 4 - in.p));
		p->answered = true;
	}
	if (p->websocket) {
		/* messages of the relay are short: one byte of length */
		while (in.n >= 2 && in.n >= 2u + in.p[1]) {
			struct span part = { in.p + 2, in.p[1] };

			CHECK(in.p[0] == 0x82 && in.p[1] < 126);
			in = span_from(in, 2u + part.n);
			while (derp_client_recv(&p->derp, &part, &p->last) > 0)
				p->packets += p->last.kind == DERP_EVENT_PACKET;
		}
		return all - in.n;
	}
	while (derp_client_recv(&p->derp, &in, &p->last) > 0) {
		p->gone += p->last.kind == DERP_EVENT_GONE;
		if (p->last.kind != DERP_EVENT_PACKET)
			continue;
		p->packets++;
		(void)snprintf(p->data, sizeof(p->data), "%.*s", SPAN_FMT(p->last.data));
	}
	return all - in.n;
}

static void on_closed(struct stream *s, void *owner, int why)
{
	struct peer *p = owner;

	(void)why;
	p->closed = true;
	stream_free(s);
	p->stream = NULL;
}

static const struct stream_ops ops = { .read = on_read, .closed = on_closed };

static void unused_closed(struct stream *s, void *owner, int why)
{
	(void)owner;
	(void)why;
	stream_free(s);
}

static size_t unused_read(struct stream *s, void *owner, struct span in)
{
	(void)s;
	(void)owner;
	return in.n;
}

static void flush(struct peer *p)
{
	AUTO_DONE(buf) struct buf framed = { 0 };

	if (p->websocket && p->derp.out.n) {
		/* masked with zeros */
		buf_add(&framed, "\x82\xfe", 2);
		buf_add_u8(&framed, (uint8_t)(p->derp.out.n >> 8));
		buf_add_u8(&framed, (uint8_t)p->derp.out.n);
		buf_add(&framed, "\0\0\0\0", 4);
	}
	buf_add_span(&framed, buf_span(&p->derp.out));
	if (p->stream && framed.n)
		(void)!stream_write(p->stream, buf_span(&framed));
	buf_clear(&p->derp.out);
}

static void open_peer(struct peer *p, enum relay_way way, const struct derp_client_info *info)
{
	static const struct stream_ops unused = { .read = unused_read, .closed = unused_closed };
	AUTO_WIPE(derp_client_cfg) cfg = { 0 };
	struct relay_upgrade up = { .way = way, .ws_key = "dGhlIHNhbXBsZSBub25jZQ==" };
	struct stream *theirs;
	int fds[2];

	*p = (struct peer){ .websocket = way == RELAY_WAY_WEBSOCKET };
	CHECK_OK(stream_pair(fds));
	CHECK_OK(stream_new(ev, fds[0], NULL, &ops, p, &p->stream));
	CHECK_OK(stream_new(ev, fds[1], NULL, &unused, NULL, &theirs));
	node_priv_new(&cfg.key);
	node_priv_public(&cfg.key, &p->pub);
	cfg.info.can_ack_pings = true;
	if (info)
		cfg.info = *info;
	if (way == RELAY_WAY_FAST) {
		cfg.server = relay_pub;
		p->answered = true;
	}
	CHECK_OK(derp_client_init(&p->derp, &cfg, &rnd));
	relay_accept(relay, theirs, &up);
	flush(p);
	turn(4);
	flush(p);
	turn(4);
}

static void send_text(struct peer *from, const struct peer *to, const char *text)
{
	CHECK_OK(derp_put_send(&from->derp.out, &to->pub, span_str(text)));
	flush(from);
}

static void clients_log_in_either_way_and_packets_flow(void)
{
	struct peer v[2];

	start((struct relay_env){ 0 });
	open_peer(&v[0], RELAY_WAY_DERP, NULL);
	open_peer(&v[1], RELAY_WAY_FAST, NULL);
	CHECK(v[0].derp.ready && v[1].derp.ready);
	CHECK_EQ(relay_pending(relay), 0);
	send_text(&v[0], &v[1], "hello");
	turn(6);
	CHECK_STR(v[1].data, "hello");
	send_text(&v[1], &v[0], "back");
	turn(6);
	CHECK_STR(v[0].data, "back");
	CHECK_EQ(relay_counts(relay)->logins, 2);
	CHECK_EQ(relay_counts(relay)->fast_starts, 1);
	stop(v, 2);
}

static void one_who_was_heard_is_missed(void)
{
	struct peer v[2];

	start((struct relay_env){ 0 });
	open_peer(&v[0], RELAY_WAY_FAST, NULL);
	open_peer(&v[1], RELAY_WAY_FAST, NULL);
	send_text(&v[0], &v[1], "hello");
	turn(6);
	stream_free(TAKE(v[0].stream));
	turn(6);
	CHECK_EQ(v[1].gone, 1);
	CHECK_EQ(relay_counts(relay)->closed[RELAY_CLOSE_PEER], 1);
	stop(v, 2);
}

static void frames_sent_before_the_login_is_answered_are_not_lost(void)
{
	struct peer v[2];

	start((struct relay_env){ .admit = on_admit });
	open_peer(&v[0], RELAY_WAY_FAST, NULL);
	admission = ADMIT_LATER;
	open_peer(&v[1], RELAY_WAY_FAST, NULL);
	CHECK(asked && !v[1].derp.ready);
	CHECK(node_pub_eq(&asked->key, &v[1].pub));
	send_text(&v[1], &v[0], "early");
	turn(6);
	CHECK_EQ(v[0].packets, 0);
	relay_answer(asked, true);
	turn(6);
	CHECK(v[1].derp.ready);
	CHECK_STR(v[0].data, "early");
	stop(v, 2);
}

static void those_not_admitted_are_closed_without_a_word(void)
{
	struct peer v[1];

	start((struct relay_env){ .admit = on_admit });
	admission = ADMIT_NO;
	open_peer(&v[0], RELAY_WAY_DERP, NULL);
	turn(4);
	CHECK(v[0].closed && !v[0].derp.ready);
	CHECK_EQ(relay_counts(relay)->closed[RELAY_CLOSE_DENIED], 1);
	stop(v, 1);
}

static void an_answer_for_one_who_has_left_is_harmless(void)
{
	struct peer v[1];

	start((struct relay_env){ .admit = on_admit });
	admission = ADMIT_LATER;
	open_peer(&v[0], RELAY_WAY_FAST, NULL);
	CHECK(asked);
	relay_free(relay);
	relay_answer(asked, true);
	stream_free(v[0].stream);
	derp_client_done(&v[0].derp);
	ev_free(ev);
}

static void holders_of_the_mesh_key_are_not_asked_about(void)
{
	struct derp_client_info info = { .has_mesh_key = true };
	uint8_t key[DERP_MESH_KEY] = { 1, 2, 3 };
	struct peer v[2];

	start((struct relay_env){ .admit = on_admit, .mesh_key = key });
	admission = ADMIT_NO;
	memcpy(info.mesh_key, key, sizeof(key));
	open_peer(&v[0], RELAY_WAY_FAST, &info);
	CHECK(v[0].derp.ready);
	derp_put(&v[0].derp.out, DERP_WATCH_CONNS, span(NULL, 0));
	flush(&v[0]);
	turn(6);
	CHECK_EQ(v[0].last.kind, DERP_EVENT_PRESENT);

	info.mesh_key[31] ^= 1;
	open_peer(&v[1], RELAY_WAY_FAST, &info);
	CHECK(!v[1].derp.ready);
	stop(v, 2);
}

static void a_login_that_does_not_open_ends_the_connection(void)
{
	struct node_priv other;
	struct node_pub real = relay_pub;
	struct peer v[1];

	start((struct relay_env){ 0 });
	node_priv_new(&other);
	node_priv_public(&other, &relay_pub);
	open_peer(&v[0], RELAY_WAY_FAST, NULL);
	turn(4);
	CHECK(v[0].closed);
	CHECK_EQ(relay_counts(relay)->closed[RELAY_CLOSE_LOGIN_BAD], 1);
	relay_pub = real;
	stop(v, 1);
}

static void a_broken_frame_ends_the_connection(void)
{
	struct peer v[1];

	start((struct relay_env){ 0 });
	open_peer(&v[0], RELAY_WAY_FAST, NULL);
	derp_put(&v[0].derp.out, DERP_WATCH_CONNS, span(NULL, 0));
	flush(&v[0]);
	turn(6);
	CHECK(v[0].closed);
	CHECK_EQ(relay_counts(relay)->closed[RELAY_CLOSE_BAD_FRAME], 1);
	stop(v, 1);
}

static void a_browser_logs_in_and_sends_inside_a_websocket(void)
{
	struct peer v[2];

	start((struct relay_env){ 0 });
	open_peer(&v[0], RELAY_WAY_FAST, NULL);
	open_peer(&v[1], RELAY_WAY_WEBSOCKET, NULL);
	turn(6);
	flush(&v[1]);
	turn(6);
	CHECK(v[1].derp.ready);
	send_text(&v[1], &v[0], "from a browser");
	turn(6);
	CHECK_STR(v[0].data, "from a browser");
	send_text(&v[0], &v[1], "to a browser");
	turn(6);
	CHECK_EQ(v[1].packets, 1);
	stop(v, 2);
}

static void a_client_over_its_rate_is_read_later_and_loses_nothing(void)
{
	static char text[60000];
	struct peer v[2];

	memset(text, 'x', sizeof(text) - 1);
	start((struct relay_env){ .rate_bytes_per_s = 4000000 });
	open_peer(&v[0], RELAY_WAY_FAST, NULL);
	open_peer(&v[1], RELAY_WAY_FAST, NULL);
	for (unsigned i = 0; i < 8; i++) {
		send_text(&v[0], &v[1], text);
		turn(2);
	}
	for (unsigned i = 0; i < 300 && v[1].packets < 8; i++)
		turn(1);
	CHECK_EQ(v[1].packets, 8);
	CHECK(relay_counts(relay)->throttled > 0);
	stop(v, 2);
}

static void one_who_stops_reading_is_closed(void)
{
	static char text[60000];
	struct peer v[2];

	memset(text, 'x', sizeof(text) - 1);
	start((struct relay_env){ .write_timeout_us = 100000 });
	open_peer(&v[0], RELAY_WAY_FAST, NULL);
	open_peer(&v[1], RELAY_WAY_FAST, NULL);
	stream_pause(v[1].stream);
	for (unsigned i = 0; i < 20; i++) {
		send_text(&v[0], &v[1], text);
		turn(2);
	}
	for (unsigned i = 0; i < 600 && !relay_counts(relay)->closed[RELAY_CLOSE_SLOW]; i++)
		turn(1);
	CHECK_EQ(relay_counts(relay)->closed[RELAY_CLOSE_SLOW], 1);
	CHECK(relay_hub(relay)->count.drops[HUB_DROP_QUEUE_HEAD][HUB_DATA] > 0);
	stop(v, 2);
}

static void more_clients_than_there_may_be_are_refused(void)
{
	struct peer v[2];

	start((struct relay_env){ .clients_max = 1 });
	open_peer(&v[0], RELAY_WAY_FAST, NULL);
	open_peer(&v[1], RELAY_WAY_FAST, NULL);
	CHECK(v[0].derp.ready && !v[1].derp.ready);
	CHECK_EQ(relay_counts(relay)->closed[RELAY_CLOSE_FULL], 1);
	stop(v, 2);
}

static bool nobody(void *arg, const struct node_pub *key)
{
	(void)arg;
	(void)key;
	return false;
}

static void a_shorter_list_closes_those_who_are_off_it(void)
{
	struct peer v[1];

	start((struct relay_env){ 0 });
	open_peer(&v[0], RELAY_WAY_FAST, NULL);
	relay_recheck(relay, nobody, NULL);
	turn(4);
	CHECK(v[0].closed);
	stop(v, 1);
}

static struct http_server *server;

static void on_request(void *owner, struct http_req *req)
{
	(void)owner;
	if (!relay_serve(relay, &(struct page_env){ 0 }, req))
		http_answer_text(req, 404, "not here");
}

/* The same client, but its request goes through an HTTP server that has the relay in it. */
static void behind_another_programs_http_server_it_is_the_same_relay(void)
{
	struct http_server_cfg cfg = { .request = on_request };
	AUTO_WIPE(derp_client_cfg) client = { 0 };
	struct addr from = { ip4(192, 0, 2, 7), 7, 0 };
	struct peer v[2];
	int fds[2];

	start((struct relay_env){ 0 });
	cfg.ev = ev;
	server = http_server_new(&cfg);
	open_peer(&v[0], RELAY_WAY_FAST, NULL);

	v[1] = (struct peer){ .answered = true };
	CHECK_OK(stream_pair(fds));
	CHECK_OK(stream_new(ev, fds[0], NULL, &ops, &v[1], &v[1].stream));
	http_server_accept(server, fds[1], &from, NULL);
	node_priv_new(&client.key);
	node_priv_public(&client.key, &v[1].pub);
	client.server = relay_pub;
	CHECK_OK(derp_client_init(&v[1].derp, &client, &rnd));
	CHECK_OK(stream_write(v[1].stream,
	                      SPAN_LIT("GET /derp HTTP/1.1\r\nHost: h\r\nUpgrade: DERP\r\n"
	                               "Connection: Upgrade\r\nDerp-Fast-Start: 1\r\n\r\n")));
	flush(&v[1]);
	turn(8);
	CHECK(v[1].derp.ready);
	send_text(&v[0], &v[1], "embedded");
	turn(6);
	CHECK_STR(v[1].data, "embedded");
	http_server_free(server);
	stop(v, 2);
}

int main(void)
{
	crypto_start();
	rand_seeded(&rnd, 5);
	RUN(clients_log_in_either_way_and_packets_flow);
	RUN(one_who_was_heard_is_missed);
	RUN(frames_sent_before_the_login_is_answered_are_not_lost);
	RUN(those_not_admitted_are_closed_without_a_word);
	RUN(an_answer_for_one_who_has_left_is_harmless);
	RUN(holders_of_the_mesh_key_are_not_asked_about);
	RUN(a_login_that_does_not_open_ends_the_connection);
	RUN(a_broken_frame_ends_the_connection);
	RUN(a_browser_logs_in_and_sends_inside_a_websocket);
	RUN(a_client_over_its_rate_is_read_later_and_loses_nothing);
	RUN(one_who_stops_reading_is_closed);
	RUN(more_clients_than_there_may_be_are_refused);
	RUN(a_shorter_list_closes_those_who_are_off_it);
	RUN(behind_another_programs_http_server_it_is_the_same_relay);
	return check_done();
}
