#pragma once
/* Shared by session.c (registration, life) and session_poll.c (the map stream, reports). */
#include "control/mapframe.h"
#include "node/session.h"

struct session {
	struct session_cfg cfg;
	struct ctl *ctl;
	struct netmap map;
	struct persist *persist; /* what the coordinator knows us by */
	struct node_priv trying; /* the key of the registration under way */
	bool is_fresh;           /* trying was made for it */
	enum session_state state;
	char *auth_key, *auth_url, *error;
	unsigned failures;
	struct ev_timer retry;
	struct ctl_call *reg, *poll, *lite;
	void (*logout_done)(void *arg, int r);
	void *logout_arg;

	/* the map stream */
	struct mapframe_rd frames;
	struct ev_timer watchdog;
	bool in_poll, first;
	mono last_map;
	uint64_t bad_messages;
	char *last_ping_url, *last_pop_url;
	struct link pings;

	/* reports */
	struct ev_timer report;
	bool report_again;
	unsigned report_failures;
	struct addr endpoints[64];
	int64_t endpoint_types[64];
	size_t n_endpoints;
};

int64_t session_backoff(unsigned failures);
void session_changed(struct session *s);
void session_set_persist(struct session *s, const struct persist *p);
void session_register_again(struct session *s);
void session_retry_poll(struct session *s, int64_t us);

void session_poll_init(struct session *s);
void session_poll_stop(struct session *s);
void session_poll_done(struct session *s);
void session_poll(struct session *s);
/* A ping the coordinator asks for. */
void session_ping(struct session *s, const struct tc_ping_request *q);
void session_pings_cancel(struct session *s);
