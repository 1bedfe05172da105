/* Output: the stage of frames in front of each socket, and control frames before them. */
#include "relay/hub_priv.h"

enum {
	STAGE_MAX = POOL_LARGE_BYTES,
	STAGE_FLUSH = 48 << 10,  /* enough for one write: do not wait for the end of the turn */
	STAGE_REFILL = 16 << 10, /* a slow socket gets little at a time: the lines decide late */
};

void hub_mark(struct hub *h, struct hub_client *c)
{
	if (c->blocked || link_in_list(&c->dirty))
		return;
	list_append(&h->dirty, &c->dirty);
}

void hub_doom(struct hub *h, struct hub_client *c, int why)
{
	if (link_in_list(&c->doom))
		return;
	c->doomed = why;
	list_append(&h->doomed, &c->doom);
}

struct hub_client *hub_next_doomed(struct hub *h)
{
	struct hub_client *c = list_first(&h->doomed, struct hub_client, doom);

	if (c)
		list_remove(&c->doom);
	return c;
}

struct hub_client *hub_longest_blocked(const struct hub *h)
{
	return list_first(&h->blocked, struct hub_client, in_blocked);
}

static void stage_free(struct hub *h, struct hub_client *c)
{
	pool_put(&h->pool, c->stage_block, c->stage_block_n);
	c->stage = NULL;
	c->stage_block = NULL;
	c->stage_n = c->stage_sent = c->stage_cap = c->stage_block_n = 0;
	c->stage_begun = false;
}

static void stage_use(struct hub_client *c, void *block, size_t block_n, uint8_t *stage, size_t cap)
{
	c->stage_block = block;
	c->stage_block_n = (uint32_t)block_n;
	c->stage = stage;
	c->stage_cap = (uint32_t)cap;
}

static bool stage_new(struct hub *h, struct hub_client *c)
{
	uint8_t *block = pool_get_reserved(&h->pool, STAGE_MAX);

	if (block)
		stage_use(c, block, STAGE_MAX, block, STAGE_MAX);
	return block != NULL;
}

/* Where the frame ends that byte `sent` of the stage belongs to. */
static uint32_t frame_end(const struct hub_client *c)
{
	uint32_t at = 0;

	while (at < c->stage_sent)
		at += DERP_HEADER + be32_at(c->stage + at + 1);
	return at;
}

static void count_cut(struct hub *h, const struct hub_client *c, uint32_t from)
{
	struct span rest = { c->stage + from, c->stage_n - from };
	size_t keys = c->role == HUB_LINK ? 2 * KEY_LEN : KEY_LEN;
	struct derp_frame f;

	while (derp_cut(&rest, DERP_SERVER_FRAME_MAX, &f) > 0)
		hub_count_drop(h, HUB_DROP_POOL, span_from(f.body, keys));
}

/*
 * A client that does not keep up must not sit on a large block: what is left
 * moves to one that fits, and when memory is short, only the frame that has
 * begun is left.
 */
static void stage_shrink(struct hub *h, struct hub_client *c)
{
	uint32_t end = c->stage_n;

	if (!c->stage || c->stage_block_n < STAGE_MAX)
		return;
	if (h->pool.used > h->pool.max) {
		end = frame_end(c);
		count_cut(h, c, end);
	}

	uint32_t n = end - c->stage_sent;

	if (pool_class_of(n) == POOL_LARGE) {
		c->stage_n = end;
		return;
	}

	uint8_t *block = n ? pool_get_reserved(&h->pool, n) : NULL;

	if (n && !block) {
		c->stage_n = end;
		return;
	}
	if (n)
		memcpy(block, c->stage + c->stage_sent, n);
	stage_free(h, c);
	if (n) {
		stage_use(c, block, n, block, n);
		c->stage_n = n;
		c->stage_begun = true;
	}
}

static void set_blocked(struct hub *h, struct hub_client *c)
{
	c->blocked = true;
	c->blocked_since = h->now;
	list_remove(&c->in_blocked);
	list_append(&h->blocked, &c->in_blocked);
	stage_shrink(h, c);
}

static uint32_t control_max(const struct hub_client *c)
{
	return c->role == HUB_NODE ? HUB_CONTROL_MAX : HUB_CONTROL_MESH_MAX;
}

/*
 * What is unsent: the rest of a control frame that has begun, the stage, then
 * control frames. A frame that has begun must end before another one starts.
 */
static size_t gather(const struct hub_client *c, struct iovec iov[static 2])
{
	struct iovec stage = { c->stage + c->stage_sent, c->stage_n - c->stage_sent };
	struct iovec control = { c->control.p + c->control_sent, c->control.n - c->control_sent };
	bool stage_first = c->stage_sent > 0 || c->stage_begun || c->control.n == 0;
	size_t n = 0;

	if (stage_first && stage.iov_len)
		iov[n++] = stage;
	if (control.iov_len)
		iov[n++] = control;
	if (!stage_first && stage.iov_len)
		iov[n++] = stage;
	return n;
}

static void advance(struct hub *h, struct hub_client *c, size_t sent, const struct iovec *iov,
                    size_t n)
{
	for (size_t i = 0; i < n && sent; i++) {
		size_t k = sent < iov[i].iov_len ? sent : iov[i].iov_len;

		if (iov[i].iov_base == c->stage + c->stage_sent)
			c->stage_sent += (uint32_t)k;
		else
			c->control_sent += (uint32_t)k;
		sent -= k;
	}
	if (c->stage && c->stage_sent == c->stage_n)
		stage_free(h, c);
	if (c->control.n && c->control_sent == c->control.n) {
		buf_done(&c->control);
		c->control_sent = 0;
	}
}

/* One write of what is staged. False: the socket has no more room, or is lost. */
static bool write_stage(struct hub *h, struct hub_client *c)
{
	struct iovec iov[2];
	size_t n = gather(c, iov), want = 0;

	for (size_t i = 0; i < n; i++)
		want += iov[i].iov_len;
	if (!want)
		return true;

	ssize_t sent = h->cfg.write(c, iov, n);

	if (sent < 0) {
		hub_doom(h, c, (int)sent);
		set_blocked(h, c);
		return false;
	}
	c->bytes_out += (size_t)sent;
	advance(h, c, (size_t)sent, iov, n);
	if ((size_t)sent < want) {
		set_blocked(h, c);
		return false;
	}
	return true;
}

uint8_t *hub_stage(struct hub *h, struct hub_client *c, size_t n)
{
	if (c->stage && c->stage_n + n > STAGE_FLUSH && !write_stage(h, c))
		return NULL;
	if (!c->stage && !stage_new(h, c))
		return NULL;
	if (n > c->stage_cap - c->stage_n)
		return NULL;

	uint8_t *at = c->stage + c->stage_n;

	c->stage_n += (uint32_t)n;
	c->packets_out++;
	h->count.packets_out++;
	h->count.bytes_out += n;
	return at;
}

/* Without memory for a stage, the packet's own block is one. */
static void stage_packet(struct hub *h, struct hub_client *c)
{
	struct hub_packet *p = hub_take(h, c, SIZE_MAX);

	if (!p)
		return;
	stage_use(c, p, sizeof(*p) + p->n, p->frame, p->n);
	c->stage_n = p->n;
	c->packets_out++;
	h->count.packets_out++;
}

static void stage_append(struct hub *h, struct hub_client *c, struct hub_packet *p)
{
	memcpy(c->stage + c->stage_n, p->frame, p->n);
	c->stage_n += p->n;
	hub_packet_free(h, p);
}

/* From the lines into the stage, as the scheduler says. */
static void refill(struct hub *h, struct hub_client *c)
{
	uint32_t before = c->queued;

	if (!c->queued)
		return;
	if (!c->stage && !stage_new(h, c))
		stage_packet(h, c);
	while (c->queued && c->stage_n < STAGE_REFILL && c->stage_n < c->stage_cap) {
		struct hub_packet *p = hub_take(h, c, c->stage_cap - c->stage_n);

		if (!p)
			break;
		stage_append(h, c, p);
		c->packets_out++;
		h->count.packets_out++;
	}
	h->count.bytes_out += before - c->queued;
}

static void put_pong(struct hub *h, struct hub_client *c)
{
	if (!c->want_pong)
		return;
	c->want_pong = false;
	h->count.pings++;
	derp_put(&c->control, DERP_PONG, SPAN_OF(c->pong));
}

void hub_control_added(struct hub *h, struct hub_client *c)
{
	hub_mark(h, c);
	if (c->control.n <= control_max(c) || c->doomed)
		return;
	h->count.control_overflow++;
	hub_doom(h, c, ERR_LIMIT);
}

static void flush(struct hub *h, struct hub_client *c)
{
	put_pong(h, c);
	while (!c->blocked) {
		refill(h, c);
		if (!write_stage(h, c) || (!c->queued && !c->stage))
			return;
	}
}

void hub_flush(struct hub *h)
{
	struct hub_client *c;

	while ((c = list_first(&h->dirty, struct hub_client, dirty))) {
		list_remove(&c->dirty);
		flush(h, c);
	}
}

void hub_writable(struct hub *h, struct hub_client *c)
{
	if (!c->blocked)
		return;
	c->blocked = false;
	list_remove(&c->in_blocked);
	hub_mark(h, c);
}

void hub_put_control(struct hub *h, struct hub_client *c, struct span frame)
{
	buf_add_span(&c->control, frame);
	hub_control_added(h, c);
}

void hub_keep_alive(struct hub *h, struct hub_client *c)
{
	static const uint8_t frame[DERP_HEADER] = { DERP_KEEP_ALIVE };

	/* One that does not read needs no sign of life, and is on its way out. */
	if (!c->blocked)
		hub_put_control(h, c, SPAN_OF(frame));
}

void hub_out_done(struct hub *h, struct hub_client *c)
{
	list_remove(&c->dirty);
	list_remove(&c->doom);
	list_remove(&c->in_blocked);
	stage_free(h, c);
	buf_done(&c->control);
	c->control_sent = 0;
}
