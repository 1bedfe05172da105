#include "coordinator/judge.h"

static uint64_t open_class(void *arg, const struct node *n)
{
	(void)arg;
	(void)n;
	return 1;
}

static bool open_sees(void *arg, const struct node *a, const struct node *b)
{
	(void)arg;
	(void)a;
	(void)b;
	return true;
}

static void open_routes(void *arg, const struct node *viewer, const struct node *peer,
                        struct prefixes *routes)
{
	(void)arg;
	(void)viewer;
	(void)peer;
	(void)routes;
}

static void open_filter(void *arg, const struct node *n, struct buf *json)
{
	(void)arg;
	(void)n;
	buf_add_str(json,
	            "{\"base\":[{\"SrcIPs\":[\"100.64.0.0-100.115.91.255\","
	            "\"100.115.94.0-100.127.255.255\",\"fd7a:115c:a1e0::/48\"],"
	            "\"DstPorts\":[{\"IP\":\"*\",\"Ports\":{\"First\":0,\"Last\":65535}}]}]}");
}

static void open_ssh(void *arg, const struct node *n, struct buf *json)
{
	(void)arg;
	(void)n;
	buf_add_str(json, "{\"rules\":[]}");
}

static void open_attributes(void *arg, const struct node *n, struct js_wr *w)
{
	(void)arg;
	(void)n;
	(void)w;
}

static uint64_t open_stamp(void *arg)
{
	(void)arg;
	return 1;
}

const struct judge judge_open = {
	.class_key = open_class,
	.sees = open_sees,
	.routes_for = open_routes,
	.filter = open_filter,
	.ssh = open_ssh,
	.attributes = open_attributes,
	.peer_attributes = open_attributes,
	.stamp = open_stamp,
};
