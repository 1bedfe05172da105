/*
 * A DERP load generator: many clients in one process, over TLS or plain, each
 * sending to its partner; what arrives is counted and timed. Prints one line of
 * JSON about the measured window.
 *
 *	derpload -a 127.0.0.1:443 [-T] -n 20 -s 1400 -d 5 -p PID
 *
 * Sends as fast as the relay takes it, unless -r gives packets a second for all
 * clients together: those that the socket has no room for are then not sent at
 * all, so more than the relay can carry can be offered. With -W each client keeps
 * that many packets on the way, as a TCP connection inside would: nothing need
 * be lost then, and the relay is as busy as it can be.
 *
 * With -H each client sends the beginning of a frame, and never its end.
 *
 * With -P send and -P recv two processes share the clients, so that receiving is
 * not held up by sending: keys come from the seed of -k, which both are given.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/rand.h"
#include "crypto/init.h"
#include "platform/ev.h"
#include "platform/sockaddr.h"
#include "platform/stream.h"
#include "platform/tls.h"
#include "protocol/derp_client.h"

enum {
	BURST = 8,
	LOST_US = 100000,
	BATCH_BYTES = 48 << 10,
	SAMPLES_MAX = 1 << 20,
	CLIENTS_MAX = 20000,
	STAMP = 8
};

struct options {
	struct addr at;
	bool tls, idle, greedy, half;
	unsigned clients, packet, pid, parallel, window;
	int64_t warm_us, run_us;
	uint64_t seed; /* of the keys; 0: random ones */
	enum { PART_ALL, PART_SEND, PART_RECV } part;
	double rate; /* packets a second of all clients; 0: as many as go */
};

struct load;

struct client {
	struct load *load;
	struct stream *stream;
	struct derp_client derp;
	struct node_pub self;
	struct client *partner;
	bool upgraded, ready, blocked;
	struct ev_timer again;
	struct ev_defer credit;
	unsigned on_the_way;
	mono heard;       /* when the last of ours arrived */
	struct buf batch; /* frames to send over and over */
	size_t at;
	struct iovec left; /* of a paced packet */
	uint8_t *paced;
};

struct load {
	struct options opt;
	struct ev *ev;
	struct tls_client *tls;
	struct rand_src rnd;
	struct client **clients;
	unsigned made, ready, failed;
	bool sending, counting;
	struct ev_timer phase, pace;
	mono paced_at;
	double owed;
	unsigned turn;
	/* the measured window */
	mono began;
	uint64_t sent, unsent, got, got_bytes;
	uint32_t *samples;
	size_t n_samples;
	double cpu_began;
};

static void connect_more(struct load *l);

/* Even clients send, odd ones receive, when the two are apart. */
static bool is_ours(const struct load *l, unsigned i)
{
	return l->opt.part == PART_ALL || (i & 1) == (l->opt.part == PART_RECV);
}

/* --- sending --- */

/* When it was sent: the receiver is in this process too. */
static void stamp(uint8_t *packet)
{
	put_be64(packet, (uint64_t)mono_now().us);
}

static void make_batch(struct client *c)
{
	static uint8_t packet[65536];
	size_t n = c->load->opt.packet;

	do {
		if (derp_put_send(&c->batch, &c->partner->self, span(packet, n)) < 0)
			abort();
	} while (c->batch.n + n < BATCH_BYTES);
}

/* As much as the socket takes, a few batches a turn. */
static void pour(struct client *c)
{
	size_t frame = DERP_HEADER + KEY_LEN + c->load->opt.packet;

	for (unsigned i = 0; i < 2 && c->stream; i++) {
		struct iovec iov = { c->batch.p + c->at, c->batch.n - c->at };

		if (c->at == 0) {
			for (size_t at = DERP_HEADER + KEY_LEN; at < c->batch.n; at += frame)
				stamp(c->batch.p + at);
		}

		int n = stream_try_write(c->stream, &iov, 1);

		if (n < 0)
			return;
		if (c->load->counting)
			c->load->sent += (c->at + (size_t)n) / frame - c->at / frame;
		c->at = (c->at + (size_t)n) % c->batch.n;
		if ((size_t)n < iov.iov_len)
			return;
	}
	ev_timer_set(c->load->ev, &c->again, ev_now(c->load->ev));
}

static void on_again(struct ev_timer *t, mono now)
{
	(void)now;
	pour(CONTAINER_OF(t, struct client, again));
}

/* What the window allows, in one write; a packet that the socket cuts is finished by drained(). */
static void send_window(struct client *c)
{
	size_t frame = DERP_HEADER + KEY_LEN + c->load->opt.packet;
	mono now = ev_now(c->load->ev);

	if (c->left.iov_len || !c->stream)
		return;
	if (mono_since(c->heard, now) > LOST_US) {
		c->on_the_way = 0; /* lost, all of them */
		c->heard = now;
	}

	size_t n = c->load->opt.window - c->on_the_way;
	struct iovec iov = { c->batch.p, n * frame };

	if (n == 0)
		return;
	for (size_t i = 0; i < n; i++)
		stamp(c->batch.p + i * frame + DERP_HEADER + KEY_LEN);

	int sent = stream_try_write(c->stream, &iov, 1);

	if (sent < 0)
		return;

	size_t begun = ((size_t)sent + frame - 1) / frame;

	c->on_the_way += (unsigned)begun;
	c->load->sent += c->load->counting ? begun : 0;
	c->left = (struct iovec){ c->batch.p + sent, begun * frame - (size_t)sent };
}

static void on_credit(struct ev_defer *d)
{
	send_window(CONTAINER_OF(d, struct client, credit));
}

static void on_lost(struct ev_timer *t, mono now)
{
	struct client *c = CONTAINER_OF(t, struct client, again);

	(void)now;
	send_window(c);
	ev_timer_after(c->load->ev, &c->again, LOST_US);
}

static void start_window(struct client *c)
{
	for (unsigned i = 0; i < c->load->opt.window; i++) {
		static uint8_t packet[65536];

		if (derp_put_send(&c->batch, &c->partner->self, span(packet, c->load->opt.packet)) <
		    0)
			abort();
	}
	c->again.fn = on_lost;
	c->heard = ev_now(c->load->ev);
	send_window(c);
	ev_timer_after(c->load->ev, &c->again, LOST_US);
}

/* Those that the socket has no room for are not sent at all. */
static void send_paced(struct client *c, size_t n)
{
	size_t frame = DERP_HEADER + KEY_LEN + c->load->opt.packet;
	uint64_t *unsent = &c->load->unsent, *sent = &c->load->sent;
	bool counting = c->load->counting;

	*unsent += counting && c->left.iov_len ? n : 0;
	if (c->left.iov_len)
		return;
	if (!c->paced)
		c->paced = mem_alloc(frame * BURST);
	for (size_t i = 0; i < n; i++) {
		uint8_t *at = c->paced + i * frame;

		derp_put_header(at, DERP_SEND_PACKET, frame - DERP_HEADER);
		memcpy(at + DERP_HEADER, c->partner->self.b, KEY_LEN);
		stamp(at + DERP_HEADER + KEY_LEN);
	}

	struct iovec iov = { c->paced, n * frame };
	int taken = c->stream ? stream_try_write(c->stream, &iov, 1) : -1;

	if (taken < 0)
		return;

	size_t begun = ((size_t)taken + frame - 1) / frame;

	*sent += counting ? begun : 0;
	*unsent += counting ? n - begun : 0;
	c->left = (struct iovec){ c->paced + taken, begun * frame - (size_t)taken };
}

static void on_pace(struct ev_timer *t, mono now)
{
	struct load *l = CONTAINER_OF(t, struct load, pace);

	l->owed += (double)mono_since(l->paced_at, now) * l->opt.rate / 1e6;
	l->paced_at = now;
	if (l->owed > l->opt.rate / 20)
		l->owed = l->opt.rate / 20; /* we were not run: do not make up for all of it */
	while (l->owed >= 1) {
		/* A few for one client at a time, as a busy one sends them. */
		size_t n = l->owed < BURST ? 1 : BURST;

		l->owed -= (double)n;
		while (!is_ours(l, l->turn % l->opt.clients))
			l->turn++;
		send_paced(l->clients[l->turn++ % l->opt.clients], n);
	}
	ev_timer_after(l->ev, &l->pace, 200);
}

static void drained(struct stream *s, void *owner)
{
	struct client *c = owner;

	(void)s;
	if (c->load->opt.window && !c->left.iov_len) {
		send_window(c);
	} else if (c->left.iov_len) {
		int n = stream_try_write(c->stream, &c->left, 1);

		if (n > 0)
			c->left = (struct iovec){ (uint8_t *)c->left.iov_base + n,
				                  c->left.iov_len - (size_t)n };
		if (c->load->opt.window && !c->left.iov_len)
			send_window(c);
	} else if (c->load->sending && c->load->opt.rate == 0) {
		pour(c);
	}
}

/* --- receiving --- */

static void on_packet(struct client *c, struct span packet)
{
	struct load *l = c->load;

	if (l->opt.window) {
		c->partner->heard = ev_now(l->ev);
		c->partner->on_the_way -= c->partner->on_the_way > 0;
		ev_defer(l->ev, &c->partner->credit);
	}
	if (!l->counting)
		return;
	l->got++;
	l->got_bytes += packet.n;
	if (packet.n >= STAMP && l->n_samples < SAMPLES_MAX &&
	    (l->opt.rate > 0 || l->got % 64 == 0))
		l->samples[l->n_samples++] = (uint32_t)((uint64_t)mono_now().us -
		                                        be64_at(packet.p));
}

static void take_out(struct client *c)
{
	if (c->derp.out.n)
		(void)!stream_write(c->stream, buf_span(&c->derp.out));
	buf_clear(&c->derp.out);
}

static size_t on_read(struct stream *s, void *owner, struct span in)
{
	struct client *c = owner;
	size_t all = in.n;
	struct derp_event e;
	int r;

	if (!c->upgraded) {
		const uint8_t *end = memmem(in.p, in.n, "\r\n\r\n", 4);

		if (!end)
			return 0;
		if (!span_starts(in, "HTTP/1.1 101")) {
			fprintf(stderr, "derpload: %.*s\n", SPAN_FMT(in));
			exit(1);
		}
		c->upgraded = true;
		in = span_from(in, (size_t)(end + 4 - in.p));
	}
	while ((r = derp_client_recv(&c->derp, &in, &e)) > 0) {
		if (e.kind == DERP_EVENT_PACKET)
			on_packet(c, e.data);
		if (e.kind == DERP_EVENT_READY) {
			c->ready = true;
			c->load->ready++;
			if (c->load->opt.half)
				(void)!stream_write(s, SPAN_LIT("\x04\x00\x01\x00\x00half"));
			connect_more(c->load);
		}
	}
	take_out(c);
	return all - in.n;
}

static void ask(struct client *c)
{
	static const char request[] = "GET /derp HTTP/1.1\r\nHost: relay\r\nUpgrade: DERP\r\n"
				      "Connection: Upgrade\r\n\r\n";

	(void)!stream_write(c->stream, SPAN_LIT(request));
}

static void on_open(struct stream *s, void *owner)
{
	(void)s;
	ask(owner);
}

static void on_closed(struct stream *s, void *owner, int why)
{
	struct client *c = owner;

	if (c->load->failed++ < 3)
		fprintf(stderr, "derpload: lost a connection: %s %s\n", err_text(why),
		        stream_tls_error(s));
	ev_timer_stop(c->load->ev, &c->again);
	stream_free(s);
	c->stream = NULL;
	if (!c->ready)
		exit(1);
}

static const struct stream_ops ops = { on_open, on_read, drained, NULL, on_closed };

/* --- setting up --- */

static int dial(const struct addr *at)
{
	union sockaddr_any sa;
	socklen_t n = sockaddr_from(at, false, &sa);
	int fd = socket(sa.sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || connect(fd, &sa.sa, n) < 0) {
		perror("derpload: connect");
		exit(1);
	}
	return fd;
}

static void connect_one(struct load *l)
{
	struct client *c = l->clients[l->made++];
	struct tls_peer peer = { .sni = "localhost", .trust = TLS_TRUST_ANY };

	if (stream_new(l->ev, dial(&l->opt.at), NULL, &ops, c, &c->stream) < 0)
		exit(1);
	if (!l->opt.tls)
		ask(c);
	else if (stream_start_tls_client(c->stream, l->tls, &peer) < 0)
		exit(1);
}

static double cpu_of(unsigned pid)
{
	char path[64], text[1024] = "";
	unsigned long user = 0, sys = 0;

	(void)snprintf(path, sizeof(path), "/proc/%u/stat", pid);

	FILE *f = pid ? fopen(path, "r") : NULL;

	if (!f)
		return 0;
	(void)!fread(text, 1, sizeof(text) - 1, f);
	(void)fclose(f);

	const char *at = strrchr(text, ')');

	if (at)
		(void)sscanf(at, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user,
		             &sys);
	return (double)(user + sys) / (double)sysconf(_SC_CLK_TCK);
}

static int by_size(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static uint32_t percentile(const struct load *l, double p)
{
	return l->n_samples ? l->samples[(size_t)((double)(l->n_samples - 1) * p)] : 0;
}

static void report(struct load *l)
{
	double seconds = (double)mono_since(l->began, mono_now()) / 1e6;
	double cpu = cpu_of(l->opt.pid) - l->cpu_began;

	qsort(l->samples, l->n_samples, sizeof(*l->samples), by_size);
	printf("{\"clients\":%u,\"seconds\":%.3f,\"cpu\":%.3f,\"sent\":%llu,\"unsent\":%llu,"
	       "\"got\":%llu,\"bytes\":%llu,\"p50_us\":%u,\"p99_us\":%u,\"lost\":%u}\n",
	       l->ready, seconds, cpu, (unsigned long long)l->sent, (unsigned long long)l->unsent,
	       (unsigned long long)l->got, (unsigned long long)l->got_bytes, percentile(l, 0.5),
	       percentile(l, 0.99), l->failed);
	(void)fflush(stdout);
}

/* Everybody is in; warm; measured; over. */
static void on_phase(struct ev_timer *t, mono now)
{
	struct load *l = CONTAINER_OF(t, struct load, phase);

	if (!l->counting) {
		l->counting = true;
		l->began = now;
		l->cpu_began = cpu_of(l->opt.pid);
		ev_timer_after(l->ev, &l->phase, l->opt.run_us);
		return;
	}
	report(l);
	ev_stop(l->ev, 0);
}

static void all_are_in(struct load *l)
{
	fprintf(stderr, "derpload: %u clients are in\n", l->ready);
	ev_timer_after(l->ev, &l->phase, l->opt.warm_us);
	if (l->opt.idle || l->opt.part == PART_RECV)
		return;
	l->sending = true;
	l->paced_at = ev_now(l->ev);
	if (l->opt.rate > 0) {
		ev_timer_after(l->ev, &l->pace, 200);
		return;
	}
	/* A greedy client is alone in sending; its partner only listens. */
	for (unsigned i = 0; i < (l->opt.greedy ? 1 : l->opt.clients); i++) {
		if (!is_ours(l, i))
			continue;
		if (l->opt.window) {
			start_window(l->clients[i]);
			continue;
		}
		make_batch(l->clients[i]);
		pour(l->clients[i]);
	}
}

static void connect_more(struct load *l)
{
	while (l->made < l->opt.clients && l->made - l->ready < l->opt.parallel) {
		if (is_ours(l, l->made)) {
			connect_one(l);
		} else {
			l->made++;
			l->ready++;
		}
	}
	if (l->ready == l->opt.clients && !l->phase.node.slot && !l->counting)
		all_are_in(l);
}

static void make_key(const struct load *l, unsigned i, struct node_priv *ret)
{
	struct rand_src rnd;

	if (!l->opt.seed) {
		node_priv_new(ret);
		return;
	}
	rand_seeded(&rnd, l->opt.seed + i);
	rand_fill(&rnd, ret->b, sizeof(ret->b));
	key_clamp(ret->b);
}

static void make_clients(struct load *l)
{
	unsigned n = l->opt.clients;

	l->clients = mem_new_n(struct client *, n);
	for (unsigned i = 0; i < n; i++) {
		struct client *c = mem_new(struct client);
		struct derp_client_cfg cfg = { .info.can_ack_pings = true };

		c->load = l;
		c->again.fn = on_again;
		c->credit.fn = on_credit;
		make_key(l, i, &cfg.key);
		node_priv_public(&cfg.key, &c->self);
		if (derp_client_init(&c->derp, &cfg, &l->rnd) < 0)
			abort();
		l->clients[i] = c;
	}
	for (unsigned i = 0; i < n; i++)
		l->clients[i]->partner = l->clients[(i ^ 1) < n ? i ^ 1 : i];
}

static void parse_args(int argc, char **argv, struct options *o)
{
	int opt;

	while ((opt = getopt(argc, argv, "a:TIGHn:s:d:w:p:r:c:W:k:P:")) != -1) {
		switch (opt) {
		case 'a':
			if (addr_parse(span_str(optarg), &o->at) < 0)
				exit(2);
			break;
		case 'T':
			o->tls = true;
			break;
		case 'I':
			o->idle = true;
			break;
		case 'G':
			o->greedy = true;
			break;
		case 'H':
			o->half = true;
			break;
		case 'n':
			o->clients = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 's':
			o->packet = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'd':
			o->run_us = (int64_t)(strtod(optarg, NULL) * 1e6);
			break;
		case 'w':
			o->warm_us = (int64_t)(strtod(optarg, NULL) * 1e6);
			break;
		case 'p':
			o->pid = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'k':
			o->seed = strtoull(optarg, NULL, 10);
			break;
		case 'P':
			o->part = optarg[0] == 's' ? PART_SEND : PART_RECV;
			break;
		case 'W':
			o->window = (unsigned)strtoul(optarg, NULL, 10);
			break;
		case 'r':
			o->rate = strtod(optarg, NULL);
			break;
		case 'c':
			o->parallel = (unsigned)strtoul(optarg, NULL, 10);
			break;
		default:
			fprintf(stderr,
			        "usage: derpload -a ADDR:PORT [-T] [-I] [-G] [-H] [-n CLIENTS] "
			        "[-s BYTES] [-d SECONDS] [-w WARM] [-r RATE] [-W WINDOW] "
			        "[-k SEED] [-P send|recv] "
			        "[-c PARALLEL] "
			        "[-p PID]\n");
			exit(2);
		}
	}
	if (!addr_is_set(&o->at) || o->packet < STAMP || o->packet > DERP_PACKET_MAX ||
	    o->clients == 0 || o->clients > CLIENTS_MAX || o->parallel == 0)
		exit(2);
}

int main(int argc, char **argv)
{
	struct load l = {
		.opt = { .clients = 20,
		         .packet = 1400,
		         .run_us = 5000000,
		         .warm_us = 1000000,
		         .parallel = 32 },
		.phase.fn = on_phase,
		.pace.fn = on_pace,
	};

	crypto_start();
	parse_args(argc, argv, &l.opt);
	l.ev = ev_new();
	rand_system(&l.rnd);
	if (l.opt.tls && tls_client_new(NULL, &l.tls) < 0)
		return 1;
	l.samples = mem_new_n(uint32_t, SAMPLES_MAX);
	make_clients(&l);
	connect_more(&l);
	return ev_run(l.ev);
}
