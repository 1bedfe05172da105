/* HTTP requests of the coordinator to us, that came inside the map stream. */
#include "base/err.h"
#include "http/h1.h"
#include "node/node_priv.h"
#include "node/posture.h"

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

/* Updates are the system's packages: an answer to who asks, and to who orders one. */
static unsigned update(struct node *n, const struct asked *q, struct buf *body)
{
	struct js_wr w = js_wr_of(body);
	bool wanted = node_prefs(n)->auto_update.apply == OBOOL_TRUE;

	js_wr_open(&w, JS_OBJECT);
	if (span_is(q->head.method, "POST"))
		js_wr_kv_str(&w, "Err", wanted ? "not supported" : "not enabled");
	js_wr_kv_bool(&w, "Enabled", wanted);
	js_wr_kv_bool(&w, "Supported", false);
	js_wr_kv_bool(&w, "Started", false);
	js_wr_close(&w, JS_OBJECT);
	return 200;
}

static unsigned debug_netmap(struct node *n, const struct asked *q, struct buf *body)
{
	struct js_wr w = js_wr_of(body);

	(void)q;
	js_wr_open(&w, JS_OBJECT);
	js_wr_key(&w, "current");
	if (node_map(n))
		status_write_netmap(node_map(n), &w);
	else
		js_wr_null(&w);
	js_wr_close(&w, JS_OBJECT);
	return 200;
}

static unsigned debug_goroutines(struct node *n, const struct asked *q, struct buf *body)
{
	(void)n;
	(void)q;
	buf_add_str(body, "one thread, one loop\n");
	return 200;
}

/* The value as it stands: those asked for here need no decoding. Empty: none. */
static struct span param(const struct asked *q, const char *name)
{
	struct span rest = q->query, pair;

	while (span_cut(&rest, '&', &pair)) {
		size_t eq = span_find(pair, '=');

		if (span_is(span_first(pair, eq), name))
			return span_from(pair, eq < pair.n ? eq + 1 : eq);
	}
	return span(NULL, 0);
}

static unsigned component_logging(struct node *n, const struct asked *q, struct buf *body)
{
	uint64_t secs = 0;

	if (!param(q, "component").n) {
		buf_add_str(body, "{\"Error\":\"missing component\"}");
		return 400;
	}
	if (span_u64(param(q, "secs"), 86400, &secs) < 0)
		secs = 0;
	node_debug_log(n, (int64_t)secs * US_PER_S);
	buf_add_str(body, "{}");
	return 200;
}

static unsigned netfilter_kind(struct node *n, const struct asked *q, struct buf *body)
{
	struct span kind = param(q, "kind");
	struct prefs p = *node_prefs(n);
	int r;

	if (!span_is(kind, "nftables")) {
		buf_add_str(body, "only nftables is spoken here");
		return 400;
	}
	p.netfilter_kind = kind;
	r = node_set_prefs(n, prefs_dup(&p));
	if (r < 0)
		buf_add_str(body, err_text(r));
	return r < 0 ? 500 : 204;
}

static unsigned cert_status(struct node *n, const struct asked *q, struct buf *body)
{
	(void)n;
	if (!param(q, "domain").n) {
		buf_add_str(body, "no domain");
		return 400;
	}
	buf_add_str(body, "{\"Missing\":true}");
	return 200;
}

static unsigned no_routes(struct node *n, const struct asked *q, struct buf *body)
{
	(void)n;
	(void)q;
	buf_add_str(body, "{\"Domains\":{}}");
	return 200;
}

/* Who this machine is: told only where its owner agreed (--report-posture). */
static unsigned posture(struct node *n, const struct asked *q, struct buf *body)
{
	struct js_wr w = js_wr_of(body);

	js_wr_open(&w, JS_OBJECT);
	if (!node_prefs(n)->posture_checking) {
		js_wr_kv_bool(&w, "PostureDisabled", true);
	} else {
		js_wr_key(&w, "SerialNumbers");
		posture_write_serials(&w);
		if (span_is(param(q, "hwaddrs"), "true")) {
			js_wr_key(&w, "IfaceHardwareAddrs");
			posture_write_hwaddrs(&w);
		}
	}
	js_wr_close(&w, JS_OBJECT);
	return 200;
}

static unsigned remote(struct node *n, const struct asked *q, struct buf *body)
{
	(void)q;
	buf_add_str(body,
	            node_prefs(n)->remote_config ? "not supported" : "remote config not enabled");
	return node_prefs(n)->remote_config ? 501 : 403;
}

/* clang-format off */
static const struct c2n_row rows[] = {
	{ NULL,   "/echo",                    echo              },
	{ "POST", "/logtail/flush",           nothing           },
	{ NULL,   "/debug/prefs",             debug_prefs       },
	{ NULL,   "/debug/health",            debug_health      },
	{ NULL,   "/debug/metrics",           debug_metrics     },
	{ NULL,   "/debug/netmap",            debug_netmap      },
	{ NULL,   "/debug/goroutines",        debug_goroutines  },
	{ NULL,   "/debug/component-logging", component_logging },
	{ "POST", "/netfilter-kind",          netfilter_kind    },
	{ "GET",  "/vip-services",            vip_services      },
	{ "GET",  "/update",                  update            },
	{ "POST", "/update",                  update            },
	{ "GET",  "/posture/identity",        posture           },
	{ "GET",  "/tls-cert-status",         cert_status       },
	{ "GET",  "/appconnector/routes",     no_routes         },
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
	if (span_starts(q->path, "/remoteapi/"))
		return remote(n, q, body);
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
