#include "node/names.h"

#include "test/check.h"

static struct netmap map;
static struct tc_node self, nas, exit_node;
static struct tc_dns_config dns;
static struct netmap_peer peers[2];

static struct prefix prefix(const char *text)
{
	struct prefix p;

	CHECK_OK(prefix_parse(span_str(text), &p));
	return p;
}

static void add_peer(struct netmap_peer *p, struct tc_node *node, int64_t id)
{
	p->node = node;
	map_insert(&map.peers_by_id, &p->by_id, map_hash(&map.peers_by_id, &id, sizeof(id)));
}

static void set_up(void)
{
	static struct prefix self_at[2], nas_at[2], exit_at[1];
	static struct tc_resolver corp = { .addr = { (const uint8_t *)"10.0.0.53", 9 } };
	static struct tc_resolver *corp_list[] = { &corp };
	static struct tc_dns_route routes[1];
	static struct tc_dns_record records[1];
	static struct tc_service services[2];
	static struct tc_hostinfo info;

	netmap_init(&map);
	self_at[0] = prefix("100.64.0.1");
	self_at[1] = prefix("fd7a:115c:a1e0::1");
	nas_at[0] = prefix("100.64.0.2");
	nas_at[1] = prefix("fd7a:115c:a1e0::2");
	exit_at[0] = prefix("100.64.0.9");
	self.name = span_str("me.tail.lab.");
	self.addresses.v = self_at;
	self.addresses.n = 2;
	nas.name = span_str("nas.tail.lab.");
	nas.addresses.v = nas_at;
	nas.addresses.n = 2;
	services[0] = (struct tc_service){ .proto = span_str("peerapi4"), .port = 4040 };
	services[1] = (struct tc_service){ .proto = span_str("peerapi-dns-proxy"), .port = 1 };
	info.services.v = services;
	info.services.n = 2;
	exit_node.name = span_str("out.tail.lab.");
	exit_node.addresses.v = exit_at;
	exit_node.addresses.n = 1;
	exit_node.hostinfo = &info;
	routes[0].key = span_str("corp.example");
	routes[0].value.v = corp_list;
	routes[0].value.n = 1;
	records[0] = (struct tc_dns_record){ .name = span_str("grafana.tail.lab"),
		                             .type = span_str("A"),
		                             .value = span_str("100.64.0.2") };
	dns.proxied = true;
	dns.routes.v = routes;
	dns.routes.n = 1;
	dns.extra_records.v = records;
	dns.extra_records.n = 1;
	map.self = &self;
	map.dns = &dns;
	add_peer(&peers[0], &nas, 2);
	add_peer(&peers[1], &exit_node, 3);
}

static struct names_input input(void)
{
	return (struct names_input){ .map = &map, .corp_dns = true };
}

static const struct dns_host *find(const struct dns_config *c, const char *text)
{
	struct dns_name n;

	CHECK_OK(dns_name_of(span_str(text), &n));
	return dns_config_find(c, &n);
}

static const struct dns_route *route(const struct dns_config *c, const char *text)
{
	struct dns_name n;

	CHECK_OK(dns_name_of(span_str(text), &n));
	return dns_config_route_of(c, &n);
}

static void every_node_has_its_name_and_ours_answers_backwards(void)
{
	struct names_input in = input();
	struct dns_config *c = names_config(&in);
	const struct dns_host *h = find(c, "nas.tail.lab");

	/* Its IPv6 address is not told forwards, as we reach it over IPv4. */
	CHECK(h && h->n_addrs == 1 && ip_is4(&h->addrs[0]));
	CHECK(dns_config_ptr(c, &nas.addresses.v[1].ip) != NULL);
	CHECK(find(c, "me.tail.lab") && find(c, "grafana.tail.lab"));
	CHECK(route(c, "missing.tail.lab")->n_upstreams == 0);
	CHECK(route(c, "1.0.64.100.in-addr.arpa")->n_upstreams == 0);
	CHECK(route(c, "x.corp.example")->n_upstreams == 1);
	CHECK(route(c, "example.com") == NULL);
	dns_config_free(c);
}

static void an_expired_key_knows_no_names(void)
{
	struct names_input in = input();
	struct dns_config *c;

	in.expired = true;
	c = names_config(&in);
	CHECK(!find(c, "nas.tail.lab") && c->routes.n == 0);
	dns_config_free(c);
	in = (struct names_input){ 0 };
	c = names_config(&in);
	CHECK(c->routes.n == 0);
	dns_config_free(c);
}

static void without_corp_dns_hosts_stay_and_nothing_is_asked_of_others(void)
{
	struct names_input in = input();
	struct dns_config *c;

	in.corp_dns = false;
	c = names_config(&in);
	CHECK(find(c, "nas.tail.lab") != NULL);
	CHECK(route(c, "x.corp.example") == NULL);
	dns_config_free(c);
}

static void through_an_exit_node_its_own_resolver_is_asked(void)
{
	struct names_input in = input();
	struct dns_config *c;
	const struct dns_route *r;

	in.exit = &exit_node;
	c = names_config(&in);
	r = route(c, "example.com");
	CHECK(r && r->n_upstreams == 1);
	CHECK_STR(r->upstreams[0].url, "http://100.64.0.9:4040/dns-query");
	/* The split route's resolver is not one to use with an exit: it follows the default. */
	CHECK(route(c, "x.corp.example") == r);
	CHECK(route(c, "missing.tail.lab")->n_upstreams == 0);
	dns_config_free(c);
}

static void a_host_that_cannot_split_has_its_resolvers_asked_by_us(void)
{
	struct names_input in = input();
	struct ip base = ip4(192, 0, 2, 53);
	struct dns_config *c;

	in.base = &base;
	in.n_base = 1;
	c = names_config(&in);
	CHECK(route(c, "example.com") &&
	      ip_eq(&route(c, "example.com")->upstreams[0].addr.ip, &base));
	dns_config_free(c);
}

int main(void)
{
	set_up();
	RUN(every_node_has_its_name_and_ours_answers_backwards);
	RUN(an_expired_key_knows_no_names);
	RUN(without_corp_dns_hosts_stay_and_nothing_is_asked_of_others);
	RUN(through_an_exit_node_its_own_resolver_is_asked);
	RUN(a_host_that_cannot_split_has_its_resolvers_asked_by_us);
	return check_done();
}
