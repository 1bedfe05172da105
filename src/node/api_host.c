/* Whether this machine is set up for what is asked of it. */
#include "base/err.h"
#include "host/facts.h"
#include "host/forwarding.h"
#include "node/localapi.h"
#include "platform/ethtool.h"

static void answer_warning(struct http_req *req, const char *text)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);

	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_str(&w, "Warning", text);
	js_wr_close(&w, JS_OBJECT);
	api_json(req, &body);
}

static void ip_forwarding(struct node *n, struct http_req *req, const struct route_match *m)
{
	AUTO_DONE(buf) struct buf text = { 0 };

	(void)n;
	(void)m;
	host_forwarding_check(true, true, &text);
	while (text.n && text.p[text.n - 1] == '\n')
		text.n--;
	answer_warning(req, buf_text(&text));
}

/* The interface of the default route: "" if there is none. */
static void default_dev(const struct node *n, char dst[static ROUTER_NAME_MAX + 1])
{
	struct host_facts facts = { 0 };

	dst[0] = 0;
	if (host_facts_read(n->cfg.tun_name, &facts) == 0)
		memcpy(dst, facts.default_dev, sizeof(facts.default_dev));
	host_facts_done(&facts);
}

/* Forwarded UDP is cheaper if the card hands it over in bunches, and our interface takes them. */
static bool gro_is_well(const struct node *n, const char *dev)
{
	bool takes, on, list = false;

	if (!*dev || ethtool_feature(dev, "rx-udp-gro-forwarding", &on) < 0 ||
	    (ethtool_feature(n->cfg.tun_name, "tx-udp-segmentation", &takes) == 0 && !takes))
		return true;
	(void)!ethtool_feature(dev, "rx-gro-list", &list);
	return on && !list;
}

static void udp_gro(struct node *n, struct http_req *req, const struct route_match *m)
{
	char dev[ROUTER_NAME_MAX + 1];
	AUTO_FREE char *text = NULL;

	(void)m;
	default_dev(n, dev);
	if (!gro_is_well(n, dev))
		text = str_fmt("UDP GRO forwarding is suboptimally configured on %s, UDP "
		               "forwarding throughput capability will increase with a "
		               "configuration change.\n"
		               "See https://tailscale.com/s/ethtool-config-udp-gro",
		               dev);
	answer_warning(req, text ? text : "");
}

static void set_udp_gro(struct node *n, struct http_req *req, const struct route_match *m)
{
	char dev[ROUTER_NAME_MAX + 1];
	AUTO_FREE char *text = NULL;
	int r;

	(void)m;
	default_dev(n, dev);
	r = *dev ? ethtool_set_feature(dev, "rx-udp-gro-forwarding", true) : ERR_UNKNOWN;
	if (r == 0)
		r = ethtool_set_feature(dev, "rx-gro-list", false);
	if (r < 0)
		text = str_fmt("error enabling UDP GRO forwarding: %s",
		               *dev ? err_text(r) : "there is no default route");
	answer_warning(req, text ? text : "");
}

static void so_mark(struct node *n, struct http_req *req, const struct route_match *m)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	struct js_wr w = js_wr_of(&body);

	(void)m;
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_bool(&w, "UseSOMark", !n->cfg.no_mark);
	js_wr_close(&w, JS_OBJECT);
	api_json(req, &body);
}

#define V0 "/localapi/v0/"
/* clang-format off */
const struct api_row api_host_rows[] = {
	{ { "GET", V0 "check-ip-forwarding" },      API_READ,  ip_forwarding },
	{ { "GET", V0 "check-udp-gro-forwarding" }, API_READ,  udp_gro       },
	{ { "*",   V0 "set-udp-gro-forwarding" },   API_WRITE, set_udp_gro   },
	{ { "GET", V0 "check-so-mark-in-use" },     API_READ,  so_mark       },
};
/* clang-format on */
const size_t api_host_n = ARRAY_LEN(api_host_rows);
