/* HTTP requests of the coordinator to us, that came inside the map stream. */
#include "http/h1.h"
#include "node/node_priv.h"

struct asked {
	struct http_head head;
	struct span path, query, body;
};

struct c2n_row {
	const char *method, *path; /* method NULL: any */
	unsigned (*fn)(struct node *n, const struct asked *q, struct buf *body);
};

static unsigned echo(struct node *n, const struct asked *q, struct buf *body)
{
	(void)n;
	buf_add_span(body, q->body);
	return 200;
}

static unsigned nothing(struct node *n, const struct asked *q, struct buf *body)
{
	(void)n;
	(void)q;
	(void)body;
	return 204;
}

static unsigned debug_prefs(struct node *n, const struct asked *q, struct buf *body)
{
	(void)q;
	prefs_write_public(body, node_prefs(n), NULL);
	return 200;
}

static unsigned debug_health(struct node *n, const struct asked *q, struct buf *body)
{
	struct js_wr w = js_wr_of(body);

	(void)q;
	health_write_state(n, &w);
	return 200;
}

static unsigned debug_metrics(struct node *n, const struct asked *q, struct buf *body)
{
	(void)q;
	engine_write_metrics(n, body);
	return 200;
}

static unsigned vip_services(struct node *n, const struct asked *q, struct buf *body)
{
	(void)n;
	(void)q;
	buf_add_str(body, "{\"VIPServices\":null,\"ServicesHash\":\"\"}");
	return 200;
}

static unsigned update(struct node *n, const struct asked *q, struct buf *body)
{
	(void)n;
	(void)q;
	buf_add_str(body, "{\"Enabled\":false,\"Supported\":false,\"Started\":false}");
	return 200;
}

/* clang-format off */
static const struct c2n_row rows[] = {
	{ NULL,   "/echo",          echo          },
	{ "POST", "/logtail/flush", nothing       },
	{ "GET",  "/debug/prefs",   debug_prefs   },
	{ "GET",  "/debug/health",  debug_health  },
	{ "GET",  "/debug/metrics", debug_metrics },
	{ "GET",  "/vip-services",  vip_services  },
	{ "GET",  "/update",        update        },
};
/* clang-format on */

static unsigned run(struct node *n, const struct asked *q, struct buf *body)
{
	bool known = false;

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (!span_is(q->path, rows[i].path))
			continue;
		if (!rows[i].method || span_is(q->head.method, rows[i].method))
			return rows[i].fn(n, q, body);
		known = true;
	}
	buf_add_str(body, known ? "bad method" : "unknown c2n path");
	return known ? 405 : 400;
}

/* The request comes whole; its body in one piece. */
static int parse(struct span in, struct asked *q)
{
	struct h1_reader r;
	struct h1_step step;
	int e;

	h1_reader_init(&r, H1_REQUEST);
	while ((e = h1_read(&r, in, &q->head, &step)) == 0) {
		in = span_from(in, step.used);
		if (step.event == H1_BODY)
			q->body = step.body;
		else if (step.event == H1_HEAD)
			target_split(q->head.target, &q->path, &q->query);
		else
			break;
	}
	return e < 0 || step.event != H1_END ? -1 : 0;
}

void c2n_answer(struct node *n, struct span request, struct buf *ret)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	struct asked q = { 0 };
	unsigned status = 400;

	if (parse(request, &q) == 0)
		status = run(n, &q, &body);
	h1_write_status(ret, status);
	h1_put_u64(ret, "Content-Length", body.n);
	h1_end_head(ret);
	buf_add_span(ret, buf_span(&body));
}
