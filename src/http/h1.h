#pragma once
/*
 * HTTP/1.1 (RFC 9112): a reader that is fed what has arrived, and writers of
 * heads and chunks. No sockets; it works over TCP, TLS, Noise, a Unix socket.
 *
 * The reader takes the front of the input and says how much it used; the caller
 * keeps the rest and offers it again, with more behind it (a stream does that).
 *
 *	H1_MORE		needs more bytes than there are
 *	H1_HEAD		the head is read; its views point into the input
 *	H1_BODY		a piece of the body, a view into the input
 *	H1_END		the message is complete; the next one may follow
 *	H1_RAW		what follows is no HTTP (101, or 2xx to CONNECT)
 *
 * Strict where leniency lets two readers disagree about where a message ends:
 * lines end in CR LF, no folded lines, no space before a colon, not both a
 * length and chunks, one length, "chunked" alone, one Host.
 */
#include "http/http.h"

enum {
	H1_LINE_MAX = 8 << 10,    /* request or status line */
	H1_CHUNK_LINE_MAX = 256,  /* size and extensions of a chunk */
	H1_TRAILER_MAX = 4 << 10, /* fields after the last chunk, which are dropped */
	H1_METHOD_MAX = 32,
	H1_INTERIM_MAX = 8, /* 1xx responses before the one that counts */
};

#define H1_BODY_MAX (UINT64_C(1) << 62)

enum h1_event { H1_MORE, H1_HEAD, H1_BODY, H1_END, H1_RAW };
enum h1_kind { H1_REQUEST, H1_RESPONSE };

struct h1_reader {
	enum h1_kind kind;
	/* For responses: what was asked, as it decides whether a body follows. */
	bool answers_head, answers_connect;

	/* What the last head said. */
	bool keep_alive;     /* the connection may be used again */
	bool wants_continue; /* the client waits for "100 Continue" */
	bool has_body;       /* bytes, or none, before H1_END */
	bool chunked;
	uint64_t length; /* of a body with a length */

	unsigned refuse; /* after an error: the status to answer with */

	unsigned state; /* private from here */
	uint64_t left;
	uint32_t scanned, trailer;
	unsigned interim;
};

struct h1_step {
	enum h1_event event;
	size_t used;      /* bytes of the input that are done with */
	struct span body; /* H1_BODY */
};

void h1_reader_init(struct h1_reader *r, enum h1_kind kind);
/*
 * One step. The head is written for H1_HEAD only. After an error the reader is
 * spent and `refuse` set.
 *   ERR_MALFORMED	breaks the rules (400)
 *   ERR_LIMIT		a line, head, or number too long (414, 431, 400)
 *   ERR_VERSION	not HTTP/1.0 or 1.1 (505)
 *   ERR_UNKNOWN	a transfer coding or expectation not known (501, 417)
 */
NODISCARD int h1_read(struct h1_reader *r, struct span in, struct http_head *head,
                      struct h1_step *ret);
/*
 * The other side will send no more. 0 and true if a body that lasts until the
 * end is complete now; 0 and false if nothing was begun; ERR_SHORT otherwise.
 */
NODISCARD int h1_end_of_input(struct h1_reader *r, bool *ret_complete);

/* Writers append. Texts given by the caller as char * are its own and trusted. */
void h1_write_request(struct buf *b, struct span method, struct span target);
void h1_write_status(struct buf *b, unsigned status);
void h1_put(struct buf *b, const char *name, const char *value);
void h1_put_u64(struct buf *b, const char *name, uint64_t value);
/* For names and values from elsewhere: ERR_MALFORMED, and nothing is written. */
NODISCARD int h1_put_span(struct buf *b, struct span name, struct span value);
void h1_end_head(struct buf *b);
/* A chunk is its head, n bytes, and CR LF; n > 0. */
void h1_chunk_head(struct buf *b, size_t n);
void h1_chunk_end(struct buf *b);
void h1_last_chunk(struct buf *b);
