/* In a network namespace of its own; skipped where we may not make one. */
#include "host/router.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "host/facts.h"
#include "host/forwarding.h"
#include "platform/netmon.h"
#include "platform/nft.h"
#include "platform/proc.h"
#include "platform/rtnl.h"
#include "test/check.h"

#define DEV "fl0"

static char folder[] = "/tmp/fl-router-XXXXXX";
static char *journal;

static struct prefix pfx(const char *text)
{
	struct prefix p = { 0 };

	CHECK_OK(prefix_parse(span_str(text), &p));
	return p;
}

static char *shell(const char *line)
{
	const char *const argv[] = { "sh", "-c", line, NULL };
	AUTO_DONE(buf) struct buf out = { 0 };
	int status;

	CHECK_OK(proc_run(&(struct proc_cmd){ .argv = argv, .flags = PROC_WITH_ERR }, &out,
	                  &status));
	return str_dup(buf_text(&out));
}

/* All of the host's network that we could spoil. */
static char *host_state(void)
{
	return shell("ip -4 route show table all; ip -6 route show table all | grep -v fe80 | "
	             "grep -v ff00; ip rule; ip -6 rule; nft list ruleset; "
	             "cat /proc/sys/net/ipv4/conf/all/src_valid_mark");
}

struct world {
	struct prefix self[2], allowed[3], bare[1];
	struct ip peer_ip[2], bare_ip[1];
	struct router_peer peers[2];
	struct router_link_net nets[1];
	struct router_cfg cfg;
};

static void make(struct world *w)
{
	*w = (struct world){
		.self = { pfx("100.64.0.1"), pfx("fd7a:115c:a1e0::1") },
		.allowed = { pfx("100.64.0.2"), pfx("fd7a:115c:a1e0::2"), pfx("192.168.0.0/16") },
		.bare = { pfx("100.64.0.3") },
		.peer_ip = { pfx("100.64.0.2").ip, pfx("fd7a:115c:a1e0::2").ip },
		.bare_ip = { pfx("100.64.0.3").ip },
		.nets = { { pfx("192.168.1.0/24"), false } },
	};
	w->peers[0] = (struct router_peer){ w->allowed, 3, w->peer_ip, 2, "nas", false };
	w->peers[1] = (struct router_peer){ w->bare, 1, w->bare_ip, 1, "phone", false };
	w->cfg = (struct router_cfg){ .dev = DEV,
		                      .self = w->self,
		                      .n_self = 2,
		                      .peers = w->peers,
		                      .n_peers = 1,
		                      .nets = w->nets,
		                      .n_nets = 1,
		                      .ip6 = true,
		                      .service_routes = true,
		                      .accept_routes = true,
		                      .netfilter = ROUTER_NETFILTER_ON,
		                      .snat = true,
		                      .stateful = true,
		                      .cgnat_drop = true,
		                      .udp_port = 41641 };
}

static int apply(struct host_router *r, const struct router_cfg *cfg)
{
	struct router_plan p = { 0 };

	router_plan(cfg, &p);

	int err = host_router_apply(r, &p);

	if (err < 0)
		(void)printf("# %s\n", host_router_said(r));
	router_plan_done(&p);
	return err;
}

static void check_has(const char *line, const char *want)
{
	AUTO_FREE char *out = shell(line);

	if (!strstr(out, want))
		CHECK_STR(out, want);
}

static void check_lacks(const char *line, const char *what)
{
	AUTO_FREE char *out = shell(line);

	if (strstr(out, what))
		CHECK_STR(out, what);
}

static void a_plan_is_put_into_effect_and_undone(void)
{
	AUTO_FREE char *before = host_state();
	struct host_router *r = NULL;
	struct world w;

	make(&w);
	CHECK_OK(host_router_new(journal, &r));
	CHECK_OK(apply(r, &w.cfg));
	check_has("ip link show " DEV, "mtu 1280");
	check_has("ip addr show " DEV, "inet 100.64.0.1/32");
	check_has("ip addr show " DEV, "inet6 fd7a:115c:a1e0::1/128");
	check_has("ip route show table 52", "100.64.0.2 dev " DEV);
	check_has("ip route show table 52", "throw 192.168.1.0/24");
	check_has("ip -6 route show table 52", "fd7a:115c:a1e0::/48 dev " DEV);
	check_has("ip rule", "5210:\tfrom all fwmark 0x80000/0xff0000 lookup main");
	check_has("ip rule", "5250:\tfrom all fwmark 0x80000/0xff0000 unreachable");
	check_has("ip -6 rule", "5270:\tfrom all lookup 52");
	check_has("nft list table inet fairlead",
	          "100.64.0.2 counter packets 0 bytes 0 comment \"nas\"");
	CHECK_OK(access(journal, F_OK));
	CHECK_OK(host_router_undo(r, false));
	host_router_free(r);

	AUTO_FREE char *after = host_state();

	CHECK_STR(after, before);
	CHECK(access(journal, F_OK) < 0);
}

static void only_what_differs_is_changed(void)
{
	struct host_router *r = NULL;
	struct world w;

	make(&w);
	CHECK_OK(host_router_new(journal, &r));
	CHECK_OK(apply(r, &w.cfg));
	/* Somebody counts: a new peer must not set the counts back. */
	free(shell("nft add element inet fairlead peers-in4 { 198.51.100.1 counter packets 5 bytes "
	           "7 }"));
	w.cfg.n_peers = 2;
	CHECK_OK(apply(r, &w.cfg));
	check_has("nft list table inet fairlead", "198.51.100.1 counter packets 5 bytes 7");
	check_has("nft list table inet fairlead",
	          "100.64.0.3 counter packets 0 bytes 0 comment \"phone\"");
	check_has("ip route show table 52", "100.64.0.3 dev " DEV);
	w.cfg.n_peers = 1;
	w.cfg.accept_routes = false;
	CHECK_OK(apply(r, &w.cfg));
	check_lacks("ip route show table 52", "100.64.0.3");
	check_lacks("ip route show table 52", "192.168");
	check_lacks("nft list table inet fairlead", "100.64.0.3");
	w.self[0] = pfx("100.64.0.9"); /* the routes outlive a change of address */
	CHECK_OK(apply(r, &w.cfg));
	check_has("ip addr show " DEV, "inet 100.64.0.9/32");
	check_lacks("ip addr show " DEV, "inet 100.64.0.1/32");
	check_has("ip route show table 52", "100.64.0.2 dev " DEV);
	w.cfg.netfilter = ROUTER_NETFILTER_OFF;
	CHECK_OK(apply(r, &w.cfg));
	check_lacks("nft list tables", "fairlead");
	w.cfg.n_self = 0;
	CHECK_OK(apply(r, &w.cfg));
	check_lacks("ip rule", "5270");
	check_lacks("ip addr show " DEV, "100.64.0.9");
	CHECK_OK(host_router_undo(r, false));
	host_router_free(r);
}

static void what_a_crash_left_is_undone_at_the_next_start(void)
{
	AUTO_FREE char *before = host_state();
	struct host_router *r = NULL;
	struct world w;
	int status = 0;

	make(&w);
	(void)fflush(stdout);

	pid_t pid = fork();

	if (pid == 0) {
		/* Ends without any goodbye. */
		_exit(host_router_new(journal, &r) < 0 || apply(r, &w.cfg) < 0);
	}
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	check_has("ip rule", "5270:\tfrom all lookup 52");
	CHECK_OK(host_router_new(journal, &r));
	CHECK_OK(host_router_undo(r, false));
	host_router_free(r);
	free(shell("ip addr flush dev " DEV)); /* these go with the device of a crashed program */

	AUTO_FREE char *after = host_state();

	CHECK_STR(after, before);
	CHECK_OK(host_router_cleanup(journal));
}

static void the_service_addresses_are_never_a_source(void)
{
	struct host_router *r = NULL;
	struct prefix self[4];
	struct world w;

	make(&w);
	self[0] = pfx("100.101.0.1"); /* sorts behind the service address */
	self[1] = pfx("fd7a:115c:a1e0::1");
	self[2] = pfx("100.100.100.100");
	self[3] = pfx("fd7a:115c:a1e0::53");
	w.cfg.self = self;
	w.cfg.n_self = ARRAY_LEN(self);
	w.cfg.use_exit = true;
	CHECK_OK(host_router_new(journal, &r));
	CHECK_OK(apply(r, &w.cfg));
	check_has("ip route get 198.51.100.1", "src 100.101.0.1");
	check_has("ip -6 addr show " DEV, "fd7a:115c:a1e0::53/128 scope global deprecated");
	CHECK_OK(host_router_undo(r, false));
	host_router_free(r);
}

static void an_exit_nodes_guard_outlives_a_crash_and_the_next_start(void)
{
	AUTO_FREE char *before = host_state();
	struct host_router *r = NULL;
	struct world w;
	int status = 0;

	make(&w);
	w.cfg.use_exit = true;
	(void)fflush(stdout);

	pid_t pid = fork();

	if (pid == 0)
		_exit(host_router_new(journal, &r) < 0 || apply(r, &w.cfg) < 0);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	/* As when it is gone. */
	free(shell("ip addr flush dev " DEV "; ip route flush table 52 dev " DEV
	           "; ip -6 route flush table 52 dev " DEV));
	check_has("ip route get 198.51.100.1 2>&1", "No route to host");
	CHECK_OK(host_router_new(journal, &r));
	check_has("ip route get 198.51.100.1 2>&1", "No route to host");
	check_has("ip -6 route get 2001:db8::1 2>&1", "No route to host");
	check_lacks("nft list tables", "fairlead");
	/* The exit node is used again, then held, then not. */
	CHECK_OK(apply(r, &w.cfg));
	check_has("ip route get 198.51.100.1", "dev " DEV);
	CHECK_OK(host_router_undo(r, true));
	check_has("ip route get 198.51.100.1 2>&1", "No route to host");
	w.cfg.use_exit = false;
	CHECK_OK(apply(r, &w.cfg));
	check_lacks("ip route show table 52", "unreachable");
	CHECK_OK(host_router_undo(r, true));
	host_router_free(r);

	AUTO_FREE char *after = host_state();

	CHECK_STR(after, before);
}

static void rules_of_others_stay(void)
{
	struct host_router *r = NULL;
	struct world w;

	make(&w);
	free(shell("ip rule add priority 5270 fwmark 7 lookup 77; ip route add 10.9.0.0/16 dev fl1 "
	           "table 52; nft add table inet other; ip rule add priority 5211 lookup 78"));
	CHECK_OK(host_router_new(journal, &r));
	CHECK_OK(apply(r, &w.cfg));
	CHECK_OK(host_router_undo(r, false));
	host_router_free(r);
	check_has("ip rule", "5270:\tfrom all fwmark 0x7 lookup 77");
	check_has("ip rule", "5211:\tfrom all lookup 78");
	check_has("ip route show table 52", "10.9.0.0/16 dev fl1");
	check_has("nft list tables", "table inet other");
	free(shell("ip rule del priority 5270; ip rule del priority 5211; "
	           "ip route flush table 52; nft delete table inet other"));
}

static unsigned seen;

static void on_change(void *arg, unsigned what)
{
	seen |= what;
	(void)arg;
}

static void turn_until(struct ev *ev, unsigned what)
{
	/* Turns end early when something comes. */
	for (int i = 0; i < 1000 && (seen & what) != what; i++)
		ev_turn(ev, 50000);
}

/* What tests before have set in motion (duplicate addresses, carriers) is over. */
static void await_quiet(struct ev *ev)
{
	for (int round = 0; round < 20; round++) {
		seen = 0;
		for (int i = 0; i < 10; i++)
			ev_turn(ev, 50000);
		if (!seen)
			return;
	}
}

static void what_others_remove_is_told_and_mended(void)
{
	struct ev *ev = ev_new();
	struct netmon *m = NULL;
	struct netmon_cfg cfg = { .own_dev = DEV, .own_table = ROUTER_TABLE, .changed = on_change };
	struct host_router *r = NULL;
	struct world w;

	make(&w);
	CHECK_OK(host_router_new(journal, &r));
	CHECK_OK(netmon_new(ev, &cfg, &m));
	await_quiet(ev);
	CHECK_OK(apply(r, &w.cfg));
	for (int i = 0; i < 8; i++)
		ev_turn(ev, 50000);
	CHECK_EQ(seen & (NETMON_LINK | NETMON_ADDR | NETMON_ROUTE), 0);
	seen = 0;
	CHECK_EQ(host_router_mend(r), 0);
	free(shell("ip rule del priority 5270; nft flush ruleset; ip link set lo up; "
	           "ip addr add 10.66.0.1/24 dev lo"));
	turn_until(ev, NETMON_RULE | NETMON_NFT | NETMON_LINK | NETMON_ADDR);
	CHECK(seen & NETMON_RULE);
	CHECK(seen & NETMON_NFT);
	CHECK(seen & NETMON_LINK);
	CHECK(seen & NETMON_ADDR);
	CHECK_EQ(host_router_mend(r), 2);
	CHECK_EQ(host_router_mend(r), 0);
	check_has("ip rule", "5270:\tfrom all lookup 52");
	check_has("nft list table inet fairlead", "100.64.0.2");
	/* Who takes it away again and again is not raced. */
	int last = 1, times = 0;

	for (; times < 60 && last == 1; times++) {
		free(shell("ip rule del priority 5270"));
		last = host_router_mend(r);
	}
	CHECK_EQ(last, ERR_LIMIT);
	/* One was spent above; on a slow machine some have come back meanwhile. */
	CHECK(times >= HOST_ROUTER_MENDS);
	netmon_free(m);
	ev_free(ev);
	CHECK_OK(host_router_undo(r, false));
	host_router_free(r);
}

/* In an order of its own: the kernel's is that of creation. */
static char *own_state(void)
{
	return shell("ip -4 route show table 52 | sort; ip -6 route show table 52 | sort; ip rule; "
	             "ip -o addr show dev " DEV " scope global | awk '{ print $4 }' | sort");
}

static void mended(struct ev *ev, struct host_router *r, const char *line)
{
	AUTO_FREE char *before = own_state();

	seen = 0;
	free(shell(line));
	turn_until(ev, NETMON_OWN);
	CHECK(seen & NETMON_OWN);
	CHECK(host_router_mend(r) > 0);
	CHECK_EQ(host_router_mend(r), 0);

	AUTO_FREE char *after = own_state();

	CHECK_STR(after, before);
}

static void routes_and_addresses_that_others_flush_come_back(void)
{
	struct ev *ev = ev_new();
	struct netmon *m = NULL;
	struct netmon_cfg cfg = { .own_dev = DEV, .own_table = ROUTER_TABLE, .changed = on_change };
	struct host_router *r = NULL;
	struct world w;

	make(&w);
	w.cfg.use_exit = true;
	CHECK_OK(host_router_new(journal, &r));
	CHECK_OK(netmon_new(ev, &cfg, &m));
	CHECK_OK(apply(r, &w.cfg));
	mended(ev, r, "ip route flush table 52");
	mended(ev, r, "ip -6 route flush table 52");
	mended(ev, r,
	       "ip route del 100.64.0.2 table 52; ip route add unreachable 100.64.0.2 table 52");
	mended(ev, r, "ip addr del 100.64.0.1/32 dev " DEV);
	mended(ev, r, "ip addr flush dev " DEV " scope global");
	/* Set down it stays so, and what is missing then is not our business. */
	seen = 0;
	free(shell("ip link set " DEV " down"));
	turn_until(ev, NETMON_OWN);
	CHECK_EQ(host_router_mend(r), 0);
	check_lacks("ip link show dev " DEV, ",UP");
	free(shell("ip link set " DEV " up"));
	CHECK(host_router_mend(r) > 0);
	check_has("ip route show table 52", "100.64.0.2 dev " DEV);
	netmon_free(m);
	ev_free(ev);
	CHECK_OK(host_router_undo(r, false));
	host_router_free(r);
}

static void the_facts_leave_our_own_device_out(void)
{
	struct host_facts f = { 0 }, again = { 0 };
	char text[PREFIX_TEXT_MAX];

	free(shell("ip link add b0 type veth peer name b1; ip link set b0 up; ip link set b1 up; "
	           "ip addr add 192.168.5.9/24 dev b0; ip addr add 10.8.0.1/24 dev " DEV
	           "; ip route add default via 192.168.5.1"));
	CHECK_OK(host_facts_read(DEV, &f));
	CHECK_EQ(f.addrs.n, 1);
	CHECK_STR(f.default_dev, "b0");
	CHECK_STR(ip_text(&f.gateway4, text), "192.168.5.1");
	CHECK(f.has4 && !f.has6);

	bool found = false;

	vec_each(const struct router_link_net *, n, &f.nets)
		found |= strcmp(prefix_text(&n->prefix, text), "192.168.5.0/24") == 0 &&
		         !n->internal;
	CHECK(found);
	CHECK_OK(host_facts_read(DEV, &again));
	CHECK(host_facts_eq(&f, &again));
	host_facts_done(&f);
	CHECK(!host_facts_eq(&f, &again));
	host_facts_done(&again);
}

static void missing_forwarding_is_told_with_its_cure(void)
{
	AUTO_DONE(buf) struct buf out = { 0 };

	free(shell("sysctl -qw net.ipv4.ip_forward=0 net.ipv6.conf.all.forwarding=0"));
	host_forwarding_check(true, true, &out);
	CHECK(strstr(buf_text(&out), "IP forwarding is disabled") != NULL);
	CHECK(strstr(buf_text(&out), "sysctl -w net.ipv6.conf.all.forwarding=1") != NULL);
	buf_clear(&out);
	free(shell("sysctl -qw net.ipv4.conf." DEV ".forwarding=1"));
	host_forwarding_check(true, false, &out);
	CHECK(strstr(buf_text(&out), "Traffic received on fl1 won't be forwarded") != NULL);
	CHECK(strstr(buf_text(&out), "received on " DEV) == NULL);
	buf_clear(&out);
	free(shell("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1"));
	host_forwarding_check(true, true, &out);
	CHECK_STR(buf_text(&out), "");
}

int main(void)
{
	const char *skip = NULL;

	if (unshare(CLONE_NEWNET) < 0 || !nft_have() || !mkdtemp(folder))
		skip = "no network namespace of our own, or no nft";
	if (!skip) {
		AUTO_FREE char *said = shell("ip link add " DEV " type veth peer name fl1; "
		                             "sysctl -qw net.ipv6.conf.fl1.disable_ipv6=1; "
		                             "ip link set fl1 up");

		if (*said)
			skip = "no device to work with";
	}
	if (skip) {
		check_skip("host router", skip);
		return check_done();
	}
	journal = str_fmt("%s/journal", folder);
	RUN(a_plan_is_put_into_effect_and_undone);
	RUN(only_what_differs_is_changed);
	RUN(what_a_crash_left_is_undone_at_the_next_start);
	RUN(the_service_addresses_are_never_a_source);
	RUN(an_exit_nodes_guard_outlives_a_crash_and_the_next_start);
	RUN(rules_of_others_stay);
	RUN(what_others_remove_is_told_and_mended);
	RUN(routes_and_addresses_that_others_flush_come_back);
	RUN(the_facts_leave_our_own_device_out);
	RUN(missing_forwarding_is_told_with_its_cure);
	free(journal);
	(void)rmdir(folder);
	return check_done();
}
