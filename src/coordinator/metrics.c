#include "coordinator/metrics.h"

#include "coordinator/front.h"
#include "coordinator/logins.h"
#include "coordinator/streams.h"
#include "coordinator/tailnet_policy.h"

struct value {
	const char *name, *type, *help;
	uint64_t value;
	const char *labels; /* "{a=\"b\"}"; NULL: none */
};

/* help NULL: another value of the one before. */
static void put(struct buf *out, const struct value *v)
{
	if (v->help)
		buf_fmt(out, "# HELP %s %s\n# TYPE %s %s\n", v->name, v->help, v->name, v->type);
	buf_fmt(out, "%s%s %llu\n", v->name, v->labels ? v->labels : "",
	        (unsigned long long)v->value);
}

/* Connections that were closed on the other side's account, by reason. */
static void put_drops(struct buf *out, const struct http_stats *http)
{
	static const char name[] = "fairlead_http_dropped_total";

	buf_fmt(out, "# HELP %s Connections closed by us.\n# TYPE %s counter\n", name, name);
	for (enum http_drop d = 0; d < HTTP_DROP_MAX; d++)
		buf_fmt(out, "%s{reason=\"%s\"} %llu\n", name, http_drop_name(d),
		        (unsigned long long)http->drops[d]);
}

void metrics_get(struct coord_call *c)
{
	const struct coord *co = c->co;
	const struct maphub_count *m = maphub_count(co->hub);
	const struct http_stats *http = http_server_stats(co->http);
	const struct value values[] = {
		{ "fairlead_nodes", "gauge", "Registered nodes.", state_node_count(co->st) },
		{ "fairlead_nodes_online", "gauge", "Nodes with a map stream, or lately so.",
		  state_online_count(co->st) },
		{ "fairlead_map_streams", "gauge", "Open map streams.",
		  streams_count(co->streams) },
		{ "fairlead_logins_pending", "gauge", "Logins that wait for a person.",
		  logins_count(co->logins) },
		{ "fairlead_logins_refused_total", "counter",
		  "Logins and pre-auth keys not looked at: too many from one address.",
		  logins_refused(co->logins) },
		{ "fairlead_api_refused_total", "counter",
		  "API requests not looked at: too many wrong keys from one address.",
		  front_refused(co->front) },
		{ "fairlead_visibility_classes", "gauge", "Classes of nodes that see alike.",
		  visibility_class_count(maphub_visibility(co->hub)) },
		{ "fairlead_policy_tests_failing", "gauge",
		  "Tests inside the policy that fail with the users and nodes there are.",
		  tailnet_policy_failing(co->policy) },
		{ "fairlead_changes_total", "counter", "Changes of the tailnet.",
		  state_seq(co->st) },
		{ "fairlead_map_full_total", "counter", "Full maps built.", m->full },
		{ "fairlead_map_delta_total", "counter", "Delta messages.", m->delta },
		{ "fairlead_map_delta_shared_total", "counter",
		  "Of them encoded for another before.", m->delta_shared },
		{ "fairlead_map_images_total", "counter", "Peer lists encoded for a class.",
		  m->images },
		{ "fairlead_http_requests_total", "counter", "Requests.", http->requests },
		{ "fairlead_http_connections", "gauge", "Open connections.", http->open },
		/* Names that dashboards made for Headscale look for. */
		{ "headscale_nodestore_nodes", "gauge", "Registered nodes.",
		  state_node_count(co->st) },
		{ "headscale_nodestore_queue_depth", "gauge",
		  "Changes that wait: none, as they are made one by one.", 0 },
		{ "headscale_mapresponse_sent_total", "counter", "Map messages sent.",
		  m->full + m->delta, "{status=\"ok\",type=\"map\"}" },
		{ "headscale_mapresponse_generated_total", "counter", "Map messages made.", m->full,
		  "{response_type=\"full\"}" },
		{ "headscale_mapresponse_generated_total", "counter", NULL,
		  m->delta - m->delta_shared, "{response_type=\"change\"}" },
	};
	struct buf out = { 0 };

	for (size_t i = 0; i < ARRAY_LEN(values); i++)
		put(&out, &values[i]);
	put_drops(&out, http);
	http_answer(c->req, 200, "text/plain; version=0.0.4; charset=utf-8", buf_span(&out));
	buf_done(&out);
}
