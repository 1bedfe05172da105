/* The metrics of tailscaled, under its names: families in the order of the alphabet. */
#include "node/engine.h"

static void family(struct buf *out, const char *name, const char *kind, const char *help)
{
	buf_fmt(out, "# TYPE %s %s\n# HELP %s %s\n", name, kind, name, help);
}

static void gauge(struct buf *out, const char *name, const char *help, long long v)
{
	family(out, name, "gauge", help);
	buf_fmt(out, "%s %lld\n", name, v);
}

static const char *const ways[MESH_WAYS] = {
	[MESH_WAY_DERP] = "derp",
	[MESH_WAY_DIRECT4] = "direct_ipv4",
	[MESH_WAY_DIRECT6] = "direct_ipv6",
	[MESH_WAY_RELAY4] = "peer_relay_ipv4",
	[MESH_WAY_RELAY6] = "peer_relay_ipv6",
};

static void by_way(struct buf *out, const char *name, const char *help,
                   const uint64_t v[static MESH_WAYS])
{
	family(out, name, "counter", help);
	for (size_t i = 0; i < MESH_WAYS; i++)
		buf_fmt(out, "%s{path=\"%s\"} %llu\n", name, ways[i], (unsigned long long)v[i]);
}

static void dropped(struct buf *out, const char *name, const char *help, uint64_t acl,
                    uint64_t error)
{
	family(out, name, "counter", help);
	buf_fmt(out, "%s{reason=\"acl\"} %llu\n%s{reason=\"error\"} %llu\n", name,
	        (unsigned long long)acl, name, (unsigned long long)error);
}

static size_t advertised(const struct node *n)
{
	const struct js_prefixes *routes = &node_prefs(n)->advertise_routes;
	size_t count = 0;

	for (size_t i = 0; i < routes->n; i++)
		count += !prefix_is_default(&routes->v[i]);
	return count;
}

/* What is ours to route, less our own addresses and the exit. */
static size_t approved(const struct node *n)
{
	const struct netmap *m = node_map(n);
	const struct js_prefixes *routes = m ? tc_node_allowed_ips(m->self) : NULL;
	size_t count = 0;

	for (size_t i = 0; routes && i < routes->n; i++)
		count += !prefix_is_default(&routes->v[i]) &&
		         !(prefix_is_host(&routes->v[i]) &&
		           netmap_self_has_ip(m, &routes->v[i].ip));
	return count;
}

static void traffic(struct buf *out, const struct mesh *m)
{
	struct mesh_traffic t = { 0 };

	if (m)
		mesh_traffic(m, &t);
	by_way(out, "tailscaled_inbound_bytes_total",
	       "Counts the number of bytes received from other peers", t.in_bytes);
	dropped(out, "tailscaled_inbound_dropped_packets_total",
	        "Counts the number of dropped packets received by the node from other peers",
	        m ? mesh_drops(m, MESH_DROP_FILTER_IN) : 0,
	        m ? mesh_drops(m, MESH_DROP_DERP_STRANGER) : 0);
	by_way(out, "tailscaled_inbound_packets_total",
	       "Counts the number of packets received from other peers", t.in_packets);
	by_way(out, "tailscaled_outbound_bytes_total",
	       "Counts the number of bytes sent to other peers", t.out_bytes);
	dropped(out, "tailscaled_outbound_dropped_packets_total",
	        "Counts the number of packets dropped while being sent to other peers",
	        m ? mesh_drops(m, MESH_DROP_FILTER_OUT) : 0,
	        m ? mesh_drops(m, MESH_DROP_NO_PATH) + mesh_drops(m, MESH_DROP_DERP_FULL) : 0);
	by_way(out, "tailscaled_outbound_packets_total",
	       "Counts the number of packets sent to other peers", t.out_packets);
}

void engine_write_metrics(const struct node *n, struct buf *out)
{
	gauge(out, "tailscaled_advertised_routes",
	      "Number of advertised network routes (e.g. by a subnet router)",
	      (long long)advertised(n));
	gauge(out, "tailscaled_approved_routes",
	      "Number of approved network routes (e.g. by a subnet router)",
	      (long long)approved(n));
	family(out, "tailscaled_health_messages", "gauge",
	       "Number of health messages broken down by type.");
	buf_fmt(out, "tailscaled_health_messages{type=\"warning\"} %zu\n", health_count(n));
	gauge(out, "tailscaled_home_derp_region_id",
	      "DERP region ID of the node's home relay server", (long long)engine_home_derp(n));
	traffic(out, n->engine ? n->engine->mesh : NULL);
	if (n->engine)
		engine_relay_metrics(n->engine, out);
}
