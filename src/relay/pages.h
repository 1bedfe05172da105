#pragma once
/*
 * The pages every relay has, as data: a request's head in, a whole answer out.
 * Whoever serves HTTP in front of a relay asks here first; what is not found
 * here is its own.
 *
 * Pure but for what it reads of the relay.
 */
#include "relay/relay.h"

enum { PAGE_FIELDS_MAX = 8 };

struct page {
	unsigned status;
	const char *type; /* NULL: no body */
	struct buf body;
	size_t n_fields;
	struct {
		const char *name;
		char value[160];
	} field[PAGE_FIELDS_MAX];
	bool close; /* the connection ends with the answer */
};

void page_done(struct page *p);

struct page_env {
	struct relay *relay;
	bool tls;                /* came in by TLS */
	bool trusted;            /* from this machine: may see /debug/ and /metrics */
	bool metrics;            /* anybody may see /metrics */
	const char *host;        /* our name, for redirects; may be NULL */
	const char *front;       /* "": blank; a URL: redirect there; NULL: our own page */
	const struct buf *names; /* /bootstrap-dns: JSON of published names; may be NULL */
	/* A name not published (?q=); NULL if it is not one of ours. */
	const struct buf *(*look_up)(void *owner, struct span name);
	/* More lines for /metrics. Optional. */
	void (*more_metrics)(void *owner, struct buf *out);
	/* Healthy: 200. Optional. */
	const char *(*trouble)(void *owner);
	void *owner;
};

/* Whether the path is /derp, which is relay_upgrade_of's. */
bool page_is_derp(const struct http_head *head);
/* The answer to a request for /derp that asked for no upgrade. */
void page_no_upgrade(struct page *ret);
/* False: no such page here, and *ret is a 404. The head's body, if any, is of no interest. */
bool page_find(const struct http_head *head, const struct page_env *env, struct page *ret);
/* The answer as bytes of HTTP/1.1. */
void page_write(struct buf *out, const struct http_head *head, const struct page *p, bool keep);

/* Prometheus text (version 0.0.4). */
void relay_metrics(struct relay *r, struct buf *out);
/* A line a client, for operators. */
void relay_list_clients(struct relay *r, struct buf *out);
/* What there is below /debug/; `rest` is the path behind it. */
void page_debug(struct span rest, const struct page_env *env, struct page *ret);
