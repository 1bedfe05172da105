#include <string.h>

#include "coordinator/config.h"
#include "coordinator/derpmap.h"
#include "coordinator/dnsmap.h"
#include "test/check.h"

static int load(struct config *c, const char *yaml, struct fault *why)
{
	int r;

	config_init(c);
	r = config_parse(c, span_str(yaml), why);
	return r < 0 ? r : config_finish(c, "/var/lib/x", why);
}

static void an_empty_file_gives_sound_defaults(void)
{
	struct config c;
	struct fault why = { 0 };

	CHECK_OK(load(&c, "", &why));
	CHECK_STR(c.listen_addr, "127.0.0.1:8080");
	CHECK_STR(c.db_path, "/var/lib/x/db.sqlite");
	CHECK_EQ(c.v4.bits, 10);
	CHECK_EQ(c.unix_socket_mode, 0770);
	CHECK(c.magic_dns && !c.derp_enabled);
	config_done(&c);
}

static void keys_nobody_knows_are_named_with_their_line(void)
{
	struct config c;
	struct fault why = { 0 };

	CHECK_OK(load(&c, "listen_addr: ':80'\nfoo: 1\ndns:\n  bar:\n    - x\ntuning: {x: 1}\n",
	              &why));
	CHECK_EQ(c.unknown.n, 2);
	CHECK_STR(c.unknown.v[0], "line 2: foo");
	CHECK_STR(c.unknown.v[1], "line 4: dns.bar");
	config_done(&c);
}

static void keys_without_effect_are_named_with_their_line_and_why(void)
{
	struct config c;
	struct fault why = { 0 };

	CHECK_OK(load(&c,
	              "grpc_listen_addr: ':50443'\ndatabase:\n  gorm: {prepare_stmt: true}\n"
	              "tuning:\n  batch_change_delay: 1s\n",
	              &why));
	CHECK_EQ(c.unknown.n, 0);
	CHECK_EQ(c.unused.n, 3);
	CHECK(strstr(c.unused.v[0], "line 1: grpc_listen_addr: ") == c.unused.v[0]);
	CHECK(strstr(c.unused.v[1], "line 3: database.gorm: ") == c.unused.v[1]);
	CHECK(strstr(c.unused.v[2], "line 5: tuning.batch_change_delay: ") == c.unused.v[2]);
	config_done(&c);
}

static void what_does_not_fit_is_refused_with_its_line(void)
{
	static const struct {
		const char *yaml;
		unsigned line;
		const char *about;
	} rows[] = {
		{ "derp:\n  server:\n    enabled: perhaps\n", 3, "derp.server.enabled" },
		{ "oidc: {expiry: 1h}\n", 1, "node.expiry" },
		{ "a: [\n", 2, "" },
		{ "prefixes: {v4: 10.0.0.0/8}\n", 1, "100.64.0.0/10" },
		{ "server_url: https://x.tail.net:8443\ndns: {base_domain: tail.net}\n", 1,
		  "base_domain" },
		{ "node: {ephemeral: {inactivity_timeout: 30s}}\n", 1, "65s" },
		{ "database: {type: mysql}\n", 1, "sqlite" },
		{ "\nserver_url: x.net\n", 2, "server_url: it must begin with" },
		{ "server_url: https://\n", 1, "server_url" },
		{ "prefixes: {v4: '', v6: ''}\n", 1, "prefixes.v4" },
		{ "prefixes:\n  allocation: best\n", 2, "sequential random" },
		{ "policy:\n  mode: db\n", 2, "policy.mode" },
		{ "tls_cert_path: x\n", 1, "go together" },
		{ "tls_letsencrypt_challenge_type: DNS-01\n", 1, "HTTP-01" },
		{ "trusted_proxies: [10.0.0.0/8, here]\n", 1, "\"here\" is no prefix" },
		{ "node: {routes: {ha: {probe_interval: 1s}}}\n", 1, "probe_interval" },
		{ "node: {routes: {ha: {probe_timeout: 20s}}}\n", 1, "probe_timeout" },
		{ "oidc:\n  issuer: idp\n", 2, "oidc.issuer" },
		{ "oidc: {issuer: 'https://i', client_id: ''}\n", 1, "oidc.client_id" },
		{ "oidc: {pkce: {method: S512}}\n", 1, "oidc.pkce.method" },
		{ "derp: {server: {enabled: true, region_id: 0}}\n", 1, "region_id" },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		struct config c;
		struct fault why = { 0 };

		CHECK(load(&c, rows[i].yaml, &why) < 0);
		CHECK_EQ(why.line, rows[i].line);
		CHECK(strstr(why.message, rows[i].about) != NULL);
		config_done(&c);
	}
}

static void the_environment_stands_over_the_file(void)
{
	static char one[] = "HEADSCALE_DNS_BASE_DOMAIN=env.test",
		    two[] = "HEADSCALE_DERP_URLS=http://a,http://b";
	char *env[] = { one, two, NULL };
	struct config c;
	struct fault why = { 0 };

	config_init(&c);
	CHECK_OK(config_parse(&c, SPAN_LIT("dns: {base_domain: file.test}\n"), &why));
	CHECK_OK(config_environment(&c, env, &why));
	CHECK_STR(c.base_domain, "env.test");
	CHECK_EQ(c.derp_urls.n, 2);
	config_done(&c);
}

static void the_environment_is_held_to_the_same_rules(void)
{
	static char removed[] = "HEADSCALE_OIDC_EXPIRY=1h", wrong[] = "HEADSCALE_NODE_EXPIRY=soon",
		    word[] = "HEADSCALE_POLICY_MODE=x";
	char *const envs[][2] = { { removed, NULL }, { wrong, NULL }, { word, NULL } };

	for (size_t i = 0; i < ARRAY_LEN(envs); i++) {
		struct config c;
		struct fault why = { 0 };

		config_init(&c);
		CHECK_OK(config_parse(&c, SPAN_LIT("policy: {mode: file}\n"), &why));
		CHECK(config_environment(&c, envs[i], &why) < 0 ||
		      config_finish(&c, "/var/lib/x", &why) < 0);
		CHECK_EQ(why.line, 0);
		config_done(&c);
	}
}

static void name_servers_and_records_become_a_dns_config(void)
{
	struct config c;
	struct fault why = { 0 };
	AUTO_DONE(buf) struct buf out = { 0 };

	CHECK_OK(load(&c,
	              "dns:\n  base_domain: t.net\n  nameservers:\n    global: [1.1.1.1]\n"
	              "    split: {corp.x: [10.0.0.1]}\n  search_domains: [s.net]\n"
	              "  extra_records: [{name: a.t.net, type: A, value: 192.0.2.1}]\n",
	              &why));
	CHECK_OK(dnsmap_json(&c, SPAN_LIT("[{\"name\":\"b\",\"value\":\"::1\"}]"), &out, &why));
	CHECK_STR(buf_text(&out),
	          "{\"Resolvers\":[{\"Addr\":\"1.1.1.1\"}],\"Routes\":{\"corp.x\":[{\"Addr\":\"10."
	          "0.0.1\"}]},"
	          "\"Domains\":[\"t.net\",\"s.net\"],\"Proxied\":true,\"ExtraRecords\":[{\"Name\":"
	          "\"a.t.net\","
	          "\"Type\":\"A\",\"Value\":\"192.0.2.1\"},{\"Name\":\"b\",\"Value\":\"::1\"}]}");
	config_done(&c);
}

static void later_relay_maps_stand_over_earlier_ones(void)
{
	struct derpmap d = { 0 };
	struct fault why = { 0 };
	AUTO_DONE(buf) struct buf out = { 0 };

	CHECK_OK(derpmap_add_json(
		&d, SPAN_LIT("{\"Regions\":{\"2\":{\"RegionID\":2},\"1\":{\"RegionID\":1}}}"),
		&why));
	CHECK_OK(derpmap_add_yaml(
		&d,
		SPAN_LIT("regions:\n  2: null\n  900:\n    regionid: 900\n    nodes:\n"
	                 "      - {name: a, hostname: h, stunport: -1, ipv4: 192.0.2.1}\n"),
		&why));
	derpmap_json(&d, &out);
	CHECK_STR(buf_text(&out), "{\"Regions\":{\"1\":{\"RegionID\":1},\"900\":{\"RegionID\":900,"
	                          "\"Nodes\":[{\"Name\":\"a\","
	                          "\"HostName\":\"h\",\"STUNPort\":-1,\"IPv4\":\"192.0.2.1\"}]}},"
	                          "\"omitDefaultRegions\":true}");
	CHECK(derpmap_add_json(&d, SPAN_LIT("{\"Regions\":{\"x\":{}}}"), &why) < 0);
	derpmap_done(&d);
}

int main(void)
{
	RUN(an_empty_file_gives_sound_defaults);
	RUN(keys_nobody_knows_are_named_with_their_line);
	RUN(keys_without_effect_are_named_with_their_line_and_why);
	RUN(what_does_not_fit_is_refused_with_its_line);
	RUN(the_environment_stands_over_the_file);
	RUN(the_environment_is_held_to_the_same_rules);
	RUN(name_servers_and_records_become_a_dns_config);
	RUN(later_relay_maps_stand_over_earlier_ones);
	return check_done();
}
