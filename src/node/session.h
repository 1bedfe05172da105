#pragma once
/*
 * One login: registration with the coordinator, the map stream, reports of our
 * own state. Made for a profile, freed at logout or a switch; it owns the
 * network map, which goes with it.
 *
 *	REGISTER -> WAIT (somebody must open auth_url) -> POLL
 *	    ^-------------------------------------------'  (key gone or expired)
 *
 * Whatever fails is tried again, later each time; what was learned stays in
 * force meanwhile.
 *
 * Hooks are called from the loop. The session may be freed in none of them.
 */
#include "base/rand.h"
#include "control/capver.h"
#include "netmap/netmap.h"
#include "node/ctl.h"
#include "node/prefs.h"

struct session;

enum session_state {
	SESSION_IDLE,     /* not started */
	SESSION_REGISTER, /* asks, or will ask again */
	SESSION_WAIT,     /* for a person, at auth_url */
	SESSION_POLL,     /* registered: the map stream is open, or will be again */
	SESSION_REFUSED,  /* the coordinator said no: error */
	SESSION_LOGGED_OUT,
};

struct session_hooks {
	void *ctx;
	/* State, auth_url, error or in_poll is another. */
	void (*changed)(void *ctx);
	/* Registered, under these keys and this user: to be kept. */
	void (*logged_in)(void *ctx, const struct persist *persist);
	/* The map is another than before. */
	void (*map)(void *ctx, const struct netmap_delta *delta);
	/* What we say of ourselves; texts must live until the call after next. */
	void (*hostinfo)(void *ctx, struct tc_hostinfo *ret);
	/* The coordinator wants the user to see this page. */
	void (*browse)(void *ctx, const char *url);
	/*
	 * The coordinator wants a peer pinged ("disco", "TSMP", "ICMP"). done is called
	 * once, maybe from here; NULL: there was no answer.
	 */
	void (*ping)(void *ctx, const struct ip *ip, const char *type,
	             void (*done)(void *arg, const struct tc_ping_response *answer), void *arg);
	/* A request of the coordinator's to us ("c2n"): an HTTP request; the answer goes to ret. */
	void (*c2n)(void *ctx, struct span request, struct buf *ret);
};

struct session_cfg {
	const struct http_client *http;
	const struct machine_priv *machine;
	const struct prefs *prefs; /* control URL, keys; looked at by session_new only */
	struct disco_pub disco;
	const char *auth_key; /* NULL or "": none */
	bool force_https;
	bool ephemeral;
	struct session_hooks hooks;
};

struct session_status {
	enum session_state state;
	const char *auth_url; /* WAIT; "" otherwise */
	const char *error;    /* the last failure in words, "" after a success */
	bool in_poll;         /* the stream is open and speaks */
	bool has_map;
	mono last_map; /* 0: none yet */
	uint64_t bad_messages;
};

NODISCARD int session_new(const struct session_cfg *cfg, struct session **ret);
void session_free(struct session *s);
DEFINE_AUTO(session_free, struct session *)

/*
 * The map of before, from disk: it holds until the coordinator speaks. Told by
 * the map hook. Errors of js_decode and netmap_apply: it is as before.
 */
NODISCARD int session_seed(struct session *s, struct span message);

/* With the key there is, or a fresh one: a person has to agree again. */
enum session_login { SESSION_WITH_KEY, SESSION_FRESH_KEY };
void session_start(struct session *s, enum session_login how);
/* Keeps the map, asks for nothing, until session_start. */
void session_pause(struct session *s);
/*
 * done once: 0, or why the coordinator may not have heard.
 *   ERR_BADSTATE	the session was told something else meanwhile, or is freed
 */
void session_logout(struct session *s, void (*done)(void *arg, int r), void *arg);

/* The body of a registration that asks for our key to end then. */
void session_put_expiry(struct session *s, wall at, struct buf *ret);

/* hostinfo would say something else, or the endpoints did. */
void session_report(struct session *s);
void session_set_endpoints(struct session *s, const struct addr *v, const int64_t *types, size_t n);
/* The network changed under us. */
void session_link_changed(struct session *s);

struct session_status session_status(const struct session *s);
const struct netmap *session_map(const struct session *s);
const struct persist *session_persist(const struct session *s);
struct ctl *session_ctl(struct session *s);
