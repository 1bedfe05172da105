#pragma once
/* Between the http_*.c files of the server; nobody else may see it. */
#include "base/list.h"
#include "base/map.h"
#include "http/h1.h"
#include "http/h2.h"
#include "platform/http_server.h"

/* What a connection is waiting for: decides its deadline and what to count. */
enum conn_stage { STAGE_TLS, STAGE_HEAD, STAGE_BODY, STAGE_ANSWER, STAGE_IDLE };

/* How many connections an address has. */
struct source {
	struct map_node node;
	struct ip ip;
	size_t n;
};

struct http_server {
	struct http_server_cfg cfg;
	struct http_stats stats;
	struct link conns;
	struct map sources;
	bool stopping;
};

struct http_conn {
	struct http_server *srv;
	struct link link;
	struct link reqs;
	const struct http_pipe *pipe;
	void *arg;
	struct stream *s; /* when the pipe is a stream */
	struct source *source;
	struct addr peer;
	struct ev_timer timer;
	struct ev_defer pump; /* HTTP/2 has output */
	enum conn_stage stage;
	struct h1_reader h1;
	struct h2 *h2;
	struct request *cur; /* HTTP/1: the one being answered */
	unsigned depth;
	bool secure, started; /* started: the version is known */
	bool full;            /* HTTP/2: no more until the pipe has drained */
	bool over, flush;     /* to be freed, after what is queued if `flush` */
};

struct request {
	struct http_req pub; /* first */
	struct http_conn *c;
	struct link link;
	struct h2_stream *st;     /* HTTP/2 */
	struct http_head *answer; /* its fields until it begins: in the arena */
	unsigned status;          /* once begun */
	struct http_later later;
	struct http_body body;
	void (*whole)(struct http_req *req, void *arg, struct span body);
	void *whole_arg;
	struct buf collected;
	bool body_done;   /* all of it came */
	bool body_wanted; /* somebody asked for it */
	bool continued;   /* 100 was sent or is not needed */
	bool begun, chunked, is_head, keep_alive;
	bool over;
	unsigned pins; /* being told things: freeing waits */
	bool freed;
	size_t dropped;
};

static inline struct request *req_of(struct http_req *req)
{
	return (struct request *)(void *)req;
}

/* http_conn.c */
/* Around all that may end the conn: it is freed at the outermost leave. */
void conn_enter(struct http_conn *c);
void conn_leave(struct http_conn *c);
void conn_accept(struct http_server *srv, int fd, const struct addr *peer, struct tls_server *tls);
void conn_close(struct http_conn *c, bool flush);
void conn_drop(struct http_conn *c, enum http_drop why);
/* Closes if it cannot be taken: half an answer would break what follows it. */
void conn_write(struct http_conn *c, struct span bytes);
void conn_stage(struct http_conn *c, enum conn_stage stage);
void conn_pump(struct http_conn *c);
/* HTTP/1: the answer is complete; the next request, or the end. */
void conn_answered(struct http_conn *c, bool keep);

/* http_server.c */
void server_forget(struct http_server *s, struct http_conn *c);
int server_admit(struct http_server *s, struct http_conn *c);
bool server_trusts(const struct http_server *s, const struct http_conn *c, const struct ip *ip);

/* http_req.c */
struct request *request_new(struct http_conn *c, const struct http_head *head);
void request_free(struct request *r);
/* The other side is lost: tells who waits, and frees. */
void request_gone(struct request *r);
void request_body(struct request *r, struct span bytes);
void request_body_end(struct request *r);
/* An answer from the server itself, to what is no proper request. */
void conn_refuse(struct http_conn *c, unsigned status);
