/*
 * Many clients in one process, speaking the real control protocol to a
 * coordinator: upgrade, Noise, HTTP/2, register, long poll.
 *
 *	swarm ADDRESS:PORT NODES KEYFILE [tls]
 *
 * With "tls" the connections are inside TLS; whoever answers is believed, as Noise
 * says who it is. KEYFILE has one pre-auth key a line; node i uses line i modulo their number.
 * Commands come on standard input, each answered by one line:
 *
 *	join		registers all and waits until each has its map
 *	endpoints N	N endpoint changes, one after another: latencies to all who see them
 *	reconnect	closes all, connects all at once, waits for all maps
 *	stall N		the first N read no more: their windows close; nobody waits for them
 *	mark		waits until every node was sent something since, after "marked"
 *	quiet S		counts messages for S seconds
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/enc.h"
#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "base/mem.h"
#include "base/rand.h"
#include "base/wire.h"
#include "control/mapframe.h"
#include "control/noiseconn.h"
#include "crypto/init.h"
#include "http/h2.h"
#include "platform/ev.h"
#include "platform/sockaddr.h"
#include "platform/stream.h"
#include "platform/tls.h"

enum {
	CAPVER = 131,
	AT_ONCE = 256,
	LATENCIES_MAX = 4000000,
	SAMPLE = 100,
	SOURCES = 16,
	RETRY_US = 1000000
};

enum client_state { CLOSED, UPGRADING, REGISTERING, POLLING };

struct client {
	struct swarm *sw;
	unsigned index;
	enum client_state state;
	struct machine_priv machine;
	struct node_pub key;
	struct disco_pub disco;
	bool registered;
	struct stream *stream;
	struct noiseconn *noise;
	struct h2 *h2;
	struct h2_stream *poll, *call;
	uint8_t head[4];
	size_t have, left;
	struct buf hello; /* the upgrade, until it is sent */
	struct buf body;  /* of the frame being read, where it is looked into */
	unsigned frames;  /* since the connection began */
	unsigned since;   /* since the mark */
	size_t peers;
	uint16_t port; /* of its endpoint */
	struct ev_timer again;
};

struct swarm {
	struct ev *ev;
	struct addr server;
	struct machine_pub server_key;
	struct client *c;
	size_t n, next, mapped, keys;
	char **key;
	struct tls_client *tls; /* NULL: plain */
	size_t stalled;
	struct ev_io in;
	struct ev_timer timer;
	struct buf line;
	mono began;
	enum { IDLE, JOINING, CHANGING, RECONNECTING, MARKED, QUIET } doing;
	unsigned changes_left;
	size_t heard, expect;
	uint64_t messages, bytes;
	int64_t *latency;
	size_t n_latency;
	unsigned errors, retries;
};

static void start(struct client *c);
static void pump(struct client *c);

static double seconds_since(const struct swarm *sw)
{
	return (double)mono_since(sw->began, mono_now()) / 1e6;
}

/* ---- what happened ---- */

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

	return (x > y) - (x < y);
}

static void done(struct swarm *sw, const char *what)
{
	printf("%s %.3f s, %u tried again\n", what, seconds_since(sw), sw->retries);
	sw->retries = 0;
	fflush(stdout);
	sw->doing = IDLE;
}

static void send_endpoint(struct client *c);

/* Those of the same user that read no more. */
static size_t stalled_beside(const struct client *c)
{
	size_t first = c->index % c->sw->keys;

	return c->sw->stalled > first ? (c->sw->stalled - first - 1) / c->sw->keys + 1 : 0;
}

static void next_change(struct swarm *sw)
{
	if (sw->changes_left == 0) {
		qsort(sw->latency, sw->n_latency, sizeof(*sw->latency), by_value);
		printf("endpoints n=%zu p50 %.1f ms p99 %.1f ms max %.1f ms\n", sw->n_latency,
		       (double)sw->latency[sw->n_latency / 2] / 1e3,
		       (double)sw->latency[sw->n_latency * 99 / 100] / 1e3,
		       (double)sw->latency[sw->n_latency - 1] / 1e3);
		fflush(stdout);
		sw->doing = IDLE;
		return;
	}
	sw->changes_left--;
	sw->heard = 0;
	for (size_t i = 0; i < sw->n; i++)
		sw->c[i].since = 0;

	struct client *c = &sw->c[sw->stalled + rand_below(sw->n - sw->stalled)];

	sw->expect = c->peers - stalled_beside(c);
	sw->began = mono_now();
	send_endpoint(c);
}

static void on_message(struct client *c)
{
	struct swarm *sw = c->sw;

	sw->messages++;
	c->since++;
	if (c->frames++ == 0) {
		sw->mapped++;
		if ((sw->doing == JOINING || sw->doing == RECONNECTING) && sw->mapped == sw->n)
			done(sw, sw->doing == JOINING ? "joined" : "reconnected");
		while (sw->doing == JOINING && sw->next < sw->n && sw->next - sw->mapped < AT_ONCE)
			start(&sw->c[sw->next++]);
	}
	if (sw->doing == CHANGING && c->since == 1 && sw->heard < sw->expect) {
		if (sw->n_latency < LATENCIES_MAX)
			sw->latency[sw->n_latency++] = mono_since(sw->began, mono_now());
		if (++sw->heard == sw->expect)
			ev_timer_after(sw->ev, &sw->timer, 100 * US_PER_MS);
	}
	if (sw->doing == MARKED && c->since == 1 && ++sw->heard == sw->n)
		done(sw, "all");
}

/* Counts the peers of a full map, in samples: their number says how many hear of a change. */
static void look_into(struct client *c)
{
	AUTO_DONE(mapframe_rd) struct mapframe_rd m = { .zstd = true };
	struct span in = buf_span(&c->body), json;
	const char *at;

	if (mapframe_read(&m, &in, &json) <= 0)
		return;

	AUTO_FREE char *text = span_dup(json);

	at = strstr(text, "\"Peers\":");
	for (c->peers = 0; at && (at = strstr(at, "\"StableID\"")); at++)
		c->peers++;
}

static bool looks(const struct client *c)
{
	return c->frames == 0 && (c->index % SAMPLE == 0 || c->sw->n <= 200);
}

/* ---- HTTP/2 ---- */

static void ask(struct client *c, const char *path, const char *json, bool poll)
{
	struct http_head head = { .method = SPAN_LIT("POST"), .authority = SPAN_LIT("unused") };
	struct h2_stream *st = NULL;

	head.target = span_str(path);
	if (h2_request(c->h2, &head, false, c, &st) < 0 || h2_write(st, span_str(json), true) < 0)
		c->sw->errors++;
	else if (poll)
		c->poll = st;
	else
		c->call = st;
	pump(c);
}

static void send_map(struct client *c, bool stream)
{
	char key[KEY_TEXT_MAX], disco[KEY_TEXT_MAX];
	AUTO_FREE char *json = str_fmt(
		"{\"Version\":%d,\"Compress\":\"zstd\",\"KeepAlive\":true,\"NodeKey\":\"%s\","
		"\"DiscoKey\":\"%s\",%s\"Endpoints\":[\"192.0.2.%u:%u\",\"10.1.2.%u:41641\"],"
		"\"EndpointTypes\":[2,1],\"Hostinfo\":{\"BackendLogID\":\"x\",\"OS\":\"linux\","
		"\"OSVersion\":\"6.8.0\",\"Hostname\":\"node-%u\",\"Machine\":\"x86_64\","
		"\"GoArch\":\"amd64\",\"Services\":[{\"Proto\":\"peerapi4\",\"Port\":40001},"
		"{\"Proto\":\"peerapi6\",\"Port\":40001}],\"NetInfo\":{\"WorkingUDP\":true,"
		"\"PreferredDERP\":999}}}",
		CAPVER, node_pub_text(&c->key, key), disco_pub_text(&c->disco, disco),
		stream ? "\"Stream\":true," : "\"OmitPeers\":true,", c->index % 250 + 1, c->port,
		c->index % 250 + 1, c->index);

	ask(c, "/machine/map", json, stream);
}

static void send_endpoint(struct client *c)
{
	c->port++;
	send_map(c, false);
}

static void send_register(struct client *c)
{
	char key[KEY_TEXT_MAX], zero[KEY_TEXT_MAX];
	struct node_pub none = { 0 };
	AUTO_FREE char *json = str_fmt("{\"Version\":%d,\"NodeKey\":\"%s\",\"OldNodeKey\":\"%s\","
	                               "\"Auth\":{\"AuthKey\":\"%s\"},"
	                               "\"Expiry\":\"0001-01-01T00:00:00Z\",\"Followup\":\"\","
	                               "\"Hostinfo\":{\"OS\":\"linux\","
	                               "\"Hostname\":\"node-%u\"},\"NodeKeySignature\":null}",
	                               CAPVER, node_pub_text(&c->key, key),
	                               node_pub_text(&none, zero),
	                               c->sw->key[c->index % c->sw->keys], c->index);

	ask(c, "/machine/register", json, false);
}

static size_t take_frame(struct client *c, struct span in)
{
	size_t n;

	if (c->have < 4) {
		n = 4 - c->have < in.n ? 4 - c->have : in.n;
		memcpy(c->head + c->have, in.p, n);
		c->have += n;
		c->left = c->have == 4 ? le32_at(c->head) : 0;
		if (looks(c))
			buf_add(&c->body, in.p, n);
		return n;
	}
	n = c->left < in.n ? c->left : in.n;
	if (looks(c))
		buf_add(&c->body, in.p, n);
	c->left -= n;
	if (c->left == 0) {
		if (looks(c))
			look_into(c);
		buf_done(&c->body);
		c->have = 0;
		on_message(c);
	}
	return n;
}

static size_t on_body(void *owner, struct h2_stream *st, struct span bytes)
{
	struct client *c = owner;

	c->sw->bytes += bytes.n;
	if (st != c->poll) {
		if (memmem(bytes.p, bytes.n, "\"Error\":\"\"", 10) == NULL && bytes.n)
			c->sw->errors++;
		return bytes.n;
	}
	for (struct span in = bytes; in.n;)
		in = span_from(in, take_frame(c, in));
	return bytes.n;
}

static void on_end(void *owner, struct h2_stream *st)
{
	struct client *c = owner;

	if (st != c->call || c->state != REGISTERING)
		return;
	c->registered = true;
	c->state = POLLING;
	send_map(c, true);
}

static void on_head(void *owner, struct h2_stream *st, const struct http_head *head)
{
	struct client *c = owner;

	(void)st;
	if (head->status != 200)
		c->sw->errors++;
}

static void on_stream_closed(void *owner, struct h2_stream *st, int why)
{
	struct client *c = owner;

	(void)why;
	if (st == c->poll)
		c->poll = NULL;
	if (st == c->call)
		c->call = NULL;
}

static const struct h2_ops h2_ops = {
	.head = on_head, .body = on_body, .end = on_end, .closed = on_stream_closed
};

/* ---- the connection ---- */

static void pump(struct client *c)
{
	while (c->h2 && h2_has_output(c->h2)) {
		AUTO_DONE(buf) struct buf plain = { 0 };
		AUTO_DONE(buf) struct buf wire = { 0 };

		if (h2_send(c->h2, &plain, 1 << 16) < 0 || !plain.n)
			return;
		if (noiseconn_send(c->noise, buf_span(&plain), &wire) < 0 ||
		    stream_write(c->stream, buf_span(&wire)) < 0) {
			c->sw->errors++;
			return;
		}
	}
}

static void hang_up(struct client *c)
{
	h2_free(c->h2);
	stream_free(c->stream);
	if (c->noise)
		noiseconn_wipe(c->noise);
	free(c->noise);
	buf_done(&c->hello);
	buf_done(&c->body);
	c->h2 = NULL;
	c->stream = NULL;
	c->noise = NULL;
	c->poll = c->call = NULL;
	c->state = CLOSED;
	c->have = c->left = c->frames = 0;
}

static void on_closed(struct stream *s, void *owner, int why)
{
	struct client *c = owner;

	(void)s;
	if (c->state != UPGRADING) {
		fprintf(stderr, "client %u: closed in state %d: %s\n", c->index, c->state,
		        err_text(why));
		c->sw->errors++;
		hang_up(c);
		return;
	}
	/* A server that was too busy: real clients try again, too. */
	hang_up(c);
	c->sw->retries++;
	ev_timer_after(c->sw->ev, &c->again, RETRY_US);
}

static void on_again(struct ev_timer *t, mono now)
{
	(void)now;
	start(CONTAINER_OF(t, struct client, again));
}

static size_t read_upgrade(struct client *c, struct span in)
{
	const uint8_t *end = memmem(in.p, in.n, "\r\n\r\n", 4);
	static const struct h2_cfg cfg = { .side = H2_CLIENT };

	if (!end)
		return 0;
	if (!span_starts(in, "HTTP/1.1 101")) {
		fprintf(stderr, "client %u: %.*s\n", c->index, SPAN_FMT(span_first(in, 60)));
		c->sw->errors++;
	}
	c->h2 = h2_new(&cfg, &h2_ops, c);
	return (size_t)(end - in.p) + 4;
}

static size_t on_read(struct stream *s, void *owner, struct span bytes)
{
	struct client *c = owner;
	AUTO_DONE(buf) struct buf plain = { 0 };
	size_t used = 0;

	(void)s;
	if (c->state == UPGRADING && !c->h2) {
		used = read_upgrade(c, bytes);
		if (!used)
			return 0;
	}
	if (noiseconn_recv(c->noise, span_from(bytes, used), &plain) < 0) {
		c->sw->errors++;
		return bytes.n;
	}
	if (c->state == UPGRADING && c->noise->state == NOISECONN_OPEN) {
		c->state = c->registered ? POLLING : REGISTERING;
		if (c->registered)
			send_map(c, true);
		else
			send_register(c);
	}
	if (plain.n && h2_recv(c->h2, buf_span(&plain)) < 0)
		c->sw->errors++;
	pump(c);
	return bytes.n;
}

static void send_hello(struct client *c)
{
	if (stream_write(c->stream, buf_span(&c->hello)) < 0)
		c->sw->errors++;
	buf_done(&c->hello);
}

static void on_open(struct stream *s, void *owner)
{
	(void)s;
	send_hello(owner);
}

static const struct stream_ops stream_ops = { .open = on_open,
	                                      .read = on_read,
	                                      .closed = on_closed };

/* Of one address there are fewer ports than nodes, with those of closed connections. */
static void bind_some(const struct client *c, int fd, int family)
{
	int one = 1;
	struct sockaddr_in from = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1 + c->index % SOURCES),
	};

	if (family == AF_INET && ip_is_loopback(&c->sw->server.ip) &&
	    (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) < 0 ||
	     bind(fd, (struct sockaddr *)&from, sizeof(from)) < 0))
		perror("bind");
}

static void start(struct client *c)
{
	AUTO_WIPE(machine_priv) eph;
	uint8_t hello[NOISECONN_HELLO];
	char text[BASE64_LEN(NOISECONN_HELLO) + 1];
	static const struct tls_peer anybody = { .trust = TLS_TRUST_ANY };
	union sockaddr_any to;
	socklen_t len = sockaddr_from(&c->sw->server, false, &to);
	int fd = socket(to.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	machine_priv_new(&eph);
	bind_some(c, fd, to.sa.sa_family);
	c->noise = mem_new(struct noiseconn);
	if (fd < 0 || connect(fd, &to.sa, len) < 0 ||
	    noiseconn_connect(c->noise, CAPVER, &c->machine, &c->sw->server_key, &eph, hello) < 0 ||
	    stream_new(c->sw->ev, fd, NULL, &stream_ops, c, &c->stream) < 0) {
		perror("connect");
		exit(1);
	}
	c->state = UPGRADING;
	base64_encode(text, hello, sizeof(hello));
	buf_fmt(&c->hello,
	        "POST /ts2021 HTTP/1.1\r\nHost: x\r\nUpgrade: tailscale-control-protocol\r\n"
	        "Connection: upgrade\r\nX-Tailscale-Handshake: %s\r\nContent-Length: 0\r\n\r\n",
	        text);
	if (!c->sw->tls)
		send_hello(c);
	else if (stream_start_tls_client(c->stream, c->sw->tls, &anybody) < 0)
		c->sw->errors++;
}

/* ---- commands ---- */

static void command(struct swarm *sw, struct span line)
{
	uint64_t n = 0;

	sw->began = mono_now();
	for (size_t i = 0; i < sw->n; i++)
		sw->c[i].since = 0;
	sw->heard = 0;
	if (span_is(line, "join")) {
		sw->doing = JOINING;
		while (sw->next < sw->n && sw->next - sw->mapped < AT_ONCE)
			start(&sw->c[sw->next++]);
	} else if (span_starts(line, "endpoints ")) {
		(void)!span_u64(span_from(line, 10), 10000, &n);
		sw->doing = CHANGING;
		sw->changes_left = (unsigned)n;
		sw->n_latency = 0;
		/* Those that were not looked into see as many as a sample does. */
		for (size_t i = 0; i < sw->n; i++)
			if (!sw->c[i].peers)
				sw->c[i].peers = sw->c[i / SAMPLE * SAMPLE].peers;
		next_change(sw);
	} else if (span_is(line, "reconnect")) {
		for (size_t i = 0; i < sw->n; i++)
			hang_up(&sw->c[i]);
		sw->mapped = 0;
		sw->doing = RECONNECTING;
		for (size_t i = 0; i < sw->n; i++)
			start(&sw->c[i]);
	} else if (span_starts(line, "stall ")) {
		(void)!span_u64(span_from(line, 6), sw->n - 1, &n);
		sw->stalled = n;
		for (size_t i = 0; i < n; i++)
			stream_pause(sw->c[i].stream);
		done(sw, "stalled");
	} else if (span_is(line, "mark")) {
		sw->doing = MARKED;
		printf("marked\n");
		fflush(stdout);
	} else if (span_starts(line, "quiet ")) {
		(void)!span_u64(span_from(line, 6), 10000, &n);
		sw->messages = sw->bytes = 0;
		sw->doing = QUIET;
		ev_timer_after(sw->ev, &sw->timer, (int64_t)n * US_PER_S);
	} else {
		ev_stop(sw->ev, 0);
	}
}

static void on_timer(struct ev_timer *t, mono now)
{
	struct swarm *sw = CONTAINER_OF(t, struct swarm, timer);

	(void)now;
	if (sw->doing == CHANGING) {
		next_change(sw);
	} else if (sw->doing == QUIET) {
		printf("quiet messages=%llu bytes=%llu errors=%u\n",
		       (unsigned long long)sw->messages, (unsigned long long)sw->bytes, sw->errors);
		fflush(stdout);
		sw->doing = IDLE;
	}
}

static void on_input(struct ev_io *io, unsigned events)
{
	struct swarm *sw = CONTAINER_OF(io, struct swarm, in);
	char text[256];
	ssize_t n = read(0, text, sizeof(text));

	(void)events;
	if (n <= 0) {
		ev_stop(sw->ev, 0);
		return;
	}
	buf_add(&sw->line, text, (size_t)n);
	for (;;) {
		size_t at = span_find(buf_span(&sw->line), '\n');

		if (at == sw->line.n)
			return;
		command(sw, span_first(buf_span(&sw->line), at));
		buf_drop(&sw->line, at + 1);
	}
}

static void read_keys(struct swarm *sw, const char *path)
{
	struct buf text = { 0 };
	struct span rest, line;

	if (file_read(path, 64 << 20, &text) < 0)
		exit(1);
	rest = span_trim(buf_span(&text));
	/* First line: the server's public key. */
	if (!span_cut(&rest, '\n', &line) || machine_pub_parse(line, &sw->server_key) < 0)
		exit(1);
	sw->key = mem_new_n(char *, text.n / 32 + 1);
	while (rest.p && span_cut(&rest, '\n', &line))
		sw->key[sw->keys++] = span_dup(line);
	buf_done(&text);
}

int main(int argc, char **argv)
{
	struct swarm sw = { .timer = { .fn = on_timer }, .in = { .fn = on_input } };
	struct rlimit files = { 1 << 20, 1 << 20 };
	uint64_t n = 0;

	crypto_start();
	if (setrlimit(RLIMIT_NOFILE, &files) < 0 && getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		(void)setrlimit(RLIMIT_NOFILE, &files);
	}
	if ((argc != 4 && (argc != 5 || strcmp(argv[4], "tls") != 0)) ||
	    addr_parse(span_str(argv[1]), &sw.server) < 0 ||
	    span_u64(span_str(argv[2]), 1000000, &n) < 0)
		return 2;
	if (argc == 5 && tls_client_new(NULL, &sw.tls) < 0)
		return 1;
	sw.ev = ev_new();
	sw.n = n;
	sw.c = mem_new_n(struct client, n);
	sw.latency = mem_new_n(int64_t, LATENCIES_MAX);
	read_keys(&sw, argv[3]);
	for (size_t i = 0; i < n; i++) {
		struct client *c = &sw.c[i];

		c->sw = &sw;
		c->index = (unsigned)i;
		c->port = 1024;
		c->again.fn = on_again;
		machine_priv_new(&c->machine);
		rand_bytes(c->key.b, KEY_LEN);
		rand_bytes(c->disco.b, KEY_LEN);
	}
	if (ev_io_start(sw.ev, &sw.in, 0, EV_READ) < 0)
		return 1;
	return ev_run(sw.ev);
}
