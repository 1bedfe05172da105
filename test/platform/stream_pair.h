#pragma once
/* Two ends of a stream in one process, each recording what happens to it. */
#include "base/buf.h"
#include "platform/stream.h"
#include "platform/tls.h"

struct end {
	struct stream *s;
	int fd; /* the stream's */
	struct buf got;
	unsigned opens, drains, eofs, closes;
	int why;
	size_t use_at_most; /* per read; 0: everything */
	size_t leave_under; /* leave everything while there is less than this */
	bool free_in_read, echo;
};

extern const struct stream_ops end_ops;      /* eof closes */
extern const struct stream_ops end_half_ops; /* eof is told */

struct pair {
	struct ev *ev;
	struct end a, b; /* b accepts where that matters */
};

void pair_open(struct pair *p, const struct stream_cfg *cfg);
void pair_open_tls(struct pair *p, const struct stream_cfg *cfg, struct tls_server *server,
                   struct tls_client *client, const struct tls_peer *peer);
void pair_close(struct pair *p);
/* Turns the loop until nothing has happened for some turns. */
void pair_settle(struct pair *p);
/* A loopback certificate for "relay.test". */
struct tls_cert *test_cert(void);
