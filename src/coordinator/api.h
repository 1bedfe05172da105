#pragma once
/*
 * The REST API of Headscale v1, for its web consoles and scripts: paths, JSON and
 * bearer keys of 0.29, with the statuses and problem documents of the coming one
 * for those who ask for them (Accept: application/problem+json).
 *
 *	names in camelCase, in requests also snake_case; ids as text; times RFC 3339;
 *	every field always there; unknown fields of a request ignored; what 0.29 takes
 *	from the query and the coming one from the body is taken from both
 *
 * Every request but the description needs a key (Authorization: Bearer), except
 * on the Unix socket, where the file's mode decides. The table of routes says so
 * for each; there is no second list. What changes something leaves a line in the
 * audit log under the key's prefix. Who shows too many wrong keys is not looked at
 * for a while: 429.
 *
 * A core: a request in, an answer out, no socket. api_http serves it. One
 * operation is answered by a node: it gives back what to ask.
 */
#include "base/buf.h"
#include "base/fault.h"
#include "coordinator/question.h"
#include "coordinator/state.h"
#include "coordinator/tailnet_policy.h"
#include "coordinator/throttle.h"
#include "http/route.h"

struct http_req;

enum { API_BODY_MAX = 33 << 20 }; /* a policy as a JSON string */

/* What the API asks of the coordinator. */
struct api_env {
	struct state *st;
	struct tailnet_policy *policy;
	bool policy_in_file; /* it is read from a file: PUT is refused */
	/* Accepted, put in force, kept. */
	int (*set_policy)(void *arg, struct span text, const char *actor, struct fault *reterr);
	/* Pending logins, by their id. ERR_UNKNOWN */
	int (*register_login)(void *arg, struct span auth_id, uint64_t user, const char *actor,
	                      const struct node **ret, struct fault *reterr);
	int (*approve_login)(void *arg, struct span auth_id, const char *actor,
	                     struct fault *reterr);
	int (*reject_login)(void *arg, struct span auth_id, const char *actor);
	/* logins_plant */
	int (*plant_login)(void *arg, struct span auth_id, struct span name,
	                   const struct js *routes, struct node **ret);
	/* Asks a node, and answers the request; refuses with an error of FAILURES and why. */
	void (*ask)(void *arg, struct http_req *req, const struct question *q,
	            void (*refuse)(struct http_req *req, int error, const char *why));
	struct throttle *guesses; /* of keys, by source; NULL: not counted */
	void *arg;
};

struct api_request {
	struct span method, path, query, authorization, accept, body;
	bool local;         /* on the Unix socket */
	struct ip from;     /* whose wrong keys are counted */
	const char *socket; /* who, there: "socket:uid=0" */
	wall now;
};

/* Zeroed; done with api_answer_done. */
struct api_answer {
	unsigned status; /* 0: a node answers `question`, which views the request */
	struct question question;
	const char *type;
	struct buf body;
	const char *allow; /* 405: the methods there are; the arena's */
	struct arena arena;
};

void api_call(const struct api_env *env, const struct api_request *req, struct api_answer *ret);
void api_answer_done(struct api_answer *a);

/* Reads the body, calls, answers. env must live as long as the request. */
void api_http(const struct api_env *env, struct http_req *req, bool local, wall now);

enum api_access {
	API_OPEN, /* anybody: says nothing of the tailnet */
	API_KEY,  /* a valid key */
};

struct api_op;

struct api_row {
	struct route route;
	enum api_access access;
	int (*run)(struct api_op *o);
	const char *name; /* in the description: "createUser" */
	const char *summary;
	const char *takes;   /* fields of the request, in the words of api_describe.c */
	const char *answers; /* and of the answer; NULL: it is no object, and not described */
};

extern const struct api_row api_rows[];
extern const size_t api_rows_n;

/* The description of all rows, as JSON: OpenAPI 3.0, as the coming contract has it. */
void api_describe(struct buf *out);
/* OpenAPI 2.0, as 0.29 has it. */
void api_describe_029(struct buf *out);
