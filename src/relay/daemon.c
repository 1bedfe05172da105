#include "relay/daemon.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/vec.h"
#include "crypto/init.h"
#include "platform/caps.h"
#include "platform/handover.h"
#include "platform/listen.h"
#include "platform/sdnotify.h"
#include "platform/udp.h"
#include "relay/admit.h"
#include "relay/certs.h"
#include "relay/config.h"
#include "relay/front.h"
#include "relay/keyfile.h"
#include "relay/mesh.h"
#include "relay/names.h"
#include "relay/stunport.h"

enum {
	LISTENERS_MAX = HANDOVER_FDS_MAX,
	LAST_US = 4 * 1000 * 1000, /* for answers under way when a successor has taken over */
	LAST_LOOK_US = 20 * 1000,
	STUN_TRY_US = 500 * 1000, /* until a predecessor has let go of the port */
	CERT_WARN_HOURS = 12,     /* short-lived certificates are renewed a day or two before */
};

struct daemon;

struct door {
	struct daemon *d;
	enum front_kind kind;
	struct listener *l;
};

struct daemon {
	struct relay_config cfg;
	char *const *argv;
	struct ev *ev;
	struct rand_src rand;
	struct node_priv key;
	uint8_t mesh_key[DERP_MESH_KEY];
	bool has_mesh_key;
	struct resolver *resolver;
	struct tls_client *tls;
	struct http_client http;
	struct certs *certs;
	struct relay *relay;
	struct front *front;
	struct admit *admit;
	struct mesh *mesh;
	struct names *names;
	struct door doors[LISTENERS_MAX];
	size_t n_doors;
	struct inherited inherited[LISTEN_INHERITED_MAX];
	size_t n_inherited;
	struct stunport stun;
	struct ev_timer stun_again;
	bool made_folder; /* that of the key */
	struct ev_signal signals;
	bool handed_over;
	struct ev_timer end;
	mono end_by;
};

/* --- STUN --- */

static int stun_open(struct daemon *d)
{
	return stunport_open(&d->stun, d->ev, (uint16_t)d->cfg.stun_port);
}

static void stun_close(struct daemon *d)
{
	ev_timer_stop(d->ev, &d->stun_again);
	stunport_close(&d->stun);
}

static void on_stun_again(struct ev_timer *t, mono now)
{
	struct daemon *d = CONTAINER_OF(t, struct daemon, stun_again);

	(void)now;
	if (stun_open(d) < 0)
		ev_timer_after(d->ev, &d->stun_again, STUN_TRY_US);
}

static int stun_start(struct daemon *d)
{
	uint64_t key[2];
	int r;

	if (!d->cfg.stun)
		return 0;
	rand_fill(&d->rand, key, sizeof(key));
	stunsrv_init(&d->stun.srv, (double)d->cfg.stun_rate, key);
	d->stun_again.fn = on_stun_again;
	r = stun_open(d);
	if (r == -EADDRINUSE && d->n_inherited) {
		ev_timer_after(d->ev, &d->stun_again, STUN_TRY_US);
		return 0;
	}
	return r < 0 ? log_ret(r, "STUN: cannot use port %llu",
	                       (unsigned long long)d->cfg.stun_port)
	             : 0;
}

/* --- pages --- */

static const struct buf *look_up(void *owner, struct span name)
{
	struct daemon *d = owner;

	return relay_names_find(d->names, name);
}

static void more_metrics(void *owner, struct buf *out)
{
	struct daemon *d = owner;
	size_t all, up;

	front_metrics(d->front, out);
	admit_metrics(d->admit, out);
#define X(name, text)                                                                              \
	buf_fmt(out,                                                                               \
	        "# HELP fairlead_relay_stun_" #name "_total " text                                 \
	        "\n# TYPE fairlead_relay_stun_" #name "_total counter\nfairlead_relay_stun_" #name \
	        "_total %llu\n",                                                                   \
	        (unsigned long long)d->stun.srv.name);
	STUNSRV_COUNT_LIST(X)
#undef X
	relay_mesh_state(d->mesh, &all, &up);
	buf_fmt(out,
	        "# HELP fairlead_relay_neighbours relays of the region, without us\n"
	        "# TYPE fairlead_relay_neighbours gauge\nfairlead_relay_neighbours %zu\n"
	        "# HELP fairlead_relay_neighbours_up those we are connected to\n"
	        "# TYPE fairlead_relay_neighbours_up gauge\nfairlead_relay_neighbours_up %zu\n",
	        all, up);
	if (d->certs)
		buf_fmt(out,
		        "# HELP fairlead_relay_certificate_until_seconds when it ends\n"
		        "# TYPE fairlead_relay_certificate_until_seconds gauge\n"
		        "fairlead_relay_certificate_until_seconds %lld\n",
		        (long long)(certs_until(d->certs).us / US_PER_S));
}

static const char *trouble(void *owner)
{
	struct daemon *d = owner;
	int64_t left;

	if (d->cfg.stun && !d->stun.udp)
		return "STUN is not served";
	if (!d->certs)
		return NULL;
	left = certs_until(d->certs).us - ev_wall(d->ev).us;
	return left < CERT_WARN_HOURS * 3600 * US_PER_S ? "the certificate is about to end" : NULL;
}

/* --- listening --- */

static void on_accepted(void *owner, struct listener *l, int fd, const struct addr *peer)
{
	struct door *door = owner;

	(void)l;
	front_accept(door->d->front, door->kind, fd, peer);
}

static const char *kind_name(enum front_kind kind)
{
	switch (kind) {
	case FRONT_TLS:
		return "tls";
	case FRONT_PLAIN:
		return "plain";
	case FRONT_REDIRECT:
		return "http";
	}
	return "";
}

static int open_door(struct daemon *d, enum front_kind kind, const struct addr *at, int fd)
{
	if (d->n_doors == LISTENERS_MAX)
		return ERR_LIMIT;

	struct door *door = &d->doors[d->n_doors];
	struct listen_cfg cfg = { .accepted = on_accepted, .owner = door };
	int r;

	*door = (struct door){ .d = d, .kind = kind };
	r = fd >= 0 ? listener_from_fd(d->ev, fd, &cfg, &door->l)
	            : listener_tcp(d->ev, at, &cfg, &door->l);
	if (r == 0)
		d->n_doors++;
	return r;
}

/* "[::]:443", "192.0.2.1:443", ":443" */
static int parse_listen(struct span text, struct addr *ret)
{
	AUTO_FREE char *any = NULL;

	if (span_starts(text, ":")) {
		any = str_fmt("[::]%.*s", SPAN_FMT(text));
		text = span_str(any);
	}
	return addr_parse(text, ret);
}

/* Sockets that were passed to us come first; then none of that kind is opened. */
static int open_doors(struct daemon *d, enum front_kind kind, const char *list)
{
	struct span rest = span_str(list), part;
	int fd, r = 0;
	bool passed = false;

	while (r == 0 &&
	       (fd = inherited_take(d->inherited, d->n_inherited, kind_name(kind))) >= 0) {
		r = open_door(d, kind, NULL, fd);
		passed = true;
	}
	while (r == 0 && !passed && span_cut(&rest, ',', &part)) {
		struct addr at;

		part = span_trim(part);
		if (!part.n)
			continue;
		r = parse_listen(part, &at);
		if (r == 0)
			r = open_door(d, kind, &at, -1);
		if (r < 0)
			return log_ret(r, "cannot listen on %.*s", SPAN_FMT(part));
	}
	return r;
}

static int start_doors(struct daemon *d)
{
	int r = 0;

	if (d->certs)
		r = open_doors(d, FRONT_TLS, d->cfg.listen);
	if (r == 0 && d->certs)
		r = open_doors(d, FRONT_REDIRECT, d->cfg.http_listen);
	if (r == 0)
		r = open_doors(d, FRONT_PLAIN, d->cfg.plain_listen);
	if (r == 0 && d->n_doors == 0) {
		log_error(
			"nothing to listen on: give cert-file, acme, self-signed or plain-listen");
		return -EDESTADDRREQ;
	}
	return r;
}

/* --- signals --- */

static void reload(struct daemon *d)
{
	struct fault fault;
	int r;

	sdnotify("RELOADING=1");
	r = d->certs ? certs_reload(d->certs, true) : 0;
	if (r < 0)
		(void)log_ret(r, "reload: certificate");
	r = admit_reload(d->admit, &fault);
	if (r < 0)
		log_warn("reload: line %u: %s", fault.line, fault.message);
	else
		relay_recheck(d->relay, admit_is_listed, d->admit);
	log_info("reloaded");
	sdnotify("READY=1");
}

/* A new process takes our sockets, and ends us once it serves. */
static void hand_over(struct daemon *d)
{
	struct handover_fd fds[LISTENERS_MAX];
	pid_t pid;

	for (size_t i = 0; i < d->n_doors; i++)
		fds[i] = (struct handover_fd){ listener_fd(d->doors[i].l),
			                       kind_name(d->doors[i].kind) };

	int r = handover_start(d->argv, fds, d->n_doors, &pid);

	if (r < 0) {
		(void)log_ret(r, "cannot start a successor");
		return;
	}
	log_info("successor started pid=%ld", (long)pid);
	d->handed_over = true;
	if (d->cfg.stun) {
		stun_close(d);
		/* Should it fail, we want the port back. */
		ev_timer_after(d->ev, &d->stun_again, 10 * US_PER_S);
	}
}

static void close_doors(struct daemon *d)
{
	while (d->n_doors)
		listener_free(d->doors[--d->n_doors].l);
}

static void on_end(struct ev_timer *t, mono now)
{
	struct daemon *d = CONTAINER_OF(t, struct daemon, end);

	if (front_open(d->front) == 0 || mono_reached(d->end_by, now))
		ev_stop(d->ev, 0);
	else
		ev_timer_after(d->ev, &d->end, LAST_LOOK_US);
}

/*
 * The successor accepts from here on; who has been accepted by us still gets an
 * answer. Clients are let go at once: they come back to the successor, and only
 * those at the same process reach each other.
 */
static void end(struct daemon *d)
{
	if (!d->handed_over) {
		ev_stop(d->ev, 0);
		return;
	}
	close_doors(d);
	relay_close_all(d->relay);
	d->end.fn = on_end;
	d->end_by = mono_after(ev_now(d->ev), LAST_US);
	ev_timer_after(d->ev, &d->end, LAST_LOOK_US);
}

static void on_signal(struct ev_signal *s, int signo)
{
	struct daemon *d = CONTAINER_OF(s, struct daemon, signals);

	if (signo == SIGHUP)
		reload(d);
	else if (signo == SIGUSR2)
		hand_over(d);
	else
		end(d);
}

/* --- privileges --- */

static const char *const calls[] = {
	/* sockets */
	"socket",
	"bind",
	"connect",
	"accept4",
	"listen",
	"shutdown",
	"sendmsg",
	"sendmmsg",
	"sendto",
	"recvmsg",
	"recvmmsg",
	"recvfrom",
	"recv",
	"send",
	"getsockopt",
	"setsockopt",
	"getsockname",
	"getpeername",
	"ioctl",
	"socketpair",
	/* certificates, lists and names are read again; own certificates are written */
	"open",
	"openat",
	"newfstatat",
	"stat",
	"stat64",
	"statx",
	"fstatat64",
	"access",
	"faccessat",
	"faccessat2",
	"readlink",
	"getdents64",
	"rename",
	"renameat",
	"renameat2",
	"unlink",
	"unlinkat",
	"fsync",
	"fchmod",
	"mkdir",
	"mkdirat",
	"sendfile",
	/* a successor */
	"execve",
	"fork",
	"vfork",
	"kill",
	"getppid",
	"wait4",
	"arch_prctl",
	"prctl",
	"setrlimit",
	"getrlimit",
	"getcwd",
	"sysinfo",
	"seccomp",
	"capget",
	"capset",
	"landlock_create_ruleset",
	"landlock_add_rule",
	"landlock_restrict_self",
	"setgroups",
	"setresuid",
	"setresgid",
	"setuid",
	"setgid",
	NULL,
};

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? span_dup(span(path, slash == path ? 1 : (size_t)(slash - path)))
	             : str_dup(".");
}

static int fence_files(const struct daemon *d)
{
	AUTO_FREE char *key = folder_of(d->cfg.key_file);
	AUTO_FREE char *cert = folder_of(d->cfg.cert_file);
	AUTO_FREE char *cert_key = folder_of(d->cfg.cert_key_file);
	AUTO_FREE char *allowed = folder_of(d->cfg.allowed_keys);
	AUTO_FREE char *mesh = folder_of(d->cfg.mesh_key_file);
	AUTO_FREE char *self = folder_of(d->argv[0]);
	const char *acme = d->cfg.acme[0] ? d->cfg.acme_folder : "/nonexistent";
	const struct caps_path paths[] = {
		{ "/etc", CAPS_FS_READ },
		{ "/usr", CAPS_FS_READ | CAPS_FS_EXEC },
		{ "/lib", CAPS_FS_READ | CAPS_FS_EXEC },
		{ "/lib64", CAPS_FS_READ | CAPS_FS_EXEC },
		{ "/run", CAPS_FS_READ },
		{ "/proc/self", CAPS_FS_READ | CAPS_FS_EXEC },
		{ "/dev/null", CAPS_FS_READ | CAPS_FS_WRITE },
		{ "/dev/urandom", CAPS_FS_READ },
		{ key, CAPS_FS_READ | CAPS_FS_WRITE },
		{ acme, CAPS_FS_READ | CAPS_FS_WRITE },
		{ self, CAPS_FS_READ | CAPS_FS_EXEC },
		{ mesh, CAPS_FS_READ },
		{ cert, CAPS_FS_READ },
		{ cert_key, CAPS_FS_READ },
		{ allowed, CAPS_FS_READ },
		{ NULL, 0 },
	};

	return caps_landlock(paths);
}

/*
 * What root has read or made for us is to be read and written by our own user: by a
 * successor, or when a certificate is renewed. Folders that somebody else made stay his.
 */
static int give_files(const struct daemon *d)
{
	const struct relay_config *c = &d->cfg;
	AUTO_FREE char *folder = folder_of(c->key_file);
	AUTO_FREE char *own = str_fmt("%s.crt", c->key_file);
	AUTO_FREE char *own_key = str_fmt("%s.crt.key", c->key_file);
	const char *paths[] = { c->key_file, own, own_key, c->acme[0] ? c->acme_folder : "",
		                d->made_folder ? folder : "" };
	int r = 0;

	for (size_t i = 0; r == 0 && c->user[0] && i < ARRAY_LEN(paths); i++)
		r = paths[i][0] ? caps_give(c->user, paths[i]) : 0;
	return r < 0 ? log_ret(r, "cannot give our files to %s", c->user) : 0;
}

static int drop_privileges(struct daemon *d)
{
	int r = give_files(d);

	if (r == 0)
		r = caps_no_dump();
	if (r == 0)
		r = d->cfg.user[0] ? caps_become(d->cfg.user, NULL, 0) : caps_keep(NULL, 0);
	if (r == 0)
		r = caps_no_new_privs();
	if (r < 0)
		return log_ret(r, "cannot drop privileges");
	/* A predecessor's fences are ours too; each one more would only make calls dearer. */
	if (!d->cfg.sandbox || (handover_is_successor() && caps_is_filtered()))
		return 0;
	r = fence_files(d);
	if (r < 0 && r != -EOPNOTSUPP)
		return log_ret(r, "Landlock");
	r = caps_seccomp(calls, CAPS_REFUSE);
	if (r < 0 && r != -EOPNOTSUPP)
		return log_ret(r, "system-call filter");
	return 0;
}

/* --- start and end --- */

static int load_keys(struct daemon *d)
{
	int r = keyfile_load(d->cfg.key_file, &d->key, &d->made_folder);

	if (r == ERR_DENIED)
		return log_ret(r, "others may read the key in %s (chmod 600)", d->cfg.key_file);
	if (r < 0)
		return log_ret(r, "cannot use the key in %s", d->cfg.key_file);
	if (!d->cfg.mesh_key_file[0])
		return 0;
	r = keyfile_mesh(d->cfg.mesh_key_file, d->mesh_key);
	d->has_mesh_key = r == 0;
	if (r == ERR_DENIED)
		return log_ret(r, "others may read the mesh key in %s (chmod 600)",
		               d->cfg.mesh_key_file);
	return r < 0 ? log_ret(r, "cannot use the mesh key in %s", d->cfg.mesh_key_file) : 0;
}

static int start_admit(struct daemon *d)
{
	struct fault fault = { 0 };
	struct admit_cfg cfg = {
		.ev = d->ev,
		.resolver = d->resolver,
		.tls = d->tls,
		.url = d->cfg.verify_url,
		.allowed_path = d->cfg.allowed_keys,
		.fail_open = d->cfg.verify_fail_open,
		.cache_us = d->cfg.verify_cache_us,
	};
	int r = admit_new(&cfg, &d->admit, &fault);

	if (r < 0)
		log_error("line %u: %s", fault.line, fault.message);
	return r;
}

static void start_relay(struct daemon *d)
{
	const struct relay_config *c = &d->cfg;
	struct relay_env env = {
		.ev = d->ev,
		.rand = &d->rand,
		.key = &d->key,
		.mesh_key = d->has_mesh_key ? d->mesh_key : NULL,
		.admit = c->verify_url[0] || c->allowed_keys[0] ? admit_ask : NULL,
		.owner = d->admit,
		.pool_max = c->packet_memory,
		.client_queue_max = (uint32_t)(c->client_queue < UINT32_MAX ? c->client_queue
		                                                            : UINT32_MAX),
		.clients_max = c->max_clients,
		.write_timeout_us = c->write_timeout_us > 0 ? c->write_timeout_us : -1,
		.rate_bytes_per_s = c->client_rate,
		.rate_burst = c->client_burst,
		.keepalive_s = (unsigned)(c->tcp_keepalive_us / US_PER_S),
		.user_timeout_ms = (unsigned)(c->tcp_user_timeout_us / US_PER_MS),
	};

	d->relay = relay_new(&env);
}

static const char *on_acme_path(void *owner, struct span path)
{
	struct daemon *d = owner;

	return certs_http01(d->certs, path);
}

static void start_front(struct daemon *d)
{
	const struct relay_config *c = &d->cfg;
	struct front_cfg cfg = {
		.ev = d->ev,
		.relay = d->relay,
		.tls = d->certs ? certs_tls(d->certs) : NULL,
		.open_max = c->max_pending,
		.accept_per_s = (double)c->accept_rate,
		.accept_burst = (unsigned)c->accept_burst,
		.acme = on_acme_path,
		.owner = d,
		.page = {
			.metrics = c->public_metrics,
			.host = c->hostname[0] ? c->hostname : NULL,
			.front = strcmp(c->home, "blank") == 0 ? "" : c->home[0] ? c->home : NULL,
			.names = relay_names_published(d->names),
			.look_up = look_up,
			.more_metrics = more_metrics,
			.trouble = trouble,
			.owner = d,
		},
	};

	d->front = front_new(&cfg);
}

static int start_certs(struct daemon *d)
{
	struct node_pub pub;
	char pin[CERTS_PIN_MAX];

	if (!d->cfg.cert_file[0] && !d->cfg.self_signed && !d->cfg.acme[0])
		return 0;
	d->http = (struct http_client){ .ev = d->ev, .resolver = d->resolver, .tls = d->tls };
	node_priv_public(&d->key, &pub);

	int r = certs_new(d->ev, &d->cfg, &pub, &d->http, &d->certs);

	if (r < 0)
		return log_ret(r, "cannot use the certificate");
	if (d->cfg.self_signed && !d->cfg.acme[0])
		log_info("for the DERP map: CertName=%s", certs_pin(d->certs, pin));
	return 0;
}

static int start_mesh(struct daemon *d)
{
	struct mesh_cfg cfg = {
		.ev = d->ev,
		.rand = &d->rand,
		.relay = d->relay,
		.key = &d->key,
		.mesh_key = d->mesh_key,
		.resolver = d->resolver,
		.tls = d->tls,
	};

	if (!d->cfg.mesh_with[0])
		return 0;
	if (!d->has_mesh_key) {
		log_error("mesh-with needs mesh-key-file");
		return -EINVAL;
	}

	int r = relay_mesh_new(&cfg, span_str(d->cfg.mesh_with), &d->mesh);

	return r < 0 ? log_ret(r, "mesh-with: \"%s\"", d->cfg.mesh_with) : 0;
}

static int start_signals(struct daemon *d)
{
	static const int signos[] = { SIGHUP, SIGINT, SIGTERM, SIGUSR2 };

	d->signals.fn = on_signal;
	return ev_signal_start(d->ev, &d->signals, signos, ARRAY_LEN(signos));
}

static int start(struct daemon *d)
{
	int r = start_signals(d);

	d->n_inherited = listen_inherited(d->inherited);
	(void)limits_raise_files();
	if (r == 0)
		r = load_keys(d);
	if (r == 0)
		r = resolver_new(d->ev, NULL, &d->resolver);
	if (r == 0)
		r = tls_client_new(NULL, &d->tls);
	if (r == 0)
		r = start_certs(d);
	if (r == 0)
		r = start_admit(d);
	if (r < 0)
		return r;
	d->names = relay_names_new(d->ev, d->resolver, d->cfg.bootstrap_names,
	                           d->cfg.unpublished_names);
	start_relay(d);
	start_front(d);
	r = start_doors(d);
	if (r == 0)
		r = stun_start(d);
	if (r == 0)
		r = start_mesh(d);
	return r < 0 ? r : drop_privileges(d);
}

static void stop(struct daemon *d)
{
	ev_timer_stop(d->ev, &d->end);
	close_doors(d);
	stun_close(d);
	front_free(d->front);
	relay_mesh_free(d->mesh);
	admit_free(d->admit);
	relay_free(d->relay);
	relay_names_free(d->names);
	certs_free(d->certs);
	tls_client_unref(d->tls);
	resolver_free(d->resolver);
	ev_signal_stop(d->ev, &d->signals);
	node_priv_wipe(&d->key);
	explicit_bzero(d->mesh_key, sizeof(d->mesh_key));
}

static int run(struct daemon *d)
{
	char key[KEY_TEXT_MAX], ready[64];
	int status = 1;

	if (start(d) == 0) {
		log_info("serving key=%s", node_pub_text(relay_public(d->relay), key));
		/* After a handover the service manager must follow us. */
		(void)snprintf(ready, sizeof(ready), "MAINPID=%ld\nREADY=1", (long)getpid());
		sdnotify(ready);
		handover_done();
		status = ev_run(d->ev);
		sdnotify("STOPPING=1");
	}
	stop(d);
	return status;
}

static int set_log_level(const char *text)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };

	for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
		if (strcmp(text, names[i]) == 0) {
			log_set_level((enum log_level)i);
			return 0;
		}
	}
	return ERR_MALFORMED;
}

int relay_main(int argc, char **argv)
{
	struct daemon *d = mem_new(struct daemon);
	AUTO_DONE(buf) struct buf text = { 0 };
	struct fault fault = { 0 };
	int status = 2;

	crypto_start();
	relay_config_init(&d->cfg);

	int r = relay_config_args(&d->cfg, argc, argv, &text, &fault);

	if (r == 0 && set_log_level(d->cfg.log_level) < 0)
		r = fault_set(&fault, ERR_MALFORMED, 0, 0, "log-level: \"%s\"", d->cfg.log_level);
	if (r > 0) {
		(void)fputs(buf_text(&text), stdout);
		status = 0;
	} else if (r < 0) {
		(void)fprintf(stderr, "fairlead-relay: %s%s\n", fault.line ? "in the file: " : "",
		              fault.message);
	} else {
		d->argv = argv;
		d->ev = ev_new();
		rand_system(&d->rand);
		status = run(d);
		ev_free(d->ev);
	}
	relay_config_done(&d->cfg);
	free(d);
	return status;
}
