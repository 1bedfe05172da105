/* One connection: login, admission, then bytes between its stream and the hub. */
#include <errno.h>

#include "base/enc.h"
#include "base/mem.h"
#include "relay/relay_priv.h"
#include "relay/websock.h"

enum {
	ALIVE_SPREAD_US = 5 * 1000 * 1000, /* so that not all keep-alives fall together */
	HOLD_BACK_US = 1000,
	LIGHT_READ = 4 << 10, /* a read of so little is of one who does not flood */
	HEAVY_READ = 48 << 10,
	SHORT_READ = 16 << 10,
	LIGHT_US = 100 * 1000, /* they count as being there for so long */
};

/* What is needed until the client is in. */
struct session_login {
	struct node_pub key;
	struct box_shared shared;
	bool mesh;
	uint8_t present_flags;
	struct relay_ask *ask;
};

static void login_free(struct session_login *l)
{
	if (!l)
		return;
	if (l->ask)
		l->ask->session = NULL;
	box_shared_wipe(&l->shared);
	free(l);
}

static void wrote(struct relay_session *s, int r)
{
	/* A lost stream tells by `closed`; one that is merely full has room for a login. */
	(void)s;
	(void)r;
}

/* --- the end --- */

static void count_close(struct relay_session *s, enum relay_close why)
{
	s->relay->counts.closed[why]++;
}

static void session_free(struct relay_session *s)
{
	struct relay *r = s->relay;

	hub_leave(&r->hub, &s->hub, ev_now(r->env.ev));
	relay_kick(r);
	r->n_pending -= s->state != SESSION_OPEN;
	r->n_sessions--;
	ev_timer_stop(r->env.ev, &s->alive);
	ev_timer_stop(r->env.ev, &s->throttle);
	list_remove(&s->all);
	login_free(s->login);
	websock_free(s->ws);
	stream_free(s->stream);
	free(s);
}

void session_close(struct relay_session *s, enum relay_close why)
{
	count_close(s, why);
	session_free(s);
}

static void on_closed(struct stream *st, void *owner, int why)
{
	struct relay_session *s = owner;

	(void)st;
	if (why == ERR_TIMEOUT)
		session_close(s, s->state == SESSION_OPEN ? RELAY_CLOSE_UNFINISHED
		                                          : RELAY_CLOSE_LOGIN_TIMEOUT);
	else if (why == ERR_CLOSED)
		session_close(s, RELAY_CLOSE_PEER);
	else if (why == ERR_LIMIT)
		session_close(s, RELAY_CLOSE_LOGIN_BAD);
	else
		session_close(s, RELAY_CLOSE_NETWORK);
}

/* --- writing --- */

ssize_t session_write(struct hub_client *c, const struct iovec *iov, size_t n)
{
	struct relay_session *s = CONTAINER_OF(c, struct relay_session, hub);
	ssize_t sent = s->ws ? websock_write(s->stream, iov, n)
	                     : stream_try_write(s->stream, iov, n);

	if (!c->blocked) {
		s->out_seen = stream_count(s->stream).out;
		s->stalled = ev_now(s->relay->env.ev);
	}
	return sent;
}

static void on_drained(struct stream *st, void *owner)
{
	struct relay_session *s = owner;

	(void)st;
	if (s->state != SESSION_OPEN)
		return;
	hub_writable(&s->relay->hub, &s->hub);
	relay_kick(s->relay);
}

void session_check_stall(struct relay_session *s, mono now)
{
	uint64_t out = stream_count(s->stream).out;
	int64_t limit = s->hub.role == HUB_MESH ? RELAY_MESH_WRITE_TIMEOUT_US
	                                        : s->relay->env.write_timeout_us;

	if (out != s->out_seen) {
		s->out_seen = out;
		s->stalled = now;
	} else if (limit > 0 && mono_since(s->stalled, now) >= limit) {
		session_close(s, RELAY_CLOSE_SLOW);
	}
}

static void on_alive(struct ev_timer *t, mono now)
{
	struct relay_session *s = CONTAINER_OF(t, struct relay_session, alive);

	(void)now;
	hub_keep_alive(&s->relay->hub, &s->hub);
	relay_kick(s->relay);
	ev_timer_after(s->relay->env.ev, &s->alive,
	               DERP_KEEP_ALIVE_S * US_PER_S +
	                       (int64_t)rand_src_below(s->relay->env.rand, ALIVE_SPREAD_US));
}

/* --- login --- */

static void open_session(struct relay_session *s)
{
	AUTO_DONE(buf) struct buf info = { 0 };
	struct relay *r = s->relay;
	struct derp_server_info server = { .version = DERP_VERSION };
	enum hub_role role = s->login->mesh ? HUB_MESH : HUB_NODE;

	s->state = SESSION_OPEN;
	r->n_pending--;
	r->counts.logins++;
	s->hub.addr = s->from;
	s->hub.present_flags = s->login->present_flags;
	hub_join(&r->hub, &s->hub, role, &s->login->key, ev_now(r->env.ev));
	derp_put_server_info(&info, &s->login->shared, &server, r->env.rand);
	hub_put_control(&r->hub, &s->hub, buf_span(&info));
	login_free(TAKE(s->login));
	stream_deadline(s->stream, MONO_NEVER);
	stream_tune(s->stream, &(struct stream_tcp){ r->env.keepalive_s, r->env.user_timeout_ms,
	                                             RELAY_UNSENT_LOW });
	s->tokens = (double)r->env.rate_burst;
	s->tokens_at = ev_now(r->env.ev);
	ev_timer_after(r->env.ev, &s->alive,
	               DERP_KEEP_ALIVE_S * US_PER_S +
	                       (int64_t)rand_src_below(r->env.rand, ALIVE_SPREAD_US));
	relay_kick(r);
	stream_resume(s->stream);
}

static bool take_frames(struct relay_session *s, struct span in, size_t *ret_used);

/* Frames that came inside the WebSocket message of the login. */
static void take_left(struct relay_session *s)
{
	struct span left = websock_left(s->ws);
	size_t used;

	if (left.n && take_frames(s, left, &used))
		websock_used(s->ws, used);
}

void session_answer(struct relay_session *s, bool allow)
{
	s->login->ask = NULL;
	if (!allow) {
		session_close(s, RELAY_CLOSE_DENIED);
		return;
	}
	open_session(s);
	if (s->ws)
		take_left(s);
}

/* May end in the session being gone. */
static void ask_admission(struct relay_session *s, const struct derp_client_info *info)
{
	struct relay *r = s->relay;
	struct session_login *l = s->login;

	l->mesh = r->env.mesh_key && info->has_mesh_key &&
	          ct_eq(r->mesh_key, info->mesh_key, DERP_MESH_KEY);
	l->present_flags = (info->is_prober ? DERP_PRESENT_PROBER : 0) |
	                   (s->not_ideal ? DERP_PRESENT_NOT_IDEAL : 0);
	s->state = SESSION_ASKING;
	if (l->mesh || !r->env.admit) {
		open_session(s);
		return;
	}
	l->ask = mem_new(struct relay_ask);
	l->ask->key = l->key;
	l->ask->from = s->from;
	l->ask->session = s;
	memcpy(l->ask->app_name, info->app_name, sizeof(info->app_name));
	stream_pause(s->stream);
	r->env.admit(r->env.owner, l->ask);
}

/* The bytes used; *ret_gone: the session is no more. */
static size_t read_login(struct relay_session *s, struct span in, bool *ret_gone)
{
	AUTO_WIPE(derp_client_info) info;
	struct relay *r = s->relay;
	struct derp_frame f;
	size_t all = in.n;
	int got = derp_cut(&in, DERP_CLIENT_INFO_MAX, &f);

	if (got == 0)
		return 0;
	s->login = mem_new(struct session_login);
	if (got > 0)
		got = f.type != DERP_CLIENT_INFO
		              ? ERR_MALFORMED
		              : derp_client_info_parse(f.body, &r->key, &s->login->key,
		                                       &s->login->shared, &info);
	if (got >= 0 && r->n_sessions > r->env.clients_max)
		got = -EUSERS;
	if (got < 0) {
		session_close(s, got == -EUSERS ? RELAY_CLOSE_FULL : RELAY_CLOSE_LOGIN_BAD);
		*ret_gone = true;
		return all;
	}

	uint64_t before = r->n_sessions;

	ask_admission(s, &info);
	*ret_gone = r->n_sessions != before;
	return all - in.n;
}

/* --- rate --- */

void session_unthrottle(struct relay_session *s)
{
	if (!ev_timer_active(&s->throttle))
		return;
	ev_timer_stop(s->relay->env.ev, &s->throttle);
	stream_resume(s->stream);
}

bool session_is_held(const struct relay_session *s)
{
	return ev_timer_active(&s->throttle);
}

static void on_throttle(struct ev_timer *t, mono now)
{
	struct relay_session *s = CONTAINER_OF(t, struct relay_session, throttle);

	(void)now;
	stream_resume(s->stream);
}

/* A client over its rate is not read from: its own TCP holds it back, nobody else's. */
static void charge(struct relay_session *s, size_t n)
{
	const struct relay_env *env = &s->relay->env;
	mono now = ev_now(env->ev);
	double rate = (double)env->rate_bytes_per_s / (double)US_PER_S;

	if (!env->rate_bytes_per_s || s->hub.role == HUB_MESH)
		return;
	s->tokens += rate * (double)mono_since(s->tokens_at, now);
	if (s->tokens > (double)env->rate_burst)
		s->tokens = (double)env->rate_burst;
	s->tokens_at = now;
	s->tokens -= (double)n;
	if (s->tokens >= 0)
		return;
	s->relay->counts.throttled++;
	stream_pause(s->stream);
	ev_timer_after(env->ev, &s->throttle, (int64_t)(-s->tokens / rate) + 1);
}

/*
 * A client whose own packets overflow a queue is read from a little later: what
 * it sends would only be read, opened and dropped, at the cost of all others.
 */
static void hold_back(struct relay_session *s)
{
	if (s->hub.role == HUB_MESH || ev_timer_active(&s->throttle))
		return;
	s->relay->counts.held_back++;
	stream_pause(s->stream);
	ev_timer_after(s->relay->env.ev, &s->throttle, HOLD_BACK_US);
}

/*
 * While somebody sends little at a time, those who send without end are read from
 * in short pieces: what others wait for is the work of one such piece. When all
 * are of one kind, long reads cost everybody least.
 */
static void share_turn(struct relay_session *s, size_t n)
{
	mono now = ev_now(s->relay->env.ev);
	bool heavy = n >= (s->short_reads ? SHORT_READ / 2 : HEAVY_READ);

	if (n <= LIGHT_READ)
		s->relay->light_at = now;
	if (!heavy && !s->short_reads)
		return;

	bool cut = heavy && s->hub.role == HUB_NODE &&
	           mono_since(s->relay->light_at, now) < LIGHT_US;

	if (cut != s->short_reads)
		stream_read_at_most(s->stream, cut ? SHORT_READ : STREAM_READ_MAX);
	s->short_reads = cut;
}

/* --- reading --- */

static enum relay_close why_closed(int r)
{
	return r == ERR_CLOSED ? RELAY_CLOSE_KICKED
	       : r == ERR_LIMIT || r == ERR_SHORT || r == ERR_MALFORMED || r == ERR_DENIED
	               ? RELAY_CLOSE_BAD_FRAME
	               : RELAY_CLOSE_NETWORK;
}

/* Frames of a client that is in, or about to be. False: the session is gone. */
static bool take_frames(struct relay_session *s, struct span in, size_t *ret_used)
{
	bool gone = false;
	size_t used = 0;

	if (s->state == SESSION_LOGIN)
		used = read_login(s, in, &gone);
	*ret_used = used;
	if (gone)
		return false;
	in = span_from(in, used);
	if (s->state != SESSION_OPEN || !in.n)
		return true;

	uint64_t drops = s->relay->hub.own_drops;
	int r = hub_recv(&s->relay->hub, &s->hub, in, ev_now(s->relay->env.ev));

	*ret_used = used + in.n;
	relay_kick(s->relay);
	if (r < 0) {
		session_close(s, why_closed(r));
		return false;
	}
	charge(s, in.n);
	share_turn(s, in.n);
	if (s->relay->hub.own_drops != drops)
		hold_back(s);
	return true;
}

static size_t on_read(struct stream *st, void *owner, struct span in)
{
	size_t used;

	(void)st;
	return take_frames(owner, in, &used) ? used : in.n;
}

/* --- the same inside a WebSocket --- */

static size_t on_read_ws(struct stream *st, void *owner, struct span in)
{
	struct relay_session *s = owner;
	size_t all = in.n;

	while (s->state != SESSION_ASKING) {
		struct span part;
		size_t used;
		int r = websock_read(s->ws, st, &in, &part);

		if (r == 0)
			break;
		if (r < 0) {
			session_close(s,
			              r == ERR_CLOSED ? RELAY_CLOSE_PEER : RELAY_CLOSE_BAD_FRAME);
			return all;
		}
		if (!take_frames(s, part, &used))
			return all;
		websock_used(s->ws, used);
	}
	return all - in.n;
}

static const struct stream_ops ops = {
	.read = on_read,
	.drained = on_drained,
	.closed = on_closed,
};

static const struct stream_ops ws_ops = {
	.read = on_read_ws,
	.drained = on_drained,
	.closed = on_closed,
};

/* --- the beginning --- */

static void put_answer(struct buf *out, const struct relay *r, const struct relay_upgrade *up)
{
	char hex[HEX_LEN(KEY_LEN) + 1];

	if (up->way == RELAY_WAY_WEBSOCKET)
		ws_put_accept(out, span_str(up->ws_key), "derp");
	else if (up->way == RELAY_WAY_DERP)
		buf_fmt(out,
		        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: DERP\r\n"
		        "Connection: Upgrade\r\nDerp-Version: %d\r\nDerp-Public-Key: %s\r\n\r\n",
		        DERP_VERSION, hex_encode(hex, r->pub.b, KEY_LEN));
}

static void greet(struct relay_session *s, const struct relay_upgrade *up)
{
	AUTO_DONE(buf) struct buf out = { 0 }, key = { 0 };

	put_answer(&out, s->relay, up);
	derp_put_server_key(&key, &s->relay->pub);
	if (s->ws)
		websock_put(&out, buf_span(&key));
	else
		buf_add_span(&out, buf_span(&key));
	wrote(s, stream_write(s->stream, buf_span(&out)));
}

void relay_session_new(struct relay *r, struct stream *take, const struct relay_upgrade *up)
{
	struct relay_session *s = mem_new(struct relay_session);

	s->relay = r;
	s->stream = take;
	s->from = addr_is_set(&up->from) ? up->from : *stream_peer(take);
	s->not_ideal = up->not_ideal;
	s->alive.fn = on_alive;
	s->throttle.fn = on_throttle;
	if (up->way == RELAY_WAY_WEBSOCKET)
		s->ws = websock_new();
	list_append(&r->sessions, &s->all);
	r->n_pending++;
	r->n_sessions++;
	stream_hand_over(take, s->ws ? &ws_ops : &ops, s);
	stream_deadline(take, mono_after(ev_now(r->env.ev), DERP_LOGIN_S * US_PER_S));
	greet(s, up);
}
