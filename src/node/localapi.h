#pragma once
/*
 * Rows of the local API: HTTP on a Unix socket, paths and JSON of tailscaled
 * v1.102.5, so that its `tailscale` command and programs that know it work here.
 *
 * Reading is everybody's who can connect; changing is root's, and the
 * operator's (prefs). Who connects is told by the socket.
 */
#include "node/node_priv.h"

enum api_need { API_ANY, API_READ, API_WRITE };

struct api_row {
	struct route route;
	enum api_need need;
	/* NULL: the answer is always this text, as JSON if it looks like it. */
	void (*fn)(struct node *n, struct http_req *req, const struct route_match *m);
	unsigned status;
	const char *text;
};

/* A table a file. */
#define API_TABLES(X) \
	X(control) X(core) X(debug) X(dial) X(dns) X(exit) X(host) X(other) X(profile) X(relay) X(who)
#define X(name)                                          \
	extern const struct api_row api_##name##_rows[]; \
	extern const size_t api_##name##_n;
API_TABLES(X)
#undef X

/* Value of a parameter in the query, decoded, in the request's arena; NULL if it is not there. */
const char *api_query(struct http_req *req, const char *name);
/* 200 and the JSON with a new line. */
void api_json(struct http_req *req, struct buf *body);
/* 500 and {"error":...}. */
void api_error(struct http_req *req, unsigned status, const char *text);
void api_empty(struct http_req *req, unsigned status);
bool api_may_write(const struct node *n, const struct http_req *req);

/*
 * A request that is answered later by something that cannot be called off: it
 * may leave before. api_wait_over gives it back, once; NULL: it left.
 */
struct api_waiter;
struct api_waiter *api_wait(struct http_req *req);
struct http_req *api_wait_over(struct api_waiter *take);
/* There will be no answer: it waits until it leaves. */
void api_wait_abandon(struct api_waiter *take);

/* Ends connections made for others (`dial`). */
void api_dials_end(struct node *n);
