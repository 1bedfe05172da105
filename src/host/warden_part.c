#include "host/warden_part.h"

#include <errno.h>
#include <linux/capability.h>
#include <net/if.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "host/dns.h"
#include "host/router.h"
#include "host/warden_msg.h"
#include "platform/caps.h"
#include "platform/channel.h"
#include "platform/local.h"
#include "platform/netmon.h"
#include "platform/self.h"
#include "platform/udp.h"

enum { TURN_US = 20 * 1000, TURN_TRIES = 1500, TURN_TOLD = 50, TRIM_US = 20 * 1000 * 1000 };
enum { ORPHAN_TRIES = 500 /* turns: as long as a run of nft or resolvconf may take */ };

struct part {
	const struct warden_cfg *cfg;
	int fd;
	struct ev *ev;
	struct ev_io io;
	char dev[TUN_NAME]; /* the name the interface got */
	char *router_journal, *dns_journal, *lock_path;
	int lock;
	struct host_router *router;
	struct netmon *mon;
	struct host_dns *dns;
	struct ev_timer mend;
	struct ev_timer trim; /* some time after the last request */
	struct buf reply;
};

/* ---- what others take away ------------------------------------------------- */

static void mend(struct part *p)
{
	int r = p->router ? host_router_mend(p->router) : 0;

	if (r > 0)
		log_warn("something removed routes, rules or the firewall table of ours; put back");
	else if (r == ERR_LIMIT)
		ev_timer_after(p->ev, &p->mend, HOST_ROUTER_MEND_US);
	else if (r < 0)
		(void)log_ret(r, "cannot put back what was removed: %s",
		              host_router_said(p->router));
}

static void on_mend(struct ev_timer *t, mono now)
{
	(void)now;
	mend(CONTAINER_OF(t, struct part, mend));
}

static void on_netmon(void *arg, unsigned what)
{
	if (what & (NETMON_RULE | NETMON_NFT | NETMON_OWN))
		mend(arg);
}

/* ---- requests -------------------------------------------------------------- */

/* A descriptor to send along, or -1; the reply's result is set in *ret. */
static int open_tun(struct part *p, struct tun **hold, int *ret)
{
	*ret = tun_open(p->cfg->dev, hold);
	if (*ret < 0)
		return -1;
	memcpy(p->dev, tun_name(*hold), sizeof(p->dev));
	return tun_fd(*hold);
}

static void watch_others(struct part *p)
{
	struct netmon_cfg cfg = {
		.own_dev = p->dev, .own_table = ROUTER_TABLE, .changed = on_netmon, .arg = p
	};

	if (!p->mon && netmon_new(p->ev, &cfg, &p->mon) < 0)
		log_warn("cannot watch over our routing rules and firewall table");
}

static int apply(struct part *p, const struct router_cfg *cfg)
{
	struct router_plan plan = { 0 };
	int r;

	watch_others(p);
	router_plan(cfg, &plan);
	r = host_router_apply(p->router, &plan);
	if (r < 0)
		log_warn("the host's network is not as it should be: %s %s", err_text(r),
		         host_router_said(p->router));
	router_plan_done(&plan);
	return r;
}

static int route(struct part *p, struct span body)
{
	struct arena a = { 0 };
	struct router_cfg cfg;
	int r = warden_get_router(body, &a, &cfg);

	/* Another interface is not ours to touch. */
	if (r == 0 && (!p->dev[0] || strcmp(cfg.dev, p->dev) != 0))
		r = ERR_DENIED;
	if (r == 0)
		r = p->router ? apply(p, &cfg) : ERR_BADSTATE;
	arena_done(&a);
	return r;
}

static int unroute(struct part *p, bool hold)
{
	ev_timer_stop(p->ev, &p->mend);
	return p->router ? host_router_undo(p->router, hold) : 0;
}

static void put_facts(const struct part *p, struct buf *out)
{
	warden_put_dns_facts(out, host_dns_manager(p->dns), host_dns_why(p->dns),
	                     host_dns_base(p->dns));
}

static void on_dns(void *arg, bool lost)
{
	struct part *p = arg;
	AUTO_DONE(buf) struct buf body = { 0 };

	buf_add_u8(&body, lost);
	put_facts(p, &body);
	(void)!channel_send(p->fd, WARDEN_DNS_CHANGED, buf_span(&body), -1);
}

static int dns_open(struct part *p)
{
	struct host_dns_cfg cfg = { .dev = p->dev,
		                    .journal = p->dns_journal,
		                    .etc = p->cfg->etc,
		                    .changed = on_dns,
		                    .arg = p };

	if (!p->dev[0])
		return ERR_BADSTATE;
	host_dns_free(TAKE(p->dns));
	return host_dns_new(p->ev, &cfg, &p->dns);
}

static int dns_apply(struct part *p, struct span body)
{
	struct dns_os os = { 0 };
	int r = p->dns ? warden_get_dns(body, &os) : ERR_BADSTATE;

	if (r < 0)
		return r;
	r = host_dns_apply(p->dns, &os);
	dns_os_done(&os);
	return r;
}

static int serve(struct part *p, const struct channel_msg *m)
{
	struct span body = buf_span(&m->body);
	struct tun *tun = NULL;
	int r = 0, pass = -1;

	buf_clear(&p->reply);
	switch (m->kind) {
	case WARDEN_TUN:
		pass = open_tun(p, &tun, &r);
		break;
	case WARDEN_GROW:
		r = m->fd >= 0 ? udp_grow(m->fd) : ERR_MALFORMED;
		break;
	case WARDEN_ROUTE:
		r = route(p, body);
		break;
	case WARDEN_BYPASS:
		r = p->router ? host_router_bypass(p->router) : ERR_BADSTATE;
		break;
	case WARDEN_UNROUTE:
		r = body.n == 1 ? unroute(p, body.p[0]) : ERR_MALFORMED;
		break;
	case WARDEN_DNS_OPEN:
		r = dns_open(p);
		break;
	case WARDEN_DNS_APPLY:
		r = dns_apply(p, body);
		break;
	case WARDEN_DNS_CLOSE:
		host_dns_free(TAKE(p->dns));
		break;
	default:
		return ERR_MALFORMED;
	}
	warden_put_result(&p->reply, r);
	if (m->kind == WARDEN_DNS_OPEN && r == 0)
		put_facts(p, &p->reply);
	r = channel_send(p->fd, (uint8_t)(m->kind + WARDEN_ANSWER), buf_span(&p->reply), pass);
	/* The other part has its own copy now: the interface lives as long as that. */
	tun_close(tun);
	return r;
}

/* Requests come in a row and then not for days. */
static void on_trim(struct ev_timer *t, mono now)
{
	(void)t;
	(void)now;
	self_trim();
}

static void on_message(struct ev_io *io, unsigned events)
{
	struct part *p = CONTAINER_OF(io, struct part, io);
	struct channel_msg m;
	int r = channel_recv(p->fd, -1, &m);

	(void)events;
	ev_timer_after(p->ev, &p->trim, TRIM_US);
	if (r == 0) {
		r = serve(p, &m);
		channel_msg_done(&m);
	}
	if (r < 0)
		ev_stop(p->ev, r == ERR_CLOSED ? 0 : 1);
}

/* ---- life ------------------------------------------------------------------- */

/*
 * CAP_NET_ADMIN	interface, addresses, routes, rules, nft, buffers
 * CAP_DAC_OVERRIDE	journals in a folder of the other part's user, /etc
 * CAP_CHOWN, CAP_FOWNER	resolvconf and its hooks keep owners and modes of files
 */
static int keep_few_rights(void)
{
	static const int keep[] = { CAP_NET_ADMIN, CAP_DAC_OVERRIDE, CAP_CHOWN, CAP_FOWNER };
	int r = caps_no_dump();

	if (r == 0)
		r = caps_keep_for_children(keep, ARRAY_LEN(keep));
	return r < 0 ? r : caps_no_new_privs();
}

/*
 * One at a time: the other part of a daemon that was killed may still be at
 * work, and it takes out of the host what it finds there. The lock goes with the
 * process.
 */
static void await_turn(struct part *p)
{
	int r = -EWOULDBLOCK;

	for (int i = 0; i < TURN_TRIES && r == -EWOULDBLOCK; i++) {
		r = file_lock(p->lock_path, &p->lock);
		if (r == -EWOULDBLOCK)
			(void)usleep(TURN_US);
		if (r == -EWOULDBLOCK && i == TURN_TOLD)
			log_info("waiting for the daemon before to put the host back");
	}
	if (r == -EWOULDBLOCK)
		log_warn("another daemon has %s; going on", p->lock_path);
}

/* What a crash left goes now, not when somebody first asks for something. */
static void recover(struct part *p)
{
	struct host_dns_cfg cfg = { .dev = p->cfg->dev,
		                    .journal = p->dns_journal,
		                    .etc = p->cfg->etc };
	int r = host_router_new(p->router_journal, &p->router);

	if (r < 0)
		(void)log_ret(r, "cannot keep the host's routes");
	r = host_dns_cleanup(&cfg);
	if (r < 0)
		(void)log_ret(r, "cannot put the host's resolver back");
}

/* The daemon after us may be there already. */
static void remove_sockets(const struct warden_cfg *cfg)
{
	for (size_t i = 0; i < ARRAY_LEN(cfg->sockets); i++) {
		AUTO(fd_close) int fd = -1;

		if (cfg->sockets[i] && local_connect(cfg->sockets[i], &fd) == -ECONNREFUSED)
			(void)unlink(cfg->sockets[i]);
	}
}

static void put_back(struct part *p)
{
	int r;

	host_dns_free(TAKE(p->dns));
	/* After an orderly end there is no guard left to hold. */
	r = unroute(p, true);
	if (r < 0)
		(void)log_ret(r, "cannot take our routes out of the host");
	remove_sockets(p->cfg);
}

static void part_init(struct part *p, const struct warden_cfg *cfg)
{
	*p = (struct part){ .cfg = cfg,
		            .fd = -1,
		            .io.fn = on_message,
		            .mend.fn = on_mend,
		            .trim.fn = on_trim,
		            .router_journal = str_fmt("%s/%s.router", cfg->folder, cfg->dev),
		            .dns_journal = str_fmt("%s/%s.dns", cfg->folder, cfg->dev),
		            .lock_path = str_fmt("%s/%s.lock", cfg->folder, cfg->dev),
		            .lock = -1 };
}

static void part_done(struct part *p)
{
	host_router_free(p->router);
	buf_done(&p->reply);
	free(p->router_journal);
	free(p->dns_journal);
	free(p->lock_path);
	fd_close(p->lock);
}

static int work(int fd, const struct warden_cfg *cfg)
{
	struct part p;
	int r;

	(void)prctl(PR_SET_NAME, "fairleadd-host", 0, 0, 0);
	part_init(&p, cfg);
	p.fd = fd;
	p.ev = ev_new();
	await_turn(&p);
	recover(&p);
	r = channel_send(fd, WARDEN_READY, span(NULL, 0), -1);
	if (r == 0)
		r = ev_io_start(p.ev, &p.io, fd, EV_READ);
	if (r == 0)
		r = ev_run(p.ev);
	put_back(&p);
	ev_io_stop(p.ev, &p.io);
	ev_timer_stop(p.ev, &p.trim);
	netmon_free(p.mon);
	ev_free(p.ev);
	part_done(&p);
	fd_close(fd);
	return r == 0 ? 0 : 1;
}

/* ---- if it is killed ----------------------------------------------------------- */

/* What it started and left is ours then, and not waited for by anybody else. */
static int await_end(pid_t pid)
{
	int status = 0;
	pid_t got;

	do
		got = wait(&status);
	while (got != pid && (got > 0 || errno == EINTR));
	return status;
}

/* A run of nft that is under way must not come after what we undo. */
static void await_orphans(void)
{
	for (int i = 0; i < ORPHAN_TRIES; i++) {
		pid_t got = waitpid(-1, NULL, WNOHANG);

		if (got < 0)
			return;
		if (got == 0)
			(void)usleep(TURN_US);
	}
}

/* If the next daemon has the lock, it has done it. */
static void tidy_after(const struct warden_cfg *cfg)
{
	struct part p;

	part_init(&p, cfg);
	await_orphans();
	if (file_lock(p.lock_path, &p.lock) != -EWOULDBLOCK) {
		log_error("the privileged part was killed; putting the host back");
		recover(&p);
		remove_sockets(cfg);
	}
	part_done(&p);
}

/*
 * Waits for the part that is at work, so that somebody with its rights is left
 * to undo what it did if it is killed. If this one is, that one works on.
 */
static int keep_watch(pid_t pid, const struct warden_cfg *cfg)
{
	int status;

	(void)prctl(PR_SET_NAME, "fairlead-keeper", 0, 0, 0);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
	status = await_end(pid);
	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	tidy_after(cfg);
	return 1;
}

int warden_part(int fd, const struct warden_cfg *cfg)
{
	int r = keep_few_rights();

	if (r < 0) {
		(void)log_ret(r, "cannot give rights away");
		return 1;
	}
	/* It is the other part that is told to end; we end after it. */
	(void)signal(SIGTERM, SIG_IGN);
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGHUP, SIG_IGN);
	(void)signal(SIGPIPE, SIG_IGN);

	pid_t pid = fork();

	if (pid <= 0) /* or there is none to watch */
		return work(fd, cfg);
	fd_close(fd);
	return keep_watch(pid, cfg);
}

int warden_cleanup(const struct warden_cfg *cfg)
{
	struct part p;
	struct host_dns_cfg dns = { .dev = cfg->dev, .etc = cfg->etc };
	int r, e;

	part_init(&p, cfg);
	dns.journal = p.dns_journal;
	await_turn(&p);
	r = host_router_cleanup(p.router_journal);
	if (r < 0)
		(void)log_ret(r, "cannot take our routes and firewall table out of the host");
	e = host_dns_cleanup(&dns);
	if (e < 0)
		(void)log_ret(e, "cannot put the host's resolver back");
	remove_sockets(cfg);
	part_done(&p);
	return r < 0 ? r : e;
}
