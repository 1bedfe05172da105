#include "router/plan.h"

#include "test/check.h"

#define WITH_PLAN __attribute__((cleanup(router_plan_done))) struct router_plan

static struct prefix pfx(const char *text)
{
	struct prefix p = { 0 };

	CHECK_OK(prefix_parse(span_str(text), &p));
	return p;
}

static struct ip ip_of(const char *text)
{
	struct ip ip = { { 0 } };

	CHECK_OK(ip_parse(span_str(text), &ip));
	return ip;
}

/* A node with two peers; the second one routes a network and offers to be an exit. */
struct net {
	struct prefix self[2], nas[2], gate[5];
	struct ip nas_ip[2], gate_ip[2];
	struct router_peer peers[2];
	struct router_link_net nets[3];
	struct router_cfg cfg;
};

static void make(struct net *n)
{
	*n = (struct net){
		.self = { pfx("100.64.0.1"), pfx("fd7a:115c:a1e0::1") },
		.nas = { pfx("100.64.0.2"), pfx("fd7a:115c:a1e0::2") },
		.gate = { pfx("100.64.0.3"), pfx("fd7a:115c:a1e0::3"), pfx("192.168.7.0/24"),
		          pfx("0.0.0.0/0"), pfx("::/0") },
		.nas_ip = { ip_of("100.64.0.2"), ip_of("fd7a:115c:a1e0::2") },
		.gate_ip = { ip_of("100.64.0.3"), ip_of("fd7a:115c:a1e0::3") },
		.nets = { { pfx("192.168.1.0/24"), false },
		          { pfx("172.17.0.0/16"), true },
		          { pfx("2001:db8:1::/64"), false } },
	};
	n->peers[0] = (struct router_peer){ n->nas, 2, n->nas_ip, 2, "nas", false };
	n->peers[1] = (struct router_peer){ n->gate, 5, n->gate_ip, 2, "gate\" }", false };
	n->cfg = (struct router_cfg){ .dev = "fairlead0",
		                      .self = n->self,
		                      .n_self = 2,
		                      .peers = n->peers,
		                      .n_peers = 2,
		                      .nets = n->nets,
		                      .n_nets = 3,
		                      .ip6 = true,
		                      .service_routes = true };
}

#define RULES(v)                                              \
	"rule" v " 5210 fwmark 0x80000/0xff0000 lookup 254\n" \
	"rule" v " 5230 fwmark 0x80000/0xff0000 lookup 253\n" \
	"rule" v " 5250 fwmark 0x80000/0xff0000 unreachable\nrule" v " 5270 lookup 52\n"
#define HEAD "link fairlead0 mtu 1280\naddress 100.64.0.1/32\naddress fd7a:115c:a1e0::1/128\n"

static void check_plan(const struct router_cfg *cfg, const char *want)
{
	WITH_PLAN p = { 0 };
	AUTO_DONE(buf) struct buf out = { 0 };

	router_plan(cfg, &p);
	router_plan_print(&out, &p);
	CHECK_STR(buf_text(&out), want);
}

static void a_node_routes_to_its_peers_and_the_service_address(void)
{
	struct net n;

	make(&n);
	check_plan(&n.cfg,
	           HEAD "route 100.64.0.2/32\nroute 100.64.0.3/32\nroute 100.100.100.100/32\n"
	                "route fd7a:115c:a1e0::/48\nroute fd7a:115c:a1e0::53/128\n" RULES("4")
	                        RULES("6"));
}

static void without_ipv6_nothing_of_it_is_planned(void)
{
	struct net n;

	make(&n);
	n.cfg.ip6 = false;
	n.cfg.mtu = 1400;
	check_plan(&n.cfg, "link fairlead0 mtu 1400\naddress 100.64.0.1/32\nroute 100.64.0.2/32\n"
	                   "route 100.64.0.3/32\nroute 100.100.100.100/32\n" RULES("4"));
}

static void accepted_routes_are_added(void)
{
	struct net n;

	make(&n);
	n.cfg.accept_routes = true;
	n.cfg.service_routes = false;
	check_plan(&n.cfg, HEAD "route 100.64.0.2/32\nroute 100.64.0.3/32\nroute 192.168.7.0/24\n"
	                        "route fd7a:115c:a1e0::/48\n" RULES("4") RULES("6"));
}

static void an_accepted_route_leaves_the_host_its_own_network(void)
{
	struct net n;

	make(&n);
	n.cfg.accept_routes = true;
	n.cfg.service_routes = false;
	n.gate[2] = pfx("192.168.0.0/16");
	check_plan(&n.cfg, HEAD "route 100.64.0.2/32\nroute 100.64.0.3/32\nroute 192.168.0.0/16\n"
	                        "route 192.168.1.0/24 throw\nroute fd7a:115c:a1e0::/48\n" RULES("4")
	                                RULES("6") "shadowed 192.168.0.0/16\n");
	n.gate[2] = pfx("192.168.1.0/24");
	check_plan(&n.cfg, HEAD "route 100.64.0.2/32\nroute 100.64.0.3/32\n"
	                        "route 192.168.1.0/24 throw\nroute fd7a:115c:a1e0::/48\n" RULES("4")
	                                RULES("6") "shadowed 192.168.1.0/24\n");
	/* Nor a part of it. */
	n.gate[2] = pfx("192.168.1.128/25");
	check_plan(&n.cfg,
	           HEAD "route 100.64.0.2/32\nroute 100.64.0.3/32\n"
	                "route 192.168.1.128/25 throw\nroute fd7a:115c:a1e0::/48\n" RULES("4")
	                        RULES("6") "shadowed 192.168.1.128/25\n");
}

static void an_exit_node_takes_everything_the_host_s_networks_too(void)
{
	struct net n;

	make(&n);
	n.cfg.use_exit = true;
	check_plan(&n.cfg,
	           HEAD "route 0.0.0.0/0\nroute 100.64.0.2/32\nroute 100.64.0.3/32\n"
	                "route 100.100.100.100/32\nroute 172.17.0.0/16 throw\n"
	                "route 192.168.1.0/24\nroute ::/0\nroute 2001:db8:1::/64\n"
	                "route fd7a:115c:a1e0::/48\nroute fd7a:115c:a1e0::53/128\n" RULES("4")
	                        RULES("6") "guard\n");
}

static void lan_access_throws_the_host_s_networks_back(void)
{
	struct net n;

	make(&n);
	n.cfg.use_exit = n.cfg.exit_lan = true;
	n.cfg.service_routes = false;
	n.cfg.n_peers = 0; /* an exit node that is not there stops traffic all the same */
	check_plan(&n.cfg, HEAD "route 0.0.0.0/0\nroute 172.17.0.0/16 throw\n"
	                        "route 192.168.1.0/24 throw\nroute ::/0\n"
	                        "route 2001:db8:1::/64 throw\n" RULES("4") RULES("6") "guard\n");
}

static void many_peers_share_one_route(void)
{
	struct net n;

	make(&n);
	n.cfg.one_cgnat = true;
	n.cfg.service_routes = false;
	check_plan(&n.cfg,
	           HEAD "route 100.64.0.0/10\nroute fd7a:115c:a1e0::/48\n" RULES("4") RULES("6"));
}

static void outside_a_tailnet_nothing_is_touched(void)
{
	struct net n;

	make(&n);
	n.cfg.n_self = 0;
	n.cfg.netfilter = ROUTER_NETFILTER_ON;
	check_plan(&n.cfg, "link fairlead0 mtu 1280\n");
}

static const char firewall[] =
	"table inet fairlead\ndelete table inet fairlead\ntable inet fairlead {\n"
	"\tcounter drop-forged-source {\n\t}\n\tcounter drop-forged-forward {\n\t}\n"
	"\tcounter drop-new-forward {\n\t}\n"
	"\tset peers-in4 {\n\t\ttype ipv4_addr\n\t\tcounter\n\t}\n"
	"\tset peers-in6 {\n\t\ttype ipv6_addr\n\t\tcounter\n\t}\n"
	"\tset peers-out4 {\n\t\ttype ipv4_addr\n\t\tcounter\n\t}\n"
	"\tset peers-out6 {\n\t\ttype ipv6_addr\n\t\tcounter\n\t}\n"
	"\tchain count-in {\n\t\tip saddr @peers-in4\n\t\tip6 saddr @peers-in6\n\t}\n"
	"\tchain count-out {\n\t\tip daddr @peers-out4\n\t\tip6 daddr @peers-out6\n\t}\n"
	"\tchain input {\n\t\ttype filter hook input priority filter - 10; policy accept;\n"
	"\t\tiifname \"lo\" ip saddr 100.64.0.1 accept\n"
	"\t\tiifname \"lo\" ip6 saddr fd7a:115c:a1e0::1 accept\n"
	"\t\tiifname \"fairlead0\" jump count-in\n\t\tiifname \"fairlead0\" accept\n"
	"\t\tudp dport 41641 accept\n\t\tip saddr 100.115.92.0/23 return\n"
	"\t\tip saddr 100.64.0.0/10 counter name drop-forged-source drop\n\t}\n"
	"\tchain forward {\n\t\ttype filter hook forward priority filter - 10; policy accept;\n"
	"\t\tiifname \"fairlead0\" jump count-in\n\t\toifname \"fairlead0\" jump count-out\n"
	"\t\tiifname \"fairlead0\" meta mark set meta mark & 0xff00ffff | 0x00040000\n"
	"\t\tmeta mark & 0x00ff0000 == 0x00040000 accept\n"
	"\t\toifname \"fairlead0\" ip saddr 100.64.0.0/10 counter name drop-forged-forward drop\n"
	"\t\toifname \"fairlead0\" ct state != { established, related, untracked } "
	"counter name drop-new-forward drop\n\t\toifname \"fairlead0\" accept\n\t}\n"
	"\tchain output {\n\t\ttype filter hook output priority filter - 10; policy accept;\n"
	"\t\toifname \"fairlead0\" jump count-out\n\t}\n"
	"\tchain postrouting {\n\t\ttype nat hook postrouting priority srcnat; policy accept;\n"
	"\t\tmeta mark & 0x00ff0000 == 0x00040000 counter masquerade\n\t}\n"
	"\tchain mark-restore {\n\t\ttype filter hook prerouting priority mangle; policy accept;\n"
	"\t\tct state established,related ct mark & 0x00ff0000 == 0x00080000 "
	"meta mark set meta mark & 0xff00ffff | 0x00080000\n\t}\n"
	"\tchain mark-save {\n\t\ttype route hook output priority mangle; policy accept;\n"
	"\t\tct state new meta mark & 0x00ff0000 == 0x00080000 "
	"ct mark set ct mark & 0xff00ffff | 0x00080000\n\t}\n}\n";

static void the_firewall_is_one_table_of_our_own(void)
{
	WITH_PLAN p = { 0 };
	struct net n;

	make(&n);
	n.cfg.netfilter = ROUTER_NETFILTER_ON;
	n.cfg.snat = n.cfg.stateful = n.cfg.cgnat_drop = true;
	n.cfg.udp_port = 41641;
	router_plan(&n.cfg, &p);
	CHECK_STR(buf_text(&p.nft), firewall);
	CHECK(p.src_valid_mark);
}

static void chains_without_a_hook_wait_for_the_administrator(void)
{
	WITH_PLAN p = { 0 };
	struct net n;

	make(&n);
	n.cfg.netfilter = ROUTER_NETFILTER_NODIVERT;
	router_plan(&n.cfg, &p);
	CHECK(strstr(buf_text(&p.nft), "chain input {") != NULL);
	CHECK(strstr(buf_text(&p.nft), "hook") == NULL);
	CHECK(strstr(buf_text(&p.nft), "masquerade") == NULL);
	CHECK(!p.src_valid_mark);
}

static void counters_follow_the_peers(void)
{
	WITH_PLAN one = { 0 }, both = { 0 };
	AUTO_DONE(buf) struct buf out = { 0 };
	struct net n;

	make(&n);
	n.cfg.netfilter = ROUTER_NETFILTER_ON;
	router_plan(&n.cfg, &both);
	n.cfg.n_peers = 1;
	router_plan(&n.cfg, &one);
	router_counters_diff(&out, one.counters.v, one.counters.n, both.counters.v,
	                     both.counters.n);
	/* A name cannot end the comment it stands in. */
	CHECK_STR(buf_text(&out),
	          "add element inet fairlead peers-in4 { 100.64.0.3 comment \"gate \" }\n"
	          "add element inet fairlead peers-out4 { 100.64.0.3 comment \"gate \" }\n"
	          "add element inet fairlead peers-in6 { fd7a:115c:a1e0::3 comment \"gate \" }\n"
	          "add element inet fairlead peers-out6 { fd7a:115c:a1e0::3 comment \"gate \" }\n");
	buf_clear(&out);
	router_counters_diff(&out, both.counters.v, both.counters.n, one.counters.v,
	                     one.counters.n);
	CHECK(strstr(buf_text(&out), "delete element inet fairlead peers-in4 { 100.64.0.3 }\n"));
	buf_clear(&out);
	router_counters_diff(&out, both.counters.v, both.counters.n, both.counters.v,
	                     both.counters.n);
	CHECK_STR(buf_text(&out), "");
}

static void a_router_of_sites_has_a_way_back_and_a_name_for_its_clients(void)
{
	struct net n;
	WITH_PLAN p = { 0 };

	make(&n);
	n.cfg.via6 = true;
	n.cfg.netfilter = ROUTER_NETFILTER_ON;
	router_plan(&n.cfg, &p);
	CHECK_EQ(p.routes.v[3].mtu, 1252);
	CHECK(prefix_eq(&p.routes.v[3].dst, &(struct prefix){ ip_of("192.0.0.6"), 32 }));
	/* Whatever else is hidden or shown: nobody knows the way back to this one. */
	CHECK(strstr(buf_text(&p.nft), "ip saddr 192.0.0.6 counter masquerade") != NULL);
}

int main(void)
{
	RUN(a_node_routes_to_its_peers_and_the_service_address);
	RUN(without_ipv6_nothing_of_it_is_planned);
	RUN(accepted_routes_are_added);
	RUN(an_accepted_route_leaves_the_host_its_own_network);
	RUN(an_exit_node_takes_everything_the_host_s_networks_too);
	RUN(lan_access_throws_the_host_s_networks_back);
	RUN(many_peers_share_one_route);
	RUN(outside_a_tailnet_nothing_is_touched);
	RUN(the_firewall_is_one_table_of_our_own);
	RUN(chains_without_a_hook_wait_for_the_administrator);
	RUN(counters_follow_the_peers);
	RUN(a_router_of_sites_has_a_way_back_and_a_name_for_its_clients);
	return check_done();
}
