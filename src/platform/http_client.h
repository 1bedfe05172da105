#pragma once
/*
 * Requests to other servers: verify URLs, OIDC, DERP maps, ACME, the local
 * socket. One HTTP/1.1 connection a request; a deadline over all of it, a limit
 * on what may come, redirects only if asked for and never from https to http.
 */
#include "http/http.h"
#include "http/proxy.h"
#include "platform/dial.h"

enum {
	FETCH_BODY_MAX = 1 << 20,
	FETCH_TIMEOUT_US = 30 * 1000 * 1000,
	FETCH_REDIRECTS_MAX = 10,
};

/* What all requests of a program have in common; pointers must live as long as the client. */
struct http_client {
	struct ev *ev;
	struct resolver *resolver;
	struct tls_client *tls;                                   /* NULL: no https */
	const struct proxy_env *proxy;                            /* NULL: none */
	const char *user_agent;                                   /* NULL: "fairlead/VERSION" */
	int (*prepare)(void *arg, int fd, const struct addr *to); /* as in dial_cfg */
	void *prepare_arg;
};

/* Copied by http_fetch. */
struct fetch_cfg {
	const char *method;    /* NULL: GET, or POST with a body */
	const char *url;       /* "http://local/path" with unix_path */
	const char *unix_path; /* NULL: TCP */
	const struct http_field *fields;
	size_t n_fields;
	const char *type; /* of the body; NULL: none */
	struct span body;
	size_t body_max;             /* of the answer; 0: FETCH_BODY_MAX */
	int64_t timeout_us;          /* 0: FETCH_TIMEOUT_US; negative: none, for streams */
	unsigned redirects;          /* followed for GET and HEAD; 0: none */
	const struct tls_peer *peer; /* NULL: the URL's host by the system's roots */
	/*
	 * The answer as it comes, for long ones; body_max does not count then and the
	 * body given to done is empty. Optional.
	 */
	void (*head)(void *owner, const struct http_head *head);
	void (*bytes)(void *owner, struct span bytes);
};

struct fetched {
	unsigned status;
	const struct http_head *head;
	struct span body;
};

struct fetch;
/*
 * done is called once, from the loop: 0 and the answer, whatever its status; or
 * why there is none (found is NULL then): ERR_MALFORMED (URL, answer), ERR_LIMIT,
 * ERR_TIMEOUT, ERR_CLOSED, ERR_DENIED (proxy, or a redirect that is not
 * followed to there), what dialling said.
 */
struct fetch *http_fetch(const struct http_client *client, const struct fetch_cfg *cfg,
                         void (*done)(void *owner, int r, const struct fetched *found),
                         void *owner);
/* Before done was called; NULL is allowed. Also from within head and bytes. */
void fetch_cancel(struct fetch *f);
/* In done, after an error: more than the code says; "" if nothing. */
const char *fetch_error(const struct fetch *f);
