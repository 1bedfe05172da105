/* The interface, the privileged part, and what a program sees of its host. */
#include <errno.h>

#include "base/err.h"
#include "host/facts.h"
#include "platform/tun.h"
#include "test/sim/machine_priv.h"

enum { MTU = 1280 };

/* ---- platform/tun.h ---- */

int tun_open(const char *name, struct tun **ret)
{
	struct machine *m = machine_here();

	(void)name;
	if (m->tun)
		return -EBUSY;
	m->tun = mem_new(struct tun);
	inbox_open(&m->tun->in, m);
	*ret = m->tun;
	return 0;
}

int tun_adopt(int fd, struct tun **ret)
{
	(void)fd;
	(void)ret;
	return -EINVAL;
}

void tun_close(struct tun *t)
{
	if (!t)
		return;
	t->in.m->tun = NULL;
	inbox_done(&t->in);
	free(t);
}

const char *tun_advice(int r)
{
	(void)r;
	return "";
}

int tun_fd(const struct tun *t)
{
	return t->in.fd;
}

const char *tun_name(const struct tun *t)
{
	(void)t;
	return "tailscale0";
}

unsigned tun_caps(const struct tun *t)
{
	(void)t;
	return 0;
}

unsigned tun_mtu(const struct tun *t)
{
	(void)t;
	return MTU;
}

bool tun_is_up(const struct tun *t)
{
	(void)t;
	return true;
}

int tun_set_mtu(struct tun *t, unsigned mtu)
{
	(void)t;
	(void)mtu;
	return 0;
}

int tun_read(struct tun *t, void *buf, size_t cap)
{
	struct inbox_item i;
	int n = 0;

	if (!inbox_take(&t->in, &i))
		return 0;
	if (i.n + TUN_HEADER <= cap) {
		memset(buf, 0, TUN_HEADER);
		memcpy((uint8_t *)buf + TUN_HEADER, i.bytes, i.n);
		n = (int)i.n + TUN_HEADER;
	}
	free(i.bytes);
	return n;
}

int tun_write(struct tun *t, const struct iovec *iov, int n)
{
	uint8_t frame[TUN_FRAME_MAX];
	size_t len = 0;

	for (int i = 0; i < n; i++) {
		if (iov[i].iov_len > sizeof(frame) - len)
			return -EMSGSIZE;
		memcpy(frame + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	if (len > TUN_HEADER && t->in.m->packet)
		t->in.m->packet(t->in.m->packet_arg, span(frame + TUN_HEADER, len - TUN_HEADER));
	return 0;
}

int tun_watch(struct tun *t, struct ev *ev, const struct tun_watch *w)
{
	(void)ev;
	t->watch = *w;
	return 0;
}

void tun_probe_writes(struct tun *t)
{
	(void)t;
}

void machine_packet(struct machine *m, struct span packet)
{
	static const struct addr nobody;

	if (m->tun)
		inbox_put(&m->tun->in, &nobody, packet);
}

void machine_on_packet(struct machine *m, void (*fn)(void *arg, struct span packet), void *arg)
{
	m->packet = fn;
	m->packet_arg = arg;
}

/* ---- host/warden.h ---- */

int warden_tun(struct warden *w, struct tun **ret)
{
	(void)w;
	return tun_open("", ret);
}

void warden_grow(void *w, int fd)
{
	(void)w;
	(void)fd;
}

static void on_planned(struct ev_timer *t, mono now)
{
	struct warden *w = CONTAINER_OF(t, struct warden, planned);

	(void)now;
	w->done(w->done_arg);
}

void warden_route(struct warden *w, const struct router_cfg *cfg, void (*done)(void *arg),
                  void *arg)
{
	(void)cfg;
	w->done = done;
	w->done_arg = arg;
	w->planned.fn = on_planned;
	if (done)
		ev_timer_after(w->m->ev, &w->planned, US_PER_MS);
}

void warden_bypass(struct warden *w)
{
	(void)w;
}

void warden_unroute(struct warden *w, bool hold)
{
	(void)hold;
	ev_timer_stop(w->m->ev, &w->planned);
}

int warden_dns_new(struct warden *w, void (*changed)(void *arg, bool lost), void *arg,
                   struct warden_dns **ret)
{
	(void)w;
	(void)changed;
	(void)arg;
	(void)ret;
	return -EPERM; /* a host whose resolver nobody may change */
}

void warden_dns_free(struct warden_dns *d)
{
	(void)d;
}

int warden_dns_apply(struct warden_dns *d, const struct dns_os *want)
{
	(void)d;
	(void)want;
	return -EPERM;
}

enum dns_manager warden_dns_manager(const struct warden_dns *d)
{
	(void)d;
	return (enum dns_manager)0;
}

const char *warden_dns_why(const struct warden_dns *d)
{
	(void)d;
	return "";
}

const struct dns_resolv *warden_dns_base(const struct warden_dns *d)
{
	(void)d;
	return NULL;
}

/* ---- host/facts.h ---- */

int host_facts_read(const char *own_dev, struct host_facts *ret)
{
	struct machine *m = machine_here();

	(void)own_dev;
	if (m->unplugged)
		return 0;
	vec_push(&ret->addrs, m->ip);
	ret->has4 = true;
	return 0;
}

void host_facts_done(struct host_facts *f)
{
	vec_done(&f->addrs);
	vec_done(&f->nets);
}

bool host_facts_eq(const struct host_facts *a, const struct host_facts *b)
{
	return a->addrs.n == b->addrs.n &&
	       (a->addrs.n == 0 || ip_eq(&a->addrs.v[0], &b->addrs.v[0]));
}

/* ---- platform/netmon.h ---- */

struct netmon {
	struct machine *m;
	struct netmon_cfg cfg;
};

int netmon_new(struct ev *ev, const struct netmon_cfg *cfg, struct netmon **ret)
{
	struct netmon *n = mem_new(struct netmon);

	(void)ev;
	*n = (struct netmon){ machine_here(), *cfg };
	n->m->netmon = n;
	*ret = n;
	return 0;
}

void netmon_free(struct netmon *n)
{
	if (!n)
		return;
	n->m->netmon = NULL;
	free(n);
}

static void tell(struct machine *m)
{
	if (!m->netmon)
		return;
	machine_enter(m);
	m->netmon->cfg.changed(m->netmon->cfg.arg, NETMON_LINK | NETMON_ADDR | NETMON_ROUTE);
	machine_leave(m);
}

void machine_move(struct machine *m, struct ip ip, struct fakenat *nat)
{
	wires_cut(m);
	m->ip = ip;
	fakehost_move(m->host, ip, nat);
	tell(m);
}

void machine_unplug(struct machine *m, bool out)
{
	m->unplugged = out;
	fakehost_unplug(m->host, out || m->asleep);
	tell(m);
}
