#include "platform/tls_record.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <stdlib.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/mem.h"
#include "test/check.h"
#include "test/platform/stream_pair.h"

static struct tls_gear *gear;

/* Two ends with the keys of RFC 8448 s.3, or those of any suite. */
static struct tls_records client, server;

static const char client_secret[] =
	"9e40646ce79a7f9dc05af8889bce6552875afa0b06df0087f792ebb7c17504a5";
static const char server_secret[] =
	"a11af9f05531f856ad47116b45a950328204b4f44bfb6b3a4b4f1f3fcb631643";

/* clang-format off */
/* The client's 50 bytes of data and its close_notify. */
static const char client_data[] =
	"1703030043a23f7054b62c94d0affafe8228ba55cbefacea42f914aa66bcab3f2b9819a8a5b46b395bd54a9a20441e"
	"2b62974e1f5a6292a2977014bd1e3deae63aeebb21694915e4";
static const char client_close[] = "1703030013c9872760655666b74d7ff1153efd6db6d0b0e3";
/* The server's data comes after one ticket, so with the second number. */
static const char server_data[] =
	"17030300432e937e11ef4ac740e538ad36005fc4a46932fc3225d05f82aa1b36e30efaf97d90e6dffc602dcb501a59"
	"a8fcc49c4bf2e5f0a21c0047c2abf332540dd032e167c2955d";
/* clang-format on */

static size_t unhex(uint8_t *dst, size_t cap, const char *text)
{
	char tight[512];
	size_t n = 0;

	for (; *text; text++) {
		if (*text != ' ')
			tight[n++] = *text;
	}
	CHECK(n / 2 <= cap);
	CHECK_OK(hex_decode(dst, n / 2, span(tight, n)));
	return n / 2;
}

static void open_both(uint16_t suite)
{
	size_t n = suite == 0x1302 ? 48 : 32;
	uint8_t a[48], b[48];

	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	(void)unhex(a, sizeof(a), client_secret);
	(void)unhex(b, sizeof(b), server_secret);
	gear = tls_gear_new();
	CHECK_OK(tls_records_init(&server, gear, suite, span(a, n), span(b, n)));
	CHECK_OK(tls_records_init(&client, gear, suite, span(b, n), span(a, n)));
}

static void close_both(void)
{
	tls_records_done(&client);
	tls_records_done(&server);
	tls_gear_free(gear);
}

static uint8_t plain[3 * TLS_RECORD_BODY_MAX], sealed[TLS_RECORD_BODY_MAX + 64];
static size_t n_plain;

static int server_opens(const uint8_t *p, size_t n)
{
	return tls_records_open(&server, span(p, n), plain, &n_plain);
}

/* Seals at the client, whatever the type. */
static size_t seal(int type, const void *p, size_t n)
{
	int r = tls_records_seal(&client, (enum tls_record_type)type, span(p, n), sealed);

	CHECK(r > 0);
	return r > 0 ? (size_t)r : 0;
}

static unsigned server_alert(void)
{
	uint8_t record[TLS_CONTROL_MAX], alert[TLS_CONTROL_MAX + TLS_RECORD_BODY_MAX];
	size_t n = tls_records_control(&server, record), got = 0;

	CHECK_EQ(n, TLS_RECORD_OVERHEAD + 2);
	/* The client has nothing to say to it but the end. */
	CHECK_EQ(tls_records_open(&client, span(record, n), alert, &got), ERR_TLS);
	return alert[1];
}

static void the_published_records_open_and_seal(void)
{
	uint8_t record[128], data[50];
	size_t n = unhex(record, sizeof(record), client_data);

	for (uint8_t i = 0; i < sizeof(data); i++)
		data[i] = i;
	open_both(0x1301);
	CHECK_EQ(seal(TLS_RECORD_DATA, data, sizeof(data)), n);
	CHECK_MEM(sealed, record, n);
	CHECK_OK(server_opens(record, n));
	CHECK_EQ(n_plain, sizeof(data));
	CHECK_MEM(plain, data, sizeof(data));

	n = unhex(record, sizeof(record), client_close);
	CHECK_EQ(tls_records_close(&client, sealed), n);
	CHECK_MEM(sealed, record, n);
	CHECK_EQ(server_opens(record, n), ERR_CLOSED);

	n = unhex(record, sizeof(record), server_data);
	server.out.seq = 1;
	CHECK_EQ(tls_records_seal(&server, TLS_RECORD_DATA, SPAN_OF(data), sealed), n);
	CHECK_MEM(sealed, record, n);
	close_both();
}

static void each_suite_carries_each_length_in_each_piece(void)
{
	static const size_t lengths[] = { 1, 2, 15, 16, 17, 1400, 16383, 16384 };
	static const size_t pieces[] = { 1, 3, 5, 6, 1000, 17000 };
	static uint8_t data[TLS_RECORD_PLAIN_MAX];

	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = (uint8_t)(i * 31 + i / 256);
	for (uint16_t suite = 0x1301; suite <= 0x1303; suite++) {
		open_both(suite);
		for (size_t i = 0; i < ARRAY_LEN(lengths) * ARRAY_LEN(pieces); i++) {
			size_t len = lengths[i % ARRAY_LEN(lengths)];
			size_t piece = pieces[i / ARRAY_LEN(lengths)];
			size_t n = seal(TLS_RECORD_DATA, data, len);

			for (size_t at = 0; at < n; at += piece) {
				size_t k = n - at < piece ? n - at : piece;

				CHECK_OK(server_opens(sealed + at, k));
				CHECK_EQ(n_plain, at + k == n ? len : 0);
			}
			CHECK_MEM(plain, data, len);
			CHECK(!server.part && server.part_n == 0);
		}
		close_both();
	}
}

static void many_records_come_out_of_one_read_with_the_last_one_kept(void)
{
	uint8_t wire[8 * (100 + TLS_RECORD_OVERHEAD)];
	size_t n = 0;

	open_both(0x1303);
	for (int i = 0; i < 8; i++) {
		memset(plain, 'a' + i, 100);
		memcpy(wire + n, sealed, seal(TLS_RECORD_DATA, plain, 100));
		n += 100 + TLS_RECORD_OVERHEAD;
	}
	CHECK_OK(server_opens(wire, n - 1));
	CHECK_EQ(n_plain, 700);
	CHECK_EQ(plain[0], 'a');
	CHECK_EQ(plain[699], 'g');
	CHECK_OK(server_opens(wire + n - 1, 1));
	CHECK_EQ(n_plain, 100);
	CHECK_EQ(plain[99], 'h');
	close_both();
}

static void every_flipped_bit_is_refused(void)
{
	for (size_t bit = 0; bit < 8 * (20 + TLS_RECORD_OVERHEAD); bit++) {
		open_both(0x1301);

		size_t n = seal(TLS_RECORD_DATA, "twenty bytes of data", 20);

		sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);

		int r = server_opens(sealed, n);

		/* A length that grew waits for more, within its bounds. */
		CHECK(r == ERR_TLS || (r == 0 && bit / 8 >= 3 && bit / 8 < 5));
		CHECK_EQ(n_plain, 0);
		close_both();
	}
}

static void every_truncation_waits(void)
{
	open_both(0x1302);

	size_t n = seal(TLS_RECORD_DATA, "twenty bytes of data", 20);

	for (size_t k = 0; k < n; k++) {
		struct tls_records saved = server;

		CHECK_OK(server_opens(sealed, k));
		CHECK_EQ(n_plain, 0);
		free(server.part);
		server = saved;
	}
	CHECK_OK(server_opens(sealed, n));
	CHECK_EQ(n_plain, 20);
	close_both();
}

static void a_record_that_is_repeated_or_out_of_turn_is_refused(void)
{
	open_both(0x1301);

	size_t n = seal(TLS_RECORD_DATA, "one", 3);

	CHECK_OK(server_opens(sealed, n));
	CHECK_EQ(server_opens(sealed, n), ERR_TLS);
	CHECK_EQ(server_alert(), TLS_ALERT_BAD_MAC);
	CHECK_OK(server_opens(sealed, n));
	CHECK_EQ(n_plain, 0);
	close_both();
}

/* clang-format off */
static const struct {
	const char *head;
	unsigned alert;
} bad_heads[] = {
	{ "1603030020", TLS_ALERT_UNEXPECTED },	/* a handshake in the clear */
	{ "1403030001", TLS_ALERT_UNEXPECTED },	/* too late for that one */
	{ "1503030002", TLS_ALERT_UNEXPECTED },
	{ "1703034101", TLS_ALERT_OVERFLOW },
	{ "170303ffff", TLS_ALERT_OVERFLOW },
	{ "1703030010", TLS_ALERT_BAD_MAC },	/* no room for a type */
	{ "1703030000", TLS_ALERT_BAD_MAC },
};
/* clang-format on */

static void heads_that_cannot_be_are_refused_before_anything_is_kept(void)
{
	for (size_t i = 0; i < 2 * ARRAY_LEN(bad_heads); i++) {
		uint8_t head[TLS_RECORD_HEAD];
		size_t split = i % 2 ? 2 : 0;

		open_both(0x1301);
		(void)unhex(head, sizeof(head), bad_heads[i / 2].head);
		CHECK_OK(server_opens(head, split));
		CHECK_EQ(server_opens(head + split, sizeof(head) - split), ERR_TLS);
		CHECK(!server.part);
		CHECK_EQ(server_alert(), bad_heads[i / 2].alert);
		close_both();
	}
}

static void padding_is_taken_off_and_nothing_but_padding_is_refused(void)
{
	static const uint8_t padded[] = { 'h', 'i', 23, 0, 0, 0 }, none[4] = { 0 };

	open_both(0x1301);
	/* Sealed as type 0, the type inside is the last byte that is none. */
	CHECK_OK(server_opens(sealed, seal(0, padded, sizeof(padded))));
	CHECK_EQ(n_plain, 2);
	CHECK_MEM(plain, "hi", 2);
	CHECK_EQ(server_opens(sealed, seal(0, none, sizeof(none))), ERR_TLS);
	CHECK_EQ(server_alert(), TLS_ALERT_UNEXPECTED);
	close_both();
}

static void more_than_a_full_record_inside_is_refused(void)
{
	static uint8_t big[TLS_RECORD_PLAIN_MAX + 1];

	open_both(0x1301);
	CHECK_EQ(server_opens(sealed, seal(TLS_RECORD_DATA, big, sizeof(big))), ERR_TLS);
	CHECK_EQ(server_alert(), TLS_ALERT_OVERFLOW);
	close_both();
}

static const uint8_t update[] = { 24, 0, 0, 1, 0 }, update_asking[] = { 24, 0, 0, 1, 1 };

static void client_updates(const uint8_t msg[static 5])
{
	CHECK_OK(server_opens(sealed, seal(TLS_RECORD_HANDSHAKE, msg, 5)));

	/* What tls_records_control does with our own. */
	uint8_t scratch[TLS_CONTROL_MAX];
	uint64_t max = client.key_max;
	struct tls_records copy = client;

	copy.key_max = 0;
	(void)tls_records_control(&copy, scratch);
	client.out = copy.out;
	client.key_max = max;
}

static void talk(struct tls_records *from, struct tls_records *to)
{
	uint8_t record[64];
	int n = tls_records_seal(from, TLS_RECORD_DATA, SPAN_LIT("still there"), record);

	CHECK(n > 0);
	CHECK_OK(tls_records_open(to, span(record, (size_t)n), plain, &n_plain));
	CHECK_EQ(n_plain, 11);
}

static void a_key_update_changes_the_key_and_is_answered_once_if_asked(void)
{
	uint8_t record[TLS_CONTROL_MAX];

	open_both(0x1302);
	client_updates(update);
	talk(&client, &server);
	CHECK_EQ(tls_records_control(&server, record), 0);
	client_updates(update_asking);
	client_updates(update_asking);
	talk(&client, &server);

	size_t n = tls_records_control(&server, record);

	CHECK_EQ(n, TLS_CONTROL_MAX);
	CHECK_EQ(tls_records_control(&server, record + 0), 0);
	CHECK_OK(tls_records_open(&client, span(record, n), plain, &n_plain));
	CHECK_EQ(tls_records_control(&client, record), 0);
	talk(&server, &client);
	close_both();
}

static void a_key_update_may_come_in_pieces_but_alone(void)
{
	open_both(0x1301);
	CHECK_OK(server_opens(sealed, seal(TLS_RECORD_HANDSHAKE, update, 2)));
	CHECK_OK(server_opens(sealed, seal(TLS_RECORD_HANDSHAKE, update + 2, 3)));
	CHECK_EQ(server.in.seq, 0);
	close_both();

	open_both(0x1301);
	CHECK_OK(server_opens(sealed, seal(TLS_RECORD_HANDSHAKE, update, 2)));
	CHECK_EQ(server_opens(sealed, seal(TLS_RECORD_DATA, "x", 1)), ERR_TLS);
	CHECK_EQ(server_alert(), TLS_ALERT_UNEXPECTED);
	close_both();
}

/* clang-format off */
static const struct {
	uint8_t type, n, bytes[8];
	unsigned alert;
} bad_messages[] = {
	{ 22, 0, { 0 },				TLS_ALERT_UNEXPECTED },
	{ 22, 6, { 24, 0, 0, 1, 0, 24 },	TLS_ALERT_UNEXPECTED },	/* beyond the key's end */
	{ 22, 5, { 24, 0, 0, 1, 2 },		TLS_ALERT_ILLEGAL },
	{ 22, 5, { 24, 0, 0, 2, 0 },		TLS_ALERT_DECODE },
	{ 22, 4, { 4, 0, 0, 0 },		TLS_ALERT_UNEXPECTED },	/* a ticket, of a client */
	{ 22, 4, { 1, 0, 0, 0 },		TLS_ALERT_UNEXPECTED },	/* another hello */
	{ 21, 1, { 2 },				TLS_ALERT_DECODE },
	{ 21, 3, { 1, 0, 0 },			TLS_ALERT_DECODE },
	{ 20, 1, { 1 },				TLS_ALERT_UNEXPECTED },
	{ 99, 1, { 1 },				TLS_ALERT_UNEXPECTED },
};
/* clang-format on */

static void messages_that_cannot_be_are_refused(void)
{
	for (size_t i = 0; i < ARRAY_LEN(bad_messages); i++) {
		open_both(0x1301);

		size_t n = seal(bad_messages[i].type, bad_messages[i].bytes, bad_messages[i].n);

		CHECK_EQ(server_opens(sealed, n), ERR_TLS);
		CHECK_EQ(server_alert(), bad_messages[i].alert);
		close_both();
	}
}

static void alerts_end_it_but_for_a_cancelled_handshake(void)
{
	static const uint8_t cancelled[] = { 1, 90 }, fatal[] = { 2, 40 };
	uint8_t record[TLS_CONTROL_MAX];

	open_both(0x1301);
	CHECK_OK(server_opens(sealed, seal(TLS_RECORD_ALERT, cancelled, 2)));
	talk(&client, &server);
	CHECK_EQ(server_opens(sealed, seal(TLS_RECORD_ALERT, fatal, 2)), ERR_TLS);
	CHECK_EQ(tls_records_control(&server, record), 0); /* no alert for an alert */
	close_both();
}

static void records_without_data_are_borne_only_so_long(void)
{
	open_both(0x1301);
	for (int i = 0; i < TLS_EMPTY_MAX; i++)
		CHECK_OK(server_opens(sealed, seal(TLS_RECORD_DATA, "", 0)));
	talk(&client, &server);
	for (int i = 0; i < TLS_EMPTY_MAX; i++)
		client_updates(update);
	CHECK_EQ(server_opens(sealed, seal(TLS_RECORD_DATA, "", 0)), ERR_TLS);
	CHECK_EQ(server_alert(), TLS_ALERT_UNEXPECTED);
	close_both();
}

static void a_key_that_has_sealed_enough_is_changed(void)
{
	uint8_t record[TLS_CONTROL_MAX];

	open_both(0x1303);
	server.key_max = 3;
	for (int i = 0; i < 3; i++) {
		CHECK_EQ(tls_records_control(&server, record), 0);
		talk(&server, &client);
	}

	size_t n = tls_records_control(&server, record);

	CHECK_EQ(n, TLS_CONTROL_MAX);
	CHECK_EQ(server.out.seq, 0);
	CHECK_OK(tls_records_open(&client, span(record, n), plain, &n_plain));
	CHECK(!client.answer_update);
	talk(&server, &client);
	close_both();
}

static void more_connections_than_contexts_keep_their_keys_apart(void)
{
	enum { MANY = 300 };
	static struct tls_records ends[MANY][2];
	uint8_t a[32], b[32];

	gear = tls_gear_new();
	for (int i = 0; i < MANY; i++) {
		memset(a, i, sizeof(a));
		memset(b, ~i, sizeof(b));
		a[0] = (uint8_t)(i >> 8);
		CHECK_OK(tls_records_init(&ends[i][0], gear, i % 2 ? 0x1301 : 0x1303, SPAN_OF(a),
		                          SPAN_OF(b)));
		CHECK_OK(tls_records_init(&ends[i][1], gear, i % 2 ? 0x1301 : 0x1303, SPAN_OF(b),
		                          SPAN_OF(a)));
	}
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < MANY; i++)
			talk(&ends[i][round % 2], &ends[i][!(round % 2)]);
	}
	for (int i = 0; i < MANY; i += 2)
		tls_records_done(&ends[i][0]);
	for (int i = 1; i < MANY; i += 2)
		talk(&ends[i][0], &ends[i][1]);
	for (int i = 0; i < MANY; i++) {
		tls_records_done(&ends[i][0]);
		tls_records_done(&ends[i][1]);
	}
	tls_gear_free(gear);
}

/* ---- against OpenSSL's own client ---- */

struct peer {
	struct pair p;
	SSL_CTX *ctx;
	SSL *ssl;
	struct tls_cert *cert;
	struct tls_server *server;
	struct end end;
};

static void peer_open(struct peer *x, const char *suite)
{
	int fds[2];

	*x = (struct peer){ .cert = test_cert(), .ctx = SSL_CTX_new(TLS_client_method()) };
	pair_open(&x->p, NULL);
	CHECK_OK(tls_server_new_cert(TLS_ALPN_HTTP1, x->cert, &x->server));
	CHECK_OK(stream_pair(fds));
	CHECK(fcntl(fds[0], F_SETFL, O_NONBLOCK) == 0);
	x->end.echo = true;
	CHECK_OK(stream_new(x->p.ev, fds[1], NULL, &end_ops, &x->end, &x->end.s));
	CHECK_OK(stream_start_tls_server(x->end.s, x->server));
	if (suite)
		CHECK(SSL_CTX_set_ciphersuites(x->ctx, suite) == 1);
	else
		CHECK(SSL_CTX_set_max_proto_version(x->ctx, TLS1_2_VERSION) == 1);
	x->ssl = SSL_new(x->ctx);
	CHECK(SSL_set_fd(x->ssl, fds[0]) == 1);
	for (int i = 0; i < 50 && SSL_connect(x->ssl) != 1; i++)
		ev_turn(x->p.ev, 1000);
	CHECK(SSL_is_init_finished(x->ssl));
	for (int i = 0; i < 50 && !x->end.opens; i++)
		ev_turn(x->p.ev, 1000);
	CHECK_EQ(x->end.opens, 1);
}

static void peer_close(struct peer *x)
{
	int fd = SSL_get_fd(x->ssl);

	SSL_free(x->ssl);
	fd_close(fd);
	SSL_CTX_free(x->ctx);
	stream_free(x->end.s);
	buf_done(&x->end.got);
	tls_server_unref(x->server);
	tls_cert_unref(x->cert);
	pair_close(&x->p);
}

static void peer_echoes(struct peer *x, size_t n)
{
	static uint8_t data[40000], back[sizeof(data)];
	size_t sent = 0, got = 0;

	for (size_t i = 0; i < n; i++)
		data[i] = (uint8_t)(i * 5 + i / 255);
	for (int i = 0; i < 500 && got < n; i++) {
		int k = sent < n ? SSL_write(x->ssl, data + sent, (int)(n - sent)) : 0;

		sent += k > 0 ? (size_t)k : 0;
		ev_turn(x->p.ev, 1000);
		while ((k = SSL_read(x->ssl, back + got, (int)(sizeof(back) - got))) > 0)
			got += (size_t)k;
	}
	CHECK_EQ(got, n);
	CHECK(got == n && memcmp(data, back, n) == 0);
}

static void openssl_talks_and_changes_its_keys_and_ours(void)
{
	static const char *const names[] = { "TLS_AES_128_GCM_SHA256", "TLS_AES_256_GCM_SHA384",
		                             "TLS_CHACHA20_POLY1305_SHA256", NULL };
	struct stream_tls_info info;
	struct peer x;

	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		peer_open(&x, names[i]);
		CHECK_OK(stream_tls_info(x.end.s, &info));
		CHECK_STR(info.version, names[i] ? "TLSv1.3" : "TLSv1.2");
		peer_echoes(&x, 1);
		peer_echoes(&x, 40000);
		for (int k = 0; names[i] && k < 3; k++) {
			CHECK(SSL_key_update(x.ssl, SSL_KEY_UPDATE_REQUESTED) == 1);
			peer_echoes(&x, 20000);
			CHECK(SSL_key_update(x.ssl, SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
			peer_echoes(&x, 300);
		}
		(void)SSL_shutdown(x.ssl);
		for (int k = 0; k < 20 && !x.end.why; k++)
			ev_turn(x.p.ev, 1000);
		CHECK_EQ(x.end.why, ERR_CLOSED);
		peer_close(&x);
	}
}

static void openssl_hears_our_end(void)
{
	struct peer x;
	uint8_t byte;

	peer_open(&x, "TLS_AES_128_GCM_SHA256");
	peer_echoes(&x, 10);
	stream_shutdown(x.end.s);
	ev_turn(x.p.ev, 1000);
	CHECK_EQ(SSL_read(x.ssl, &byte, 1), 0);
	CHECK_EQ(SSL_get_shutdown(x.ssl) & SSL_RECEIVED_SHUTDOWN, SSL_RECEIVED_SHUTDOWN);
	peer_close(&x);
}

static void openssl_hears_why_it_is_refused(void)
{
	struct peer x;
	uint8_t byte;

	peer_open(&x, "TLS_AES_128_GCM_SHA256");
	peer_echoes(&x, 10);
	CHECK_EQ(write(SSL_get_fd(x.ssl), "\x17\x03\x03\x00\x20 not sealed by anybody at all....",
	               37),
	         37);
	for (int k = 0; k < 20 && !x.end.why; k++)
		ev_turn(x.p.ev, 1000);
	CHECK_EQ(x.end.why, ERR_TLS);
	CHECK(SSL_read(x.ssl, &byte, 1) <= 0);
	CHECK_EQ(ERR_GET_REASON(ERR_peek_error()), SSL_R_SSLV3_ALERT_BAD_RECORD_MAC);
	ERR_clear_error();
	peer_close(&x);
}

int main(void)
{
	RUN(the_published_records_open_and_seal);
	RUN(each_suite_carries_each_length_in_each_piece);
	RUN(many_records_come_out_of_one_read_with_the_last_one_kept);
	RUN(every_flipped_bit_is_refused);
	RUN(every_truncation_waits);
	RUN(a_record_that_is_repeated_or_out_of_turn_is_refused);
	RUN(heads_that_cannot_be_are_refused_before_anything_is_kept);
	RUN(padding_is_taken_off_and_nothing_but_padding_is_refused);
	RUN(more_than_a_full_record_inside_is_refused);
	RUN(a_key_update_changes_the_key_and_is_answered_once_if_asked);
	RUN(a_key_update_may_come_in_pieces_but_alone);
	RUN(messages_that_cannot_be_are_refused);
	RUN(alerts_end_it_but_for_a_cancelled_handshake);
	RUN(records_without_data_are_borne_only_so_long);
	RUN(a_key_that_has_sealed_enough_is_changed);
	RUN(more_connections_than_contexts_keep_their_keys_apart);
	RUN(openssl_talks_and_changes_its_keys_and_ours);
	RUN(openssl_hears_our_end);
	RUN(openssl_hears_why_it_is_refused);
	return check_done();
}
