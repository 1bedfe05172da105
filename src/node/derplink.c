#include "node/derplink.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/list.h"
#include "base/mem.h"
#include "http/h1.h"
#include "platform/dial.h"
#include "platform/stream.h"
#include "protocol/derp_client.h"

enum {
	CONNECT_US = 10000000,
	NODE_US = 5000000, /* for one node of several */
	BACKOFF_MIN_US = 250000,
	BACKOFF_MAX_US = 5000000,
	HEARD_US = 5000000,
	PROBE_US = 3000000,
	CHECK_US = 15000000,
	BATCH_MAX = 48 << 10,                 /* three TLS records in one write */
	WAITING_MAX = DERPLINK_QUEUE_MAX / 2, /* of each kind, before the relay lets us in */
};

enum state { OFF, DIALING, UPGRADING, LOGIN, UP };

struct relay {
	struct link link;
	struct derplink *d;
	int region;
	enum state state;
	size_t node; /* of the region, tried now */
	struct dial *dial;
	struct stream *stream;
	struct h1_reader http;
	bool raw; /* the HTTP part is over */
	struct derp_client client;
	bool have_client;
	struct buf disco, data; /* frames that wait for LOGIN to end */
	struct buf batch;       /* frames of this turn of the loop */
	struct ev_defer turn;   /* its end */
	struct ev_timer timer;  /* next try, login's end, idle check */
	int64_t backoff_us;
	mono last_write, heard, told_heard;
	bool probing;
};

struct derplink {
	struct derplink_cfg cfg;
	struct rand_src rand;
	const struct derp_map *map;
	struct link relays;
	size_t n_relays;
	int home;
	uint8_t scratch[DERP_PACKET_MAX];
};

static void on_timer(struct ev_timer *t, mono now);
static void on_turn(struct ev_defer *e);
static void start(struct relay *r);

struct derplink *derplink_new(const struct derplink_cfg *cfg)
{
	struct derplink *d = mem_new(struct derplink);

	d->cfg = *cfg;
	rand_system(&d->rand);
	list_init(&d->relays);
	return d;
}

static struct relay *find(const struct derplink *d, int region)
{
	struct relay *r;

	list_each(r, &d->relays, link) {
		if (r->region == region)
			return r;
	}
	return NULL;
}

static void hang_up(struct relay *r)
{
	dial_cancel(TAKE(r->dial));
	stream_free(TAKE(r->stream));
	ev_defer_stop(&r->turn);
	buf_done(&r->batch);
	if (r->have_client)
		derp_client_done(&r->client);
	r->have_client = false;
	r->raw = r->probing = false;
	r->state = OFF;
}

static void relay_free(struct relay *r)
{
	hang_up(r);
	ev_timer_stop(r->d->cfg.ev, &r->timer);
	buf_done(&r->disco);
	buf_done(&r->data);
	list_remove(&r->link);
	r->d->n_relays--;
	free(r);
}

void derplink_free(struct derplink *d)
{
	struct relay *r, *next;

	if (!d)
		return;
	list_each_safe(r, next, &d->relays, link)
		relay_free(r);
	node_priv_wipe(&d->cfg.key);
	free(d);
}

/* After a loss: the home comes back by itself, others when there is something to send. */
static void failed(struct relay *r)
{
	struct derplink *d = r->d;
	bool wanted = r->region == d->home || r->disco.n || r->data.n;

	hang_up(r);
	r->backoff_us = r->backoff_us ? r->backoff_us * 2 : BACKOFF_MIN_US;
	if (r->backoff_us > BACKOFF_MAX_US)
		r->backoff_us = BACKOFF_MAX_US;
	if (!wanted) {
		ev_timer_stop(d->cfg.ev, &r->timer);
		return;
	}

	int64_t pause = r->backoff_us / 2 +
	                (int64_t)rand_src_below(&d->rand, (uint64_t)r->backoff_us / 2 + 1);

	ev_timer_after(d->cfg.ev, &r->timer, pause);
}

static const struct derp_region *region_of(const struct relay *r)
{
	return r->d->map ? derp_map_find(r->d->map, r->region) : NULL;
}

/* The next node that relays, from this index on; NULL at the end. */
static const struct derp_node *node_from(const struct derp_region *region, size_t *at)
{
	for (; *at < region->n_nodes; (*at)++) {
		if (!region->nodes[*at].stun_only)
			return &region->nodes[*at];
	}
	return NULL;
}

/* Gives the connection up and tries the region's next node, if it never got in. */
static void next_node(struct relay *r)
{
	const struct derp_region *region = region_of(r);
	bool was_in = r->state == UP;

	r->node++;
	if (was_in || !region || !node_from(region, &r->node)) {
		r->node = 0;
		failed(r);
		return;
	}

	size_t node = r->node;

	hang_up(r);
	r->node = node;
	start(r);
}

/* ---- in ------------------------------------------------------------------- */

static void note_heard(struct relay *r)
{
	struct derplink *d = r->d;

	r->heard = ev_now(d->cfg.ev);
	r->probing = false;
	if (mono_since(r->told_heard, r->heard) < HEARD_US && r->told_heard.us)
		return;
	r->told_heard = r->heard;
	if (d->cfg.heard)
		d->cfg.heard(d->cfg.ctx, r->region);
}

static void flush_client(struct relay *r)
{
	if (r->client.out.n == 0)
		return;
	/* A relay that does not take our answers closes the stream by itself. */
	(void)!stream_write(r->stream, buf_span(&r->client.out));
	buf_clear(&r->client.out);
}

static void is_up(struct relay *r)
{
	struct derplink *d = r->d;

	r->state = UP;
	r->backoff_us = 0;
	r->last_write = ev_now(d->cfg.ev);
	ev_timer_after(d->cfg.ev, &r->timer, CHECK_US);
	if (r->region == d->home)
		derp_put_note_preferred(&r->client.out, true);
	flush_client(r);
	/* Paths depend on disco: it goes first. */
	(void)!stream_write(r->stream, buf_span(&r->disco));
	(void)!stream_write(r->stream, buf_span(&r->data));
	buf_done(&r->disco);
	buf_done(&r->data);
}

static void on_event(struct relay *r, const struct derp_event *e)
{
	struct derplink *d = r->d;

	switch (e->kind) {
	case DERP_EVENT_READY:
		is_up(r);
		break;
	case DERP_EVENT_PACKET:
		/* The tunnel opens in place; these bytes are the stream's. */
		if (e->data.n)
			memcpy(d->scratch, e->data.p, e->data.n);
		d->cfg.packet(d->cfg.ctx, r->region, &e->peer, d->scratch, e->data.n);
		break;
	case DERP_EVENT_GONE:
		if (d->cfg.gone)
			d->cfg.gone(d->cfg.ctx, r->region, &e->peer);
		break;
	case DERP_EVENT_HEALTH:
		if (d->cfg.health) {
			AUTO_FREE char *text = span_dup(e->data);

			d->cfg.health(d->cfg.ctx, r->region, text);
		}
		break;
	case DERP_EVENT_KEEP_ALIVE:
	case DERP_EVENT_PRESENT:
	case DERP_EVENT_PONG:
	case DERP_EVENT_RESTARTING:
		break;
	}
}

/* The upgrade's answer. True once DERP may follow; false: more is needed, or it failed. */
static bool read_http(struct relay *r, struct span *in, bool *ret_bad)
{
	struct http_head head;
	struct h1_step step;

	while (!r->raw) {
		if (h1_read(&r->http, *in, &head, &step) < 0 ||
		    (step.event == H1_HEAD && head.status != 101)) {
			*ret_bad = true;
			return false;
		}
		*in = span_from(*in, step.used);
		if (step.event == H1_MORE)
			return false;
		r->raw = step.event == H1_RAW;
	}
	return true;
}

static size_t on_read(struct stream *s, void *owner, struct span bytes)
{
	struct relay *r = owner;
	struct span in = bytes;
	struct derp_event e;
	bool bad = false;
	int got = 0;

	(void)s;
	if (read_http(r, &in, &bad)) {
		if (r->state == UPGRADING)
			r->state = LOGIN;
		note_heard(r);
		while ((got = derp_client_recv(&r->client, &in, &e)) > 0) {
			on_event(r, &e);
			/* What an event led to may have closed this connection. */
			if (!r->stream)
				return bytes.n;
		}
		flush_client(r);
	}
	if (bad || got < 0) {
		next_node(r);
		return bytes.n;
	}
	return bytes.n - in.n;
}

static void on_closed(struct stream *s, void *owner, int why)
{
	(void)s;
	(void)why;
	next_node(owner);
}

static const struct stream_ops ops = { .read = on_read, .closed = on_closed };

/* ---- out ------------------------------------------------------------------ */

/* The relay tells its key in a certificate of its own; then the login need not wait. */
static bool read_meta(const struct stream *s, struct node_pub *ret)
{
	struct stream_tls_info info;
	char hex[HEX_LEN(KEY_LEN) + 1];
	unsigned version;

	return stream_tls_info(s, &info) == 0 && strcmp(info.version, "TLSv1.3") == 0 &&
	       stream_tls_find_cn(s, DERP_META_CERT_PREFIX, hex, sizeof(hex), &version) == 0 &&
	       hex_decode(ret->b, KEY_LEN, span_str(hex)) == 0;
}

static int upgrade(struct relay *r, const struct derp_node *ideal, const struct derp_node *node)
{
	struct derp_client_cfg cfg = { .key = r->d->cfg.key,
		                       .info = { .version = DERP_VERSION, .can_ack_pings = true } };
	AUTO_DONE(buf) struct buf out = { 0 };
	bool fast = read_meta(r->stream, &cfg.server);

	if (!fast)
		memset(&cfg.server, 0, sizeof(cfg.server));

	int ret = derp_client_init(&r->client, &cfg, &r->d->rand);

	derp_client_cfg_wipe(&cfg);
	if (ret < 0)
		return ret;
	r->have_client = true;
	r->raw = fast;
	r->state = UPGRADING;
	h1_reader_init(&r->http, H1_RESPONSE);
	h1_write_request(&out, SPAN_LIT("GET"), SPAN_LIT("/derp"));
	h1_put(&out, "Host", node->host);
	h1_put(&out, "Upgrade", "DERP");
	h1_put(&out, "Connection", "Upgrade");
	if (fast)
		h1_put(&out, "Derp-Fast-Start", "1");
	if (r->node)
		h1_put(&out, "Ideal-Node", ideal->name);
	h1_end_head(&out);
	buf_add_span(&out, buf_span(&r->client.out));
	buf_clear(&r->client.out);
	ret = stream_write(r->stream, buf_span(&out));
	return ret < 0 ? ret : 0;
}

static void on_dialed(void *owner, int ret, struct stream *s)
{
	struct relay *r = owner;
	const struct derp_region *region = region_of(r);

	r->dial = NULL;
	if (ret < 0 || !region || r->node >= region->n_nodes) {
		stream_free(s);
		next_node(r);
		return;
	}
	r->stream = s;
	stream_hand_over(s, &ops, r);
	stream_tune(s, &(struct stream_tcp){ .user_timeout_ms = 15000 });
	if (upgrade(r, region->nodes, &region->nodes[r->node]) < 0)
		next_node(r);
}

/* "sha256-raw:HEX" pins a certificate; another name is verified instead of the host's. */
void derplink_whom(const struct derp_node *node, struct tls_peer *ret)
{
	static const char pin[] = "sha256-raw:";

	*ret = (struct tls_peer){ .sni = node->host,
		                  .alpn = TLS_ALPN_HTTP1,
		                  .pass_over = DERP_META_CERT_PREFIX };
	if (node->insecure) {
		ret->trust = TLS_TRUST_ANY;
	} else if (node->cert_name && strncmp(node->cert_name, pin, sizeof(pin) - 1) == 0) {
		struct span hex = span_from(span_str(node->cert_name), sizeof(pin) - 1);

		/* A pin that is none matches nobody. */
		ret->trust = TLS_TRUST_PINNED;
		if (hex_decode(ret->pin, TLS_HASH_LEN, hex) < 0)
			memset(ret->pin, 0, TLS_HASH_LEN);
	} else if (node->cert_name) {
		ret->name = node->cert_name;
	}
}

static bool uses_proxy(const struct proxy_env *env, const struct derp_node *node, struct url *ret)
{
	bool use = false;

	return env && proxy_for(env, true, span_str(node->host), node->derp_port, ret, &use) == 0 &&
	       use;
}

static void start(struct relay *r)
{
	struct derplink *d = r->d;
	const struct derp_region *region = region_of(r);
	const struct derp_node *node = region ? node_from(region, &r->node) : NULL;
	struct stream_cfg stream = { .in_max = STREAM_IN_MAX, .out_max = DERPLINK_QUEUE_MAX };
	struct tls_peer peer;
	struct ip addrs[2];
	size_t n = 0;

	if (!node) {
		r->node = 0;
		failed(r);
		return;
	}
	derplink_whom(node, &peer);
	if (!node->no4 && !ip_is_zero(&node->ip4))
		addrs[n++] = node->ip4;
	if (!node->no6 && !ip_is_zero(&node->ip6))
		addrs[n++] = node->ip6;

	struct dial_cfg cfg = { .ev = d->cfg.ev,
		                .resolver = d->cfg.resolver,
		                .host = node->host,
		                .port = node->derp_port,
		                .addrs = addrs,
		                .n_addrs = n,
		                .tls = d->cfg.tls,
		                .peer = &peer,
		                .timeout_us = region->n_nodes > 1 ? NODE_US : CONNECT_US,
		                .stream = &stream,
		                .prepare = d->cfg.prepare,
		                .prepare_arg = d->cfg.prepare_arg };
	struct url proxy;

	/* A proxy finds the relay by itself. */
	if (uses_proxy(d->cfg.proxy, node, &proxy)) {
		cfg.proxy = &proxy;
		cfg.n_addrs = 0;
	}
	r->state = DIALING;
	r->dial = dial_start(&cfg, on_dialed, r);
	ev_timer_after(d->cfg.ev, &r->timer, CONNECT_US);
}

static void check_idle(struct relay *r, mono now)
{
	struct derplink *d = r->d;
	int64_t silent = mono_since(r->heard, now);

	if (silent > DERP_SILENCE_S * US_PER_S || (r->probing && silent > PROBE_US)) {
		next_node(r);
		return;
	}
	if (r->region != d->home && mono_since(r->last_write, now) > DERPLINK_IDLE_US) {
		hang_up(r);
		return;
	}
	if (r->batch.n == 0)
		buf_done(&r->batch);
	ev_timer_after(d->cfg.ev, &r->timer, CHECK_US);
}

static void on_timer(struct ev_timer *t, mono now)
{
	struct relay *r = CONTAINER_OF(t, struct relay, timer);

	switch (r->state) {
	case OFF:
		start(r);
		break;
	case DIALING:
	case UPGRADING:
	case LOGIN:
		next_node(r);
		break;
	case UP:
		check_idle(r, now);
		break;
	}
}

static struct relay *get(struct derplink *d, int region)
{
	struct relay *r = find(d, region);

	if (r || !d->map || !derp_map_find(d->map, region) || d->n_relays >= DERPLINK_LINKS_MAX)
		return r;
	r = mem_new(struct relay);
	r->d = d;
	r->region = region;
	r->timer.fn = on_timer;
	r->turn.fn = on_turn;
	r->disco.max = r->data.max = WAITING_MAX;
	list_append(&d->relays, &r->link);
	d->n_relays++;
	return r;
}

void derplink_set_map(struct derplink *d, const struct derp_map *map)
{
	struct relay *r, *next;

	d->map = map;
	list_each_safe(r, next, &d->relays, link) {
		if (!map || !derp_map_find(map, r->region))
			relay_free(r);
	}
	if (d->home && !find(d, d->home))
		derplink_set_home(d, d->home);
}

void derplink_set_home(struct derplink *d, int region)
{
	struct relay *r;
	bool changed = d->home != region;

	d->home = region;
	list_each(r, &d->relays, link) {
		if (r->state != UP || !changed)
			continue;
		derp_put_note_preferred(&r->client.out, r->region == region);
		flush_client(r);
	}
	r = region ? get(d, region) : NULL;
	if (r && r->state == OFF && !ev_timer_active(&r->timer))
		start(r);
}

/* Waits for the relay; the oldest goes when there is no room. */
static int wait_for_it(struct buf *queue, const struct node_pub *to, struct span packet)
{
	size_t need = DERP_HEADER + KEY_LEN + packet.n;

	if (need > WAITING_MAX)
		return ERR_LIMIT;
	while (queue->n + need > WAITING_MAX) {
		struct span all = buf_span(queue);
		struct derp_frame f;

		if (derp_cut(&all, DERP_SERVER_FRAME_MAX, &f) <= 0)
			return ERR_LIMIT;
		buf_drop(queue, queue->n - all.n);
	}
	return derp_put_send(queue, to, packet);
}

static int send_batch(struct relay *r)
{
	int ret = r->batch.n ? stream_write(r->stream, buf_span(&r->batch)) : 0;

	buf_clear(&r->batch);
	return ret;
}

static void on_turn(struct ev_defer *e)
{
	struct relay *r = CONTAINER_OF(e, struct relay, turn);

	/* A relay that takes nothing closes the stream by itself; what is lost was data. */
	(void)!send_batch(r);
}

int derplink_send(struct derplink *d, int region, const struct node_pub *to, struct span packet)
{
	struct relay *r = get(d, region);
	int ret = 0;

	if (!r)
		return ERR_UNKNOWN;
	if (packet.n > DERP_PACKET_MAX)
		return ERR_LIMIT;
	if (r->state != UP) {
		if (r->state == OFF && !ev_timer_active(&r->timer))
			start(r);
		return wait_for_it(derp_looks_disco(packet) ? &r->disco : &r->data, to, packet);
	}
	r->last_write = ev_now(d->cfg.ev);
	if (r->batch.n + packet.n > BATCH_MAX)
		ret = send_batch(r);
	if (ret >= 0)
		ret = derp_put_send(&r->batch, to, packet);
	ev_defer(d->cfg.ev, &r->turn);
	return ret < 0 ? ret : 0;
}

static void probe(struct relay *r)
{
	static const uint8_t data[DERP_PING_LEN] = { 'l', 'i', 'n', 'k' };
	struct derplink *d = r->d;

	derp_put(&r->client.out, DERP_PING, SPAN_OF(data));
	flush_client(r);
	r->probing = true;
	r->heard = ev_now(d->cfg.ev);
	ev_timer_after(d->cfg.ev, &r->timer, PROBE_US + 1);
}

void derplink_probe(struct derplink *d, int region)
{
	struct relay *r = find(d, region);

	if (r && r->state == UP && !r->probing &&
	    mono_since(r->heard, ev_now(d->cfg.ev)) > PROBE_US)
		probe(r);
}

static bool has_address(const struct relay *r, const struct ip *ips, size_t n)
{
	struct addr local;

	if (stream_local(r->stream, &local) < 0)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (ip_eq(&ips[i], &local.ip))
			return true;
	}
	return ip_is_loopback(&local.ip) || ip_is_link_local(&local.ip);
}

void derplink_link_changed(struct derplink *d, const struct ip *ips, size_t n)
{
	struct relay *r;

	list_each(r, &d->relays, link) {
		if (r->state == UP && !has_address(r, ips, n)) {
			/* Nothing can come back to where it was made from. */
			next_node(r);
			r->backoff_us = 0;
			if (ev_timer_active(&r->timer))
				ev_timer_after(d->cfg.ev, &r->timer, 0);
		} else if (r->state == UP) {
			probe(r);
		} else if (r->state == OFF && ev_timer_active(&r->timer)) {
			/* What stood in the way may be gone. */
			r->backoff_us = 0;
			ev_timer_after(d->cfg.ev, &r->timer, 0);
		}
	}
}

bool derplink_connected(const struct derplink *d, int region)
{
	const struct relay *r = find(d, region);

	return r && r->state == UP;
}

mono derplink_heard(const struct derplink *d, int region)
{
	const struct relay *r = find(d, region);

	return r ? r->heard : (mono){ 0 };
}
