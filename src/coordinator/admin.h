#pragma once
/*
 * What administrators do, as named operations with JSON arguments and answers:
 * POST /admin/<operation> on the Unix socket, by the commands of
 * fairlead-coordinator. Answers have the shape that Headscale 0.29's commands
 * print with --output json, as scripts depend on it: snake_case, empty values left
 * out, ids as numbers, times as {"seconds":N,"nanos":N}.
 *
 * Failures: {"error":"..."} with a status of 4xx or 5xx.
 */
#include "base/json.h"
#include "coordinator/coord.h"
#include "coordinator/question.h"

/* POST /admin/{op} */
void admin_call(struct coord_call *c);
/* Who is at the other end of the socket: "socket:uid=0". */
const char *admin_actor(const struct http_req *req, char dst[static 64]);
/* admin_ask.c: POST /admin/nodes.ask {id, path, method, body} */
void admin_ask(struct coord_call *c);
/* Asks, and answers the request with {status, type, body}; refuses in the asker's words. */
void admin_ask_node(struct coord *co, struct http_req *req, const struct question *q,
                    void (*refuse)(struct http_req *req, int error, const char *why));

/* admin_json.c: records in 0.29's shape. */
void admin_put_user(struct js_wr *w, const struct user *u);
void admin_put_node(struct js_wr *w, const struct state *st, const struct node *n);
/* key: the full text, or NULL for the masked one. */
void admin_put_auth_key(struct js_wr *w, const struct state *st, const struct auth_key *k,
                        const char *key);
void admin_put_api_key(struct js_wr *w, const struct api_key *k);
