#pragma once
/*
 * What a person's browser asks when a device joins, or an SSH session is checked:
 *
 *	GET /register/ID, /auth/ID	the provider's login, or without one the
 *				command for the administrator
 *	GET /oidc/callback	back from the provider: "is this your device?"
 *	POST /register/confirm/ID	yes; the device joins, the session goes on
 *
 * The last step is there so that a link that somebody else sent registers
 * nothing by itself. It takes a cookie that the second step set and a token that
 * only its page holds.
 *
 * Threads	that of the loop.
 */
#include "coordinator/oidc/oidc_client.h"
#include "platform/http_server.h"

enum { WEB_PENDING_MAX = 1024, WEB_PENDING_LIFE_S = 15 * 60 };

/* A device that waits. Texts are good until the loop turns. */
struct web_login {
	const char *hostname, *os, *version, *machine_key; /* "": not known */
	const char *session_to, *session_login; /* NULL, or of the SSH session that waits */
};

/* What the pages need of the coordinator. */
struct web_env {
	/* Is there a login of that id, waiting? */
	bool (*find)(void *arg, struct span auth_id, struct web_login *ret);
	/*
	 * The person says yes: the device joins as theirs, or the session goes on. expiry
	 * 0: the default. reterr: for the person.
	 */
	int (*join)(void *arg, struct span auth_id, const struct oidc_identity *who, wall expiry,
	            struct fault *reterr);
	const char *server_url, *tailnet; /* tailnet: its name, or "" */
	void *arg;
};

struct web;

/* oidc may be NULL: only administrators let devices in. */
/* Free it after the HTTP servers whose requests it answers, and before the oidc client. */
struct web *web_new(struct ev *ev, struct rand_src *rand, const struct web_env *env,
                    struct oidc_client *oidc);
void web_free(struct web *w);
DEFINE_AUTO(web_free, struct web *)

void web_register(struct web *w, struct http_req *req, const char *auth_id);
void web_callback(struct web *w, struct http_req *req);
void web_confirm(struct web *w, struct http_req *req, const char *auth_id);
void web_clients(struct web *w, struct http_req *req);
