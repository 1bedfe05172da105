/* What `debug` and the metrics commands ask. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/err.h"
#include "base/rand.h"
#include "node/localapi.h"

static void user_metrics(struct node *n, struct http_req *req, const struct route_match *m)
{
	AUTO_DONE(buf) struct buf body = { 0 };

	(void)m;
	engine_write_metrics(n, &body);
	http_answer(req, 200, "text/plain;version=0.0.4;charset=utf-8", buf_span(&body));
}

static void bugreport(struct node *n, struct http_req *req, const struct route_match *m)
{
	time_t now = (time_t)(ev_wall(n->ev).us / US_PER_S);
	struct tm tm;
	char when[32];

	(void)m;
	(void)gmtime_r(&now, &tm);
	(void)strftime(when, sizeof(when), "%Y%m%d%H%M%SZ", &tm);
	http_answer_text(req, 200, "BUG-%s-%s-%016" PRIx64, n->backend_log_id, when, rand_u64());
}

static void debug(struct node *n, struct http_req *req, const struct route_match *m)
{
	const char *action = api_query(req, "action");

	(void)m;
	if (!action) {
		http_answer_text(req, 400, "missing parameter 'action'");
	} else if (strcmp(action, "restun") == 0 || strcmp(action, "rebind") == 0) {
		engine_restun(n);
		http_answer_text(req, 200, "done");
	} else if (strcmp(action, "force-netmap-update") == 0 && n->session) {
		session_link_changed(n->session);
		http_answer_text(req, 200, "done");
	} else {
		http_answer_text(req, 400, "unknown action %s", action);
	}
}

static void goroutines(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)n;
	(void)m;
	http_answer_text(req, 200, "one thread, one loop");
}

static void set_expiry_sooner(struct node *n, struct http_req *req, const struct route_match *m)
{
	const char *text = api_query(req, "expiry");
	uint64_t at;

	(void)m;
	if (!text || span_u64(span_str(text), UINT32_MAX, &at) < 0)
		http_answer_text(req, 400, "missing 'expiry' parameter, a unix timestamp");
	else if (!n->session)
		http_answer_text(req, 500, "not connected");
	else {
		session_set_expiry(n->session, (wall){ (int64_t)at * US_PER_S });
		http_answer_text(req, 200, "done");
	}
}

static void disconnect_control(struct node *n, struct http_req *req, const struct route_match *m)
{
	(void)m;
	if (n->session)
		session_pause(n->session);
	api_empty(req, 200);
}

#define V0 "/localapi/v0/"
/* clang-format off */
const struct api_row api_debug_rows[] = {
	{ { "GET",  V0 "usermetrics" },        API_ANY,   user_metrics       },
	{ { "GET",  V0 "metrics" },            API_WRITE, user_metrics       },
	{ { "POST", V0 "bugreport" },          API_READ,  bugreport          },
	{ { "POST", V0 "debug" },              API_WRITE, debug              },
	{ { "GET",  V0 "goroutines" },         API_WRITE, goroutines         },
	{ { "POST", V0 "set-expiry-sooner" },  API_WRITE, set_expiry_sooner  },
	{ { "POST", V0 "disconnect-control" }, API_WRITE, disconnect_control },
};
/* clang-format on */
const size_t api_debug_n = ARRAY_LEN(api_debug_rows);
