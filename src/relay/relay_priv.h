#pragma once
/* Between relay.c and session.c only. */
#include "relay/relay.h"

struct relay {
	struct relay_env env;
	struct node_priv key;
	struct node_pub pub;
	uint8_t mesh_key[DERP_MESH_KEY];
	struct hub hub;
	struct relay_counts counts;
	struct link sessions;
	size_t n_pending, n_sessions;
	mono light_at; /* when somebody last sent just a little */
	struct ev_defer flush;
	struct ev_timer stalls; /* runs while anybody is blocked, or a frame is unfinished */
};

enum session_state { SESSION_LOGIN, SESSION_ASKING, SESSION_OPEN };

struct relay_session {
	struct hub_client hub;
	struct relay *relay;
	struct stream *stream;
	struct link all; /* relay.sessions */
	struct ev_timer alive, throttle;
	struct session_login *login; /* until it is in */
	struct websock *ws;          /* of a WebSocket */
	struct addr from;
	mono stalled; /* since when its socket has taken nothing */
	uint64_t out_seen;
	double tokens;
	mono tokens_at;
	bool not_ideal;
	bool short_reads; /* it sends without end while others do not */
	uint8_t state;
};

void relay_session_new(struct relay *r, struct stream *take, const struct relay_upgrade *up);
/* At once. */
void session_close(struct relay_session *s, enum relay_close why);
/* The hub's writer. */
ssize_t session_write(struct hub_client *c, const struct iovec *iov, size_t n);
void session_answer(struct relay_session *s, bool allow);
/* Closes it if its socket has taken nothing for too long. */
void session_check_stall(struct relay_session *s, mono now);
void session_unthrottle(struct relay_session *s);
/* It is not read from just now. */
bool session_is_held(const struct relay_session *s);
