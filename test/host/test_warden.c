/* The messages by themselves, and both parts in a network namespace of their own. */
#include "host/warden.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/rand.h"
#include "host/warden_msg.h"
#include "host/warden_part.h"
#include "platform/channel.h"
#include "platform/proc.h"
#include "test/check.h"

#define DEV "flw0"

static char folder[] = "/tmp/fl-warden-XXXXXX";

static struct prefix pfx(const char *text)
{
	struct prefix p = { 0 };

	CHECK_OK(prefix_parse(span_str(text), &p));
	return p;
}

struct world {
	struct prefix self[2], allowed[3];
	struct ip peer_ip[2];
	struct router_peer peers[1];
	struct router_link_net nets[1];
	struct router_cfg cfg;
};

static void make(struct world *w)
{
	*w = (struct world){
		.self = { pfx("100.64.0.1"), pfx("fd7a:115c:a1e0::1") },
		.allowed = { pfx("100.64.0.2"), pfx("fd7a:115c:a1e0::2"), pfx("192.168.0.0/16") },
		.peer_ip = { pfx("100.64.0.2").ip, pfx("fd7a:115c:a1e0::2").ip },
		.nets = { { pfx("192.168.1.0/24"), true } },
	};
	w->peers[0] = (struct router_peer){ w->allowed, 3, w->peer_ip, 2, "nas", true };
	w->cfg = (struct router_cfg){ .dev = DEV,
		                      .mtu = 1400,
		                      .self = w->self,
		                      .n_self = 2,
		                      .peers = w->peers,
		                      .n_peers = 1,
		                      .nets = w->nets,
		                      .n_nets = 1,
		                      .ip6 = true,
		                      .accept_routes = true,
		                      .use_exit = true,
		                      .netfilter = ROUTER_NETFILTER_ON,
		                      .snat = true,
		                      .udp_port = 41641 };
}

static void print(const struct router_cfg *cfg, struct buf *out)
{
	struct router_plan p = { 0 };

	router_plan(cfg, &p);
	router_plan_print(out, &p);
	router_plan_done(&p);
}

static void a_plan_arrives_as_it_was_sent(void)
{
	AUTO_DONE(buf) struct buf body = { 0 }, sent = { 0 }, got = { 0 };
	struct arena a = { 0 };
	struct router_cfg cfg = { 0 };
	struct world w;

	make(&w);
	warden_put_router(&body, &w.cfg);
	CHECK_OK(warden_get_router(buf_span(&body), &a, &cfg));
	print(&w.cfg, &sent);
	print(&cfg, &got);
	CHECK_STR(buf_text(&got), buf_text(&sent));
	CHECK(cfg.peers[0].is_exit && cfg.nets[0].internal);
	arena_done(&a);
}

static void every_truncation_of_a_plan_is_refused(void)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	struct router_cfg cfg;
	struct world w;

	make(&w);
	warden_put_router(&body, &w.cfg);
	for (size_t n = 0; n < body.n; n++) {
		struct arena a = { 0 };

		CHECK(warden_get_router(span(body.p, n), &a, &cfg) < 0);
		arena_done(&a);
	}
	buf_add_u8(&body, 0);

	struct arena a = { 0 };

	CHECK_EQ(warden_get_router(buf_span(&body), &a, &cfg), ERR_TRAILING);
	arena_done(&a);
}

static void no_bit_flip_of_a_plan_does_harm(void)
{
	AUTO_DONE(buf) struct buf body = { 0 };
	struct world w;

	make(&w);
	warden_put_router(&body, &w.cfg);
	for (size_t i = 0; i < body.n * 8; i++) {
		struct arena a = { 0 };
		struct router_cfg cfg;

		body.p[i / 8] ^= (uint8_t)(1 << i % 8);
		if (warden_get_router(buf_span(&body), &a, &cfg) == 0) {
			AUTO_DONE(buf) struct buf out = { 0 };

			print(&cfg, &out);
		}
		arena_done(&a);
		body.p[i / 8] ^= (uint8_t)(1 << i % 8);
	}
	CHECK(true);
}

static void the_resolvers_plan_and_facts_arrive_whole_or_not_at_all(void)
{
	struct dns_os os = { .need_base = true }, got = { 0 };
	struct dns_resolv base = { .owner = DNS_OWNER_NM };
	struct warden_dns_facts f = { 0 };
	AUTO_DONE(buf) struct buf body = { 0 }, facts = { 0 };

	vec_push(&os.servers, pfx("100.100.100.100").ip);
	vec_push(&os.search, str_dup("tail.example"));
	vec_push(&os.match, str_dup("corp.example"));
	vec_push(&base.servers, pfx("9.9.9.9").ip);
	vec_push(&base.search, str_dup("lan"));
	warden_put_dns(&body, &os);
	CHECK_OK(warden_get_dns(buf_span(&body), &got));
	CHECK(dns_os_eq(&os, &got) && got.need_base);
	dns_os_done(&got);
	for (size_t n = 0; n < body.n; n++)
		CHECK(warden_get_dns(span(body.p, n), &got) < 0 && !got.search.n);
	warden_put_dns_facts(&facts, DNS_MANAGER_RESOLVED, "it answers", &base);
	for (size_t n = 0; n < facts.n; n++)
		CHECK(warden_get_dns_facts(span(facts.p, n), &f) < 0 && !f.why);
	CHECK_OK(warden_get_dns_facts(buf_span(&facts), &f));
	CHECK_EQ(f.manager, DNS_MANAGER_RESOLVED);
	CHECK_STR(f.why, "it answers");
	CHECK_STR(f.base.search.v[0], "lan");
	warden_dns_facts_done(&f);
	dns_os_done(&os);
	dns_resolv_done(&base);
}

/* ---- both parts ------------------------------------------------------------ */

static char *shell(const char *line)
{
	const char *const argv[] = { "sh", "-c", line, NULL };
	AUTO_DONE(buf) struct buf out = { 0 };
	int status;

	CHECK_OK(proc_run(&(struct proc_cmd){ .argv = argv, .flags = PROC_WITH_ERR }, &out,
	                  &status));
	return str_dup(buf_text(&out));
}

static char *host_state(void)
{
	return shell(
		"ip link; ip -4 route show table all; ip -6 route show table all | grep -v fe80 "
		"| grep -v ff00; ip rule; ip -6 rule; nft list ruleset; "
		"cat /proc/sys/net/ipv4/conf/all/src_valid_mark");
}

static bool has(const char *line, const char *want)
{
	AUTO_FREE char *out = shell(line);

	return strstr(out, want) != NULL;
}

/* What others do takes a moment; there is no time limit on a slow machine that matters. */
static bool becomes(const char *line, const char *want, bool there)
{
	for (int i = 0; i < 600; i++) {
		if (has(line, want) == there)
			return true;
		(void)usleep(50000);
	}
	return false;
}

static int start(struct warden **w, struct tun **t)
{
	struct warden_cfg cfg = { .dev = DEV, .folder = folder };
	int r = warden_start(&cfg, w);

	return r < 0 ? r : warden_tun(*w, t);
}

static void the_host_is_changed_by_the_other_part_and_put_back(void)
{
	AUTO_FREE char *before = host_state();
	struct warden *w = NULL;
	struct tun *t = NULL;
	struct world world;

	make(&world);
	CHECK_OK(start(&w, &t));
	CHECK_STR(tun_name(t), DEV);
	for (int i = 0; i < 50; i++) {
		world.cfg.udp_port = (uint16_t)(1000 + i); /* only the last one counts */
		warden_route(w, &world.cfg, NULL, NULL);
	}
	warden_unroute(w, true);
	CHECK(has("ip route get 198.51.100.1 2>&1", "No route to host"));
	warden_route(w, &world.cfg, NULL, NULL);
	CHECK(becomes("nft list table inet fairlead 2>&1", "udp dport 1049", true));
	CHECK(becomes("ip rule", "5270:", true));
	tun_close(t);
	warden_free(w);

	AUTO_FREE char *after = host_state();

	CHECK_STR(after, before);
}

static void another_interface_is_refused(void)
{
	struct warden *w = NULL;
	struct tun *t = NULL;
	struct world world;

	make(&world);
	CHECK_OK(start(&w, &t));
	memcpy(world.cfg.dev, "lo", 3);
	warden_route(w, &world.cfg, NULL, NULL);
	warden_unroute(w, false); /* waits for the answer before */
	CHECK(!has("ip addr show lo", "100.64.0.1"));
	tun_close(t);
	warden_free(w);
}

static void an_address_that_is_not_ours_to_have_is_refused(void)
{
	static const char *const hostile[] = { "127.0.0.1/32",   "::1/128",     "0.0.0.0/32",
		                               "169.254.1.1/32", "fe80::1/128", "224.0.0.1/32",
		                               "10.0.0.0/8",     "0.0.0.0/0" };

	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		AUTO_DONE(buf) struct buf body = { 0 };
		struct arena a = { 0 };
		struct router_cfg cfg;
		struct world w;

		make(&w);
		w.self[1] = pfx(hostile[i]);
		warden_put_router(&body, &w.cfg);
		CHECK(warden_get_router(buf_span(&body), &a, &cfg) < 0);
		arena_done(&a);
	}
}

static void a_domain_cannot_bring_a_line_of_its_own(void)
{
	static const char *const hostile[] = { "a.lab\nnameserver 6.6.6.6", "a.lab options rotate",
		                               "a.lab\r", "\t", "\x7f" };

	for (size_t i = 0; i < ARRAY_LEN(hostile); i++) {
		AUTO_DONE(buf) struct buf body = { 0 };
		struct dns_os os = { 0 }, got = { 0 };

		vec_push(&os.search, str_dup(hostile[i]));
		warden_put_dns(&body, &os);
		CHECK(warden_get_dns(buf_span(&body), &got) < 0);
		dns_os_done(&os);
	}
}

/* ---- as the network part would speak once it was taken over ---- */

struct intruder {
	int fd;
	pid_t pid;
};

static void intrude(struct intruder *x)
{
	const struct warden_cfg cfg = { .dev = DEV, .folder = folder };
	struct channel_msg ready;
	int ends[2];

	CHECK_OK(channel_pair(ends));
	x->fd = ends[0];
	x->pid = fork();
	if (x->pid == 0) {
		fd_close(ends[0]);
		_exit(warden_part(ends[1], &cfg));
	}
	fd_close(ends[1]);
	CHECK_OK(channel_recv(x->fd, 30000, &ready));
	CHECK_EQ(ready.kind, WARDEN_READY);
	channel_msg_done(&ready);
}

static void leave(struct intruder *x)
{
	fd_close(x->fd);
	while (waitpid(x->pid, NULL, 0) < 0 && errno == EINTR)
		;
}

/* What the host part makes of it: 0, an error, or ERR_CLOSED if it wants to hear no more. */
static int result_of(const struct intruder *x, int kind, struct span body, int pass)
{
	struct channel_msg m;
	struct span rest;
	int result = 0;
	int r = channel_send(x->fd, (uint8_t)kind, body, pass);

	if (r == 0)
		r = channel_recv(x->fd, 30000, &m);
	if (r < 0)
		return ERR_CLOSED;
	rest = buf_span(&m.body);
	CHECK_OK(warden_get_result(&rest, &result));
	channel_msg_done(&m);
	return result;
}

static void what_makes_no_sense_is_refused(void)
{
	AUTO_DONE(buf) struct buf plan = { 0 };
	struct intruder x;
	struct world w;
	int pipe_ends[2];

	make(&w);
	warden_put_router(&plan, &w.cfg);
	CHECK_EQ(pipe(pipe_ends), 0);
	intrude(&x);
	/* A plan for an interface that was never asked for, a resolver that was never opened. */
	CHECK_EQ(result_of(&x, WARDEN_ROUTE, buf_span(&plan), -1), ERR_DENIED);
	CHECK_EQ(result_of(&x, WARDEN_DNS_APPLY, SPAN_LIT(""), -1), ERR_BADSTATE);
	CHECK_EQ(result_of(&x, WARDEN_DNS_OPEN, SPAN_LIT(""), -1), ERR_BADSTATE);
	/* Descriptors that are none, or no sockets. */
	CHECK_EQ(result_of(&x, WARDEN_GROW, SPAN_LIT(""), -1), ERR_MALFORMED);
	CHECK(result_of(&x, WARDEN_GROW, SPAN_LIT(""), pipe_ends[1]) < 0);
	/* Bodies that are no plans. */
	CHECK(result_of(&x, WARDEN_ROUTE, SPAN_LIT("; rm -rf /"), -1) < 0);
	CHECK(result_of(&x, WARDEN_ROUTE, SPAN_LIT("\xff\xff\xff\xff\xff\xff"), -1) < 0);
	CHECK_EQ(result_of(&x, WARDEN_UNROUTE, SPAN_LIT(""), -1), ERR_MALFORMED);
	CHECK_EQ(result_of(&x, WARDEN_UNROUTE, SPAN_LIT("22"), -1), ERR_MALFORMED);
	CHECK(!has("ip rule", "5270:"));
	leave(&x);
	fd_close(pipe_ends[0]);
	fd_close(pipe_ends[1]);
}

static void what_is_no_request_at_all_ends_it(void)
{
	static const int kinds[] = { 0,
		                     WARDEN_DNS_CLOSE + 1,
		                     WARDEN_TUN + WARDEN_ANSWER,
		                     WARDEN_READY,
		                     WARDEN_DNS_CHANGED,
		                     255 };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		struct intruder x;

		intrude(&x);
		CHECK_EQ(result_of(&x, kinds[i], SPAN_LIT("x"), -1), ERR_CLOSED);
		leave(&x);
	}
}

static void the_other_part_has_few_rights(void)
{
	AUTO_FREE char *line = NULL;
	struct warden *w = NULL;
	struct tun *t = NULL;

	CHECK_OK(start(&w, &t));
	line = str_fmt("cat /proc/%d/status", warden_pid(w));
	/* CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_NET_ADMIN */
	CHECK(has(line, "CapEff:\t000000000000100b"));
	CHECK(has(line, "CapBnd:\t000000000000100b"));
	CHECK(has(line, "NoNewPrivs:\t1"));
	tun_close(t);
	warden_free(w);
}

static void what_others_remove_is_put_back_without_being_asked(void)
{
	struct warden *w = NULL;
	struct tun *t = NULL;
	struct world world;

	make(&world);
	CHECK_OK(start(&w, &t));
	warden_route(w, &world.cfg, NULL, NULL);
	CHECK(becomes("ip rule", "5270:", true));
	CHECK(becomes("nft list tables", "fairlead", true));
	free(shell("ip rule del priority 5270; nft flush ruleset"));
	CHECK(becomes("ip rule", "5270:", true));
	CHECK(becomes("nft list tables", "fairlead", true));
	tun_close(t);
	warden_free(w);
}

static void a_main_part_that_dies_leaves_only_the_guard(void)
{
	AUTO_FREE char *before = host_state();
	struct warden *w = NULL;
	struct tun *t = NULL;
	struct world world;
	int status = 0;

	make(&world);
	(void)fflush(stdout);

	pid_t pid = fork();

	if (pid == 0) {
		if (start(&w, &t) == 0) {
			warden_route(w, &world.cfg, NULL, NULL);
			warden_grow(w, 0); /* waits */
		}
		(void)raise(SIGKILL);
	}
	CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status));
	CHECK(becomes("nft list tables", "fairlead", false));
	CHECK(has("ip route get 198.51.100.1 2>&1", "No route to host"));
	CHECK(has("ip -6 route get 2001:db8::1 2>&1", "No route to host"));
	/* Who wants no exit node any more gets the host back. */
	CHECK_OK(start(&w, &t));
	CHECK(has("ip route get 198.51.100.1 2>&1", "No route to host"));
	warden_unroute(w, false);
	tun_close(t);
	warden_free(w);

	AUTO_FREE char *after = host_state();

	CHECK_STR(after, before);
}

static pid_t only_child_of(int pid)
{
	AUTO_FREE char *line = str_fmt("cat /proc/%d/task/%d/children", pid, pid);
	AUTO_FREE char *text = shell(line);

	return (pid_t)strtol(text, NULL, 10);
}

static void killed_itself_it_has_its_work_undone_all_the_same(void)
{
	struct warden *w = NULL;
	struct tun *t = NULL;
	struct world world;

	make(&world);
	CHECK_OK(start(&w, &t));
	warden_route(w, &world.cfg, NULL, NULL);
	warden_grow(w, 0); /* waits */
	CHECK(has("nft list tables", "fairlead"));
	CHECK(kill(only_child_of(warden_pid(w)), SIGKILL) == 0);
	CHECK(becomes("nft list tables", "fairlead", false));
	CHECK(becomes("ip route show table 52", DEV, false));
	/* The guard of the exit node that was in use stays, as ever. */
	CHECK(has("ip route get 198.51.100.1 2>&1", "No route to host"));
	tun_close(t);
	warden_free(w);
	CHECK_OK(warden_cleanup(&(struct warden_cfg){ .dev = DEV, .folder = folder }));
	CHECK(!has("ip rule", "5270"));
}

int main(void)
{
	const char *skip = NULL;

	RUN(a_plan_arrives_as_it_was_sent);
	RUN(every_truncation_of_a_plan_is_refused);
	RUN(no_bit_flip_of_a_plan_does_harm);
	RUN(an_address_that_is_not_ours_to_have_is_refused);
	RUN(a_domain_cannot_bring_a_line_of_its_own);
	RUN(the_resolvers_plan_and_facts_arrive_whole_or_not_at_all);
	if (unshare(CLONE_NEWNET) < 0 || !proc_find("nft", NULL) ||
	    access("/dev/net/tun", W_OK) < 0 || !mkdtemp(folder))
		skip = "no network namespace of our own, no nft, or no TUN";
	if (skip) {
		(void)printf("# %s\n", skip);
		return check_done();
	}
	free(shell("ip link set lo up"));
	RUN(the_host_is_changed_by_the_other_part_and_put_back);
	RUN(another_interface_is_refused);
	RUN(what_makes_no_sense_is_refused);
	RUN(what_is_no_request_at_all_ends_it);
	RUN(the_other_part_has_few_rights);
	RUN(what_others_remove_is_put_back_without_being_asked);
	RUN(a_main_part_that_dies_leaves_only_the_guard);
	RUN(killed_itself_it_has_its_work_undone_all_the_same);
	free(shell("rm /tmp/fl-warden-*/" DEV ".lock"));
	(void)rmdir(folder);
	return check_done();
}
