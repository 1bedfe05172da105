#include "protocol/derp_client.h"

static int login(struct derp_client *c)
{
	struct node_pub self;
	int r = box_shared_init(&c->shared, c->cfg.key.b, c->server.b);

	if (r < 0)
		return ERR_AUTH;
	node_priv_public(&c->cfg.key, &self);
	derp_put_client_info(&c->out, &c->shared, &self, &c->cfg.info, c->rand);
	c->sent_info = true;
	return 0;
}

int derp_client_init(struct derp_client *c, const struct derp_client_cfg *cfg,
                     struct rand_src *rand)
{
	*c = (struct derp_client){ .cfg = *cfg, .server = cfg->server, .rand = rand };
	derp_reader_init(&c->in, DERP_CLIENT_FRAME_MAX);
	return node_pub_is_zero(&c->server) ? 0 : login(c);
}

void derp_client_done(struct derp_client *c)
{
	derp_reader_done(&c->in);
	buf_done(&c->out);
	box_shared_wipe(&c->shared);
	derp_client_cfg_wipe(&c->cfg);
}

static int on_server_key(struct derp_client *c, struct span body)
{
	if (c->sent_info)
		return 0;

	int r = derp_server_key_parse(body, &c->server);

	return r < 0 ? r : login(c);
}

static int on_server_info(struct derp_client *c, struct span body, struct derp_event *ret)
{
	int r = derp_server_info_parse(body, &c->shared, &ret->info);

	if (r < 0)
		return r;
	c->ready = true;
	ret->kind = DERP_EVENT_READY;
	return 1;
}

static int on_recv(struct span body, struct derp_event *ret)
{
	if (body.n < KEY_LEN)
		return 0;
	memcpy(ret->peer.b, body.p, KEY_LEN);
	ret->data = span_from(body, KEY_LEN);
	ret->kind = DERP_EVENT_PACKET;
	return 1;
}

static int on_ping(struct derp_client *c, struct span body)
{
	if (body.n >= DERP_PING_LEN)
		derp_put(&c->out, DERP_PONG, span_first(body, DERP_PING_LEN));
	return 0;
}

static int on_pong(struct span body, struct derp_event *ret)
{
	if (body.n < DERP_PING_LEN)
		return 0;
	memcpy(ret->pong, body.p, DERP_PING_LEN);
	ret->kind = DERP_EVENT_PONG;
	return 1;
}

static int on_restarting(struct span body, struct derp_event *ret)
{
	struct rd r = rd_span(body);

	ret->reconnect_ms = rd_be32(&r);
	ret->try_ms = rd_be32(&r);
	ret->kind = DERP_EVENT_RESTARTING;
	return r.bad ? 0 : 1;
}

/* 1: *ret is an event; 0: nothing to tell */
static int on_frame(struct derp_client *c, const struct derp_frame *f, struct derp_event *ret)
{
	if (f->type == DERP_SERVER_KEY)
		return on_server_key(c, f->body);
	if (!c->sent_info)
		return ERR_MALFORMED; /* a relay starts with its key */
	switch ((enum derp_type)f->type) {
	case DERP_SERVER_INFO:
		return on_server_info(c, f->body, ret);
	case DERP_RECV_PACKET:
		return on_recv(f->body, ret);
	case DERP_KEEP_ALIVE:
		ret->kind = DERP_EVENT_KEEP_ALIVE;
		return 1;
	case DERP_PEER_GONE:
		ret->kind = DERP_EVENT_GONE;
		return derp_gone_parse(f->body, &ret->peer, &ret->reason) < 0 ? 0 : 1;
	case DERP_PEER_PRESENT:
		ret->kind = DERP_EVENT_PRESENT;
		return derp_present_parse(f->body, &ret->present) < 0 ? 0 : 1;
	case DERP_PING:
		return on_ping(c, f->body);
	case DERP_PONG:
		return on_pong(f->body, ret);
	case DERP_HEALTH:
		ret->kind = DERP_EVENT_HEALTH;
		ret->data = f->body;
		return 1;
	case DERP_RESTARTING:
		return on_restarting(f->body, ret);
	case DERP_SERVER_KEY:
	case DERP_CLIENT_INFO:
	case DERP_SEND_PACKET:
	case DERP_NOTE_PREFERRED:
	case DERP_FORWARD_PACKET:
	case DERP_WATCH_CONNS:
	case DERP_CLOSE_PEER:
		return 0;
	}
	return 0;
}

int derp_client_recv(struct derp_client *c, struct span *in, struct derp_event *ret)
{
	struct derp_frame f;
	int r;

	while ((r = derp_reader_next(&c->in, in, &f)) > 0) {
		r = on_frame(c, &f, ret);
		if (r != 0)
			return r;
	}
	return r;
}
