#include "platform/resolve1.h"

#include "base/err.h"
#include "base/mem.h"

#ifdef HAVE_LIBSYSTEMD
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>

enum { RETRY_US = 2000 * 1000 };

#define SERVICE "org.freedesktop.resolve1"
#define OBJECT "/org/freedesktop/resolve1"
#define MANAGER "org.freedesktop.resolve1.Manager"
#define NM "org.freedesktop.NetworkManager"
#define NM_DNS "/org/freedesktop/NetworkManager/DnsManager"
#define OWNER_MATCH                                                                     \
	"type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus'," \
	"member='NameOwnerChanged',arg0='" SERVICE "'"

struct resolve1 {
	struct ev *ev;
	char *address;
	sd_bus *bus; /* NULL: lost */
	struct ev_io io;
	struct ev_timer
		timer; /* messages read during a call wait; or the bus is to be looked for */
	void (*restarted)(void *arg);
	void *arg;
};

/* ---- the bus ---- */

static int on_owner(sd_bus_message *m, void *arg, sd_bus_error *e)
{
	struct resolve1 *b = arg;
	const char *name, *before, *now;

	(void)e;
	/* Gone is not yet anew. */
	if (sd_bus_message_read(m, "sss", &name, &before, &now) >= 0 && *now && b->restarted)
		b->restarted(b->arg);
	return 0;
}

static int open_bus(const char *address, sd_bus **ret)
{
	sd_bus *bus = NULL;
	int r = address ? sd_bus_new(&bus) : sd_bus_open_system(&bus);

	if (r >= 0 && address)
		r = sd_bus_set_address(bus, address);
	if (r >= 0 && address)
		r = sd_bus_set_bus_client(bus, true);
	if (r >= 0 && address)
		r = sd_bus_start(bus);
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(bus, RESOLVE1_CALL_US);
	if (r < 0) {
		sd_bus_unref(bus);
		return r;
	}
	*ret = bus;
	return 0;
}

static int connect_bus(struct resolve1 *b)
{
	int r = open_bus(b->address, &b->bus);

	if (r < 0 || !b->ev)
		return r;
	r = sd_bus_add_match(b->bus, NULL, OWNER_MATCH, on_owner, b);
	if (r >= 0)
		r = ev_io_start(b->ev, &b->io, sd_bus_get_fd(b->bus), EV_READ);
	return r < 0 ? r : 0;
}

static void lose(struct resolve1 *b)
{
	ev_io_stop(b->ev, &b->io);
	b->bus = sd_bus_close_unref(b->bus);
	ev_timer_after(b->ev, &b->timer, RETRY_US);
}

static void process(struct resolve1 *b)
{
	int r = 1;

	while (b->bus && r > 0)
		r = sd_bus_process(b->bus, NULL);
	if (b->bus && r < 0)
		lose(b);
}

static void on_io(struct ev_io *io, unsigned events)
{
	(void)events;
	process(CONTAINER_OF(io, struct resolve1, io));
}

static void on_timer(struct ev_timer *t, mono now)
{
	struct resolve1 *b = CONTAINER_OF(t, struct resolve1, timer);

	(void)now;
	if (b->bus) {
		process(b);
	} else if (connect_bus(b) < 0) {
		if (b->bus)
			lose(b);
		ev_timer_after(b->ev, &b->timer, RETRY_US);
	} else if (b->restarted) {
		b->restarted(b->arg);
	}
}

int resolve1_open(struct ev *ev, const char *address, void (*restarted)(void *arg), void *arg,
                  struct resolve1 **ret)
{
	struct resolve1 *b = mem_new(struct resolve1);
	int r;

	b->ev = ev;
	b->address = str_dup(address);
	b->restarted = restarted;
	b->arg = arg;
	b->io.fn = on_io;
	b->timer.fn = on_timer;
	r = connect_bus(b);
	if (r < 0) {
		resolve1_free(b);
		return r;
	}
	*ret = b;
	return 0;
}

void resolve1_free(struct resolve1 *b)
{
	if (!b)
		return;
	if (b->ev) {
		ev_io_stop(b->ev, &b->io);
		ev_timer_stop(b->ev, &b->timer);
	}
	sd_bus_flush_close_unref(b->bus);
	free(b->address);
	free(b);
}

/* ---- calls ---- */

/* What came in between is looked at from the loop. */
static int finish(struct resolve1 *b, sd_bus_message *m)
{
	sd_bus_error e = SD_BUS_ERROR_NULL;
	int r = b->bus ? sd_bus_call(b->bus, m, 0, &e, NULL) : -ENOTCONN;

	if (r < 0 && sd_bus_error_is_set(&e))
		r = ERR_DENIED;
	sd_bus_error_free(&e);
	sd_bus_message_unref(m);
	if (b->ev && b->bus)
		ev_timer_after(b->ev, &b->timer, 0);
	return r < 0 ? r : 0;
}

static int begin(struct resolve1 *b, const char *name, const char *path, const char *interface,
                 const char *method, sd_bus_message **ret)
{
	if (!b->bus)
		return -ENOTCONN;
	return sd_bus_message_new_method_call(b->bus, ret, name, path, interface, method);
}

static bool ping(struct resolve1 *b, const char *name, const char *path)
{
	sd_bus_message *m = NULL;

	return begin(b, name, path, "org.freedesktop.DBus.Peer", "Ping", &m) >= 0 &&
	       finish(b, m) == 0;
}

bool resolve1_answers(struct resolve1 *b)
{
	return ping(b, SERVICE, OBJECT);
}

bool resolve1_nm_mode(struct resolve1 *b, char *dst, size_t cap)
{
	AUTO_FREE char *mode = NULL;

	if (!ping(b, NM, NM_DNS))
		return false;
	(void)sd_bus_get_property_string(b->bus, NM, NM_DNS, NM ".DnsManager", "Mode", NULL, &mode);
	(void)snprintf(dst, cap, "%s", mode ? mode : "");
	return true;
}

static int append_servers(sd_bus_message *m, const struct resolve1_link *link)
{
	int r = sd_bus_message_open_container(m, 'a', "(iay)");

	for (size_t i = 0; r >= 0 && i < link->n_servers; i++) {
		const struct ip *ip = &link->servers[i];
		bool v4 = ip_is4(ip);

		r = sd_bus_message_open_container(m, 'r', "iay");
		if (r >= 0)
			r = sd_bus_message_append(m, "i", v4 ? AF_INET : AF_INET6);
		if (r >= 0)
			r = sd_bus_message_append_array(m, 'y', v4 ? ip_v4(ip) : ip->b,
			                                v4 ? 4 : 16);
		if (r >= 0)
			r = sd_bus_message_close_container(m);
	}
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int append_domains(sd_bus_message *m, const struct resolve1_link *link)
{
	int r = sd_bus_message_open_container(m, 'a', "(sb)");

	for (size_t i = 0; r >= 0 && i < link->n_domains; i++)
		r = sd_bus_message_append(m, "(sb)", link->domains[i].name,
		                          (int)link->domains[i].route_only);
	return r < 0 ? r : sd_bus_message_close_container(m);
}

static int call_list(struct resolve1 *b, const char *method, int index,
                     int (*append)(sd_bus_message *m, const struct resolve1_link *link),
                     const struct resolve1_link *link)
{
	sd_bus_message *m = NULL;
	int r = begin(b, SERVICE, OBJECT, MANAGER, method, &m);

	if (r >= 0)
		r = sd_bus_message_append(m, "i", index);
	if (r >= 0)
		r = append(m, link);
	if (r >= 0)
		return finish(b, m);
	sd_bus_message_unref(m);
	return r;
}

static int call(struct resolve1 *b, const char *method, const char *types, int index,
                const char *text, int flag)
{
	sd_bus_message *m = NULL;
	int r = begin(b, SERVICE, OBJECT, MANAGER, method, &m);

	if (r >= 0 && *types)
		r = sd_bus_message_append(m, "i", index);
	if (r >= 0 && text)
		r = sd_bus_message_append(m, "s", text);
	else if (r >= 0 && types[0] && types[1])
		r = sd_bus_message_append(m, "b", flag);
	if (r >= 0)
		return finish(b, m);
	sd_bus_message_unref(m);
	return r;
}

int resolve1_set(struct resolve1 *b, int index, const struct resolve1_link *link)
{
	/* What our resolver does not do. Versions that lack a method are content without. */
	static const char *const off[] = { "SetLinkLLMNR", "SetLinkMulticastDNS", "SetLinkDNSSEC",
		                           "SetLinkDNSOverTLS" };
	int r = call_list(b, "SetLinkDNS", index, append_servers, link);

	if (r == 0)
		r = call_list(b, "SetLinkDomains", index, append_domains, link);
	if (r < 0)
		return r;
	(void)!call(b, "SetLinkDefaultRoute", "ib", index, NULL, link->default_route);
	for (size_t i = 0; i < ARRAY_LEN(off); i++)
		(void)!call(b, off[i], "is", index, "no", 0);
	(void)!call(b, "FlushCaches", "", 0, NULL, 0);
	return 0;
}

int resolve1_revert(struct resolve1 *b, int index)
{
	return call(b, "RevertLink", "i", index, NULL, 0);
}

#else

int resolve1_open(struct ev *ev, const char *address, void (*restarted)(void *arg), void *arg,
                  struct resolve1 **ret)
{
	(void)ev;
	(void)address;
	(void)restarted;
	(void)arg;
	(void)ret;
	return ERR_UNKNOWN;
}

void resolve1_free(struct resolve1 *b)
{
	(void)b;
}

bool resolve1_answers(struct resolve1 *b)
{
	(void)b;
	return false;
}

bool resolve1_nm_mode(struct resolve1 *b, char *dst, size_t cap)
{
	(void)b;
	(void)dst;
	(void)cap;
	return false;
}

int resolve1_set(struct resolve1 *b, int index, const struct resolve1_link *link)
{
	(void)b;
	(void)index;
	(void)link;
	return ERR_UNKNOWN;
}

int resolve1_revert(struct resolve1 *b, int index)
{
	(void)b;
	(void)index;
	return ERR_UNKNOWN;
}
#endif
