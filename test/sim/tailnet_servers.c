/* The coordinator and the relays of a simulated tailnet, and the disks of all. */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/file.h"
#include "coordinator/coord.h"
#include "coordinator/state.h"
#include "test/check.h"
#include "test/sim/tailnet.h"

enum { DERP_PORT = 443 };

/* ---- disks ---- */

static void make_folder(struct tailnet *t)
{
	/* In memory where there is such a place: every report is a write to a disk. */
	const char *base = access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp";

	t->dir = str_fmt("%s/fairlead-sim-XXXXXX", base);
	CHECK(mkdtemp(t->dir));
}

static void remove_tree(const char *dir)
{
	DIR *d = opendir(dir);
	struct dirent *e;

	while (d && (e = readdir(d))) {
		AUTO_FREE char *path = str_fmt("%s/%s", dir, e->d_name);

		if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
			continue;
		if (unlink(path) < 0)
			remove_tree(path);
	}
	if (d)
		(void)closedir(d);
	(void)rmdir(dir);
}

static void write_file(const struct tailnet *t, const char *name, struct span text)
{
	AUTO_FREE char *path = str_fmt("%s/%s", t->dir, name);

	CHECK_OK(file_write_atomic(path, text, 0600));
}

/* ---- the relays ---- */

static void on_stun(void *arg, const struct addr *from, const struct addr *to, struct span datagram)
{
	struct relay_site *r = arg;
	uint8_t answer[STUN_RESPONSE_MAX];
	size_t n = r->relay ? stunsrv_answer(&r->stun, ev_now(machine_ev(r->m)), from, datagram,
	                                     answer)
	                    : 0;

	(void)to;
	if (n)
		(void)fakehost_send(machine_host(r->m), STUN_PORT, from, span(answer, n));
}

static void on_relay_request(void *owner, struct http_req *req)
{
	struct relay_site *r = owner;
	struct relay_upgrade up;
	struct stream *s = NULL;

	relay_upgrade_of(req->head, &up);
	if (up.way != RELAY_WAY_NONE)
		s = http_hijack(req);
	if (s)
		relay_accept(r->relay, s, &up);
	else
		http_answer_text(req, 404, "not found");
}

static void on_relay_accept(void *owner, struct listener *l, int fd, const struct addr *peer)
{
	struct relay_site *r = owner;

	(void)l;
	http_server_accept(r->http, fd, peer, NULL);
}

void relay_up(struct relay_site *r)
{
	struct ev *ev = machine_ev(r->m);
	struct relay_env env = { .ev = ev, .rand = &r->rand, .key = &r->key };
	struct http_server_cfg http = { .ev = ev, .request = on_relay_request, .owner = r };
	struct listen_cfg listen = { .accepted = on_relay_accept, .owner = r };
	struct addr at = { .ip = fakehost_ip(machine_host(r->m)), .port = DERP_PORT };

	machine_enter(r->m);
	r->relay = relay_new(&env);
	r->http = http_server_new(&http);
	CHECK_OK(listener_tcp(ev, &at, &listen, &r->listener));
	machine_leave(r->m);
}

void relay_down(struct relay_site *r)
{
	machine_enter(r->m);
	listener_free(TAKE(r->listener));
	relay_free(TAKE(r->relay));
	http_server_free(TAKE(r->http));
	machine_leave(r->m);
}

static void relay_make(struct tailnet *t, unsigned i)
{
	struct relay_site *r = &t->relays[i];
	uint64_t key[2] = { 1, i };

	r->m = machine_new(t->w, ip4(203, 0, 113, (uint8_t)(i + 1)), NULL);
	rand_seeded(&r->rand, i);
	rand_fill(&r->rand, r->key.b, sizeof(r->key.b));
	key_clamp(r->key.b);
	stunsrv_init(&r->stun, 0, key);
	CHECK(fakehost_bind(machine_host(r->m), STUN_PORT, on_stun, r));
	relay_up(r);
}

/* ---- the coordinator ---- */

static void write_relay_map(struct tailnet *t)
{
	AUTO_DONE(buf) struct buf text = { 0 };

	buf_add_str(&text, "regions:\n");
	for (unsigned i = 1; i <= TAILNET_RELAYS; i++)
		buf_fmt(&text,
		        "  %u: {regionid: %u, regioncode: r%u, regionname: r%u, nodes: [{name: "
		        "%ua, "
		        "regionid: %u, hostname: 203.0.113.%u, ipv4: 203.0.113.%u, derpport: %u, "
		        "stunport: %u}]}\n",
		        i, i, i, i, i, i, i, i, DERP_PORT, STUN_PORT);
	write_file(t, "derp.yaml", buf_span(&text));
}

static void read_config(struct tailnet *t)
{
	struct fault why = { 0 };
	AUTO_FREE char *yaml = str_fmt("server_url: http://" TAILNET_CONTROL "\n"
	                               "listen_addr: " TAILNET_CONTROL "\n"
	                               "metrics_listen_addr: ''\n"
	                               "noise: {private_key_path: %s/noise.key}\n"
	                               "database: {type: sqlite, sqlite: {path: %s/db.sqlite}}\n"
	                               "derp: {urls: [], paths: [%s/derp.yaml]}\n"
	                               "policy: {mode: database}\n"
	                               "dns: {base_domain: tail.lab, override_local_dns: false, "
	                               "nameservers: {global: []}}\n"
	                               "unix_socket: %s/sock\n",
	                               t->dir, t->dir, t->dir, t->dir);

	t->cfg = mem_new(struct config);
	config_init(t->cfg);
	CHECK_OK(config_parse(t->cfg, span_str(yaml), &why));
	CHECK_OK(config_finish(t->cfg, t->dir, &why));
}

void control_up(struct tailnet *t)
{
	machine_enter(t->control);
	CHECK_OK(coord_new(machine_ev(t->control), t->cfg, &t->co));
	CHECK_OK(coord_listen(t->co));
	machine_leave(t->control);
}

void control_down(struct tailnet *t)
{
	machine_enter(t->control);
	coord_free(TAKE(t->co));
	machine_leave(t->control);
}

static const char *const db_files[] = { "db.sqlite", "db.sqlite-wal", "db.sqlite-shm" };

static void copy_file(const struct tailnet *t, const char *from, const char *to)
{
	AUTO_FREE char *a = str_fmt("%s/%s", t->dir, from), *b = str_fmt("%s/%s", t->dir, to);
	AUTO_DONE(buf) struct buf bytes = { 0 };

	if (file_read(a, 256 << 20, &bytes) < 0)
		(void)unlink(b);
	else
		CHECK_OK(file_write_atomic(b, buf_span(&bytes), 0600));
}

void control_crash(struct tailnet *t)
{
	for (size_t i = 0; i < ARRAY_LEN(db_files); i++) {
		AUTO_FREE char *kept = str_fmt("%s.kept", db_files[i]);

		copy_file(t, db_files[i], kept);
	}
	machine_cut(t->control);
	control_down(t);
	for (size_t i = 0; i < ARRAY_LEN(db_files); i++) {
		AUTO_FREE char *kept = str_fmt("%s.kept", db_files[i]);

		copy_file(t, kept, db_files[i]);
	}
}

static void write_policy(const struct tailnet *t, struct buf *out)
{
	const char *comma = "";

	buf_add_str(out, "{\"acls\":[");
	for (unsigned a = 0; a < TAILNET_NODES; a++)
		for (unsigned b = 0; b < TAILNET_NODES; b++)
			if (t->allowed[a][b]) {
				buf_fmt(out,
				        "%s{\"action\":\"accept\",\"src\":[\"u%u@\"],"
				        "\"dst\":[\"u%u@:*\"]}",
				        comma, a, b);
				comma = ",";
			}
	buf_add_str(out, "]}");
}

void control_draw_policy(struct tailnet *t)
{
	AUTO_DONE(buf) struct buf text = { 0 };
	struct fault why = { 0 };

	for (unsigned a = 0; a < TAILNET_NODES; a++)
		for (unsigned b = 0; b < TAILNET_NODES; b++) {
			t->allowed[a][b] = a != b && !tailnet_chance(t, 3);
			t->ever_allowed[a][b] |= t->allowed[a][b];
		}
	write_policy(t, &text);
	machine_enter(t->control);
	CHECK_OK(coord_set_policy(t->co, buf_span(&text), "test", &why));
	machine_leave(t->control);
}

static void make_user(struct tailnet *t, unsigned i)
{
	AUTO_FREE char *name = str_fmt("u%u", i);
	struct user_spec spec = { .name = span_str(name) };
	struct auth_key_spec key = { .reusable = true };
	const struct user *u;
	const struct auth_key *k;
	struct secret secret;
	wall now = ev_wall(machine_ev(t->control));

	CHECK_OK(state_user_create(t->co->st, &spec, now, "test", &u, NULL));
	key.user_id = u->id;
	key.expiry = (wall){ now.us + 400 * 86400 * US_PER_S };
	CHECK_OK(state_auth_key_create(t->co->st, &key, now, "test", &secret, &k, NULL));
	(void)snprintf(t->auth_key[i], sizeof(t->auth_key[i]), "%s", secret.text);
}

void control_expire(struct tailnet *t, struct device *d)
{
	const struct node *n = t->co ? state_node_by_ip(t->co->st, &d->ip) : NULL;
	wall now;

	if (!n)
		return;
	machine_enter(t->control);
	now = ev_wall(machine_ev(t->control));
	CHECK_OK(state_node_expire(t->co->st, n->id, now, now, "test"));
	machine_leave(t->control);
}

/* ---- the whole ---- */

bool tailnet_chance(struct tailnet *t, unsigned one_in)
{
	return rand_src_below(world_rand(t->w), one_in) == 0;
}

static void device_make(struct tailnet *t, unsigned i)
{
	struct device *d = &t->devices[i];
	struct ip ip;
	struct fakenat *nat = tailnet_draw_nat(t, &ip);

	d->t = t;
	d->i = i;
	d->talks = true;
	d->m = machine_new(t->w, ip, nat);
	d->dir = str_fmt("%s/node%u", t->dir, i);
	d->state = str_fmt("%s/state", d->dir);
	CHECK_OK(file_mkdirs(d->dir, 0700));
	device_on(d);
}

void tailnet_begin(struct tailnet *t, uint64_t seed)
{
	*t = (struct tailnet){ .w = world_new(seed) };
	world_set_link(t->w, &(struct fakenet_link){ .delay_us = 10000, .jitter_us = 5000 });
	make_folder(t);
	write_relay_map(t);
	read_config(t);
	for (unsigned i = 0; i < TAILNET_RELAYS; i++)
		relay_make(t, i);
	t->control = machine_new(t->w, ip4(203, 0, 113, 100), NULL);
	control_up(t);
	machine_enter(t->control);
	for (unsigned i = 0; i < TAILNET_NODES; i++)
		make_user(t, i);
	machine_leave(t->control);
	control_draw_policy(t);
	for (unsigned i = 0; i < TAILNET_NODES; i++)
		device_make(t, i);
}

void tailnet_end(struct tailnet *t)
{
	for (unsigned i = 0; i < TAILNET_NODES; i++) {
		device_off(&t->devices[i]);
		free(t->devices[i].dir);
		free(t->devices[i].state);
	}
	for (unsigned i = 0; i < TAILNET_RELAYS; i++)
		if (t->relays[i].relay)
			relay_down(&t->relays[i]);
	if (t->co)
		control_down(t);
	world_run(t->w, US_PER_S); /* what ends from its loop does */
	config_done(t->cfg);
	free(t->cfg);
	world_free(t->w);
	remove_tree(t->dir);
	free(t->dir);
}
