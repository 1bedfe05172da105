/*
 * What a running node is asked, with the whole daemon behind it: the first byte of the
 * input says by whom (a program of this machine, a peer, the coordinator), the rest
 * is the request as it comes.
 */
#include <sys/socket.h>

#include "base/log.h"
#include "crypto/init.h"
#include "node/node_priv.h"
#include "test/sim/machine.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define KEY(c)                                                                                     \
	"nodekey:" c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c c \
		c c c c c c c c c c c c c c c c c c c c c c c c

static const char map[] =
	"{\"Node\":{\"ID\":1,\"StableID\":\"n1\",\"Name\":\"me.t.\",\"User\":7,\"Key\":\"" KEY(
		"a") "\","
		     "\"Addresses\":[\"100.64.0.1/32\"],\"MachineAuthorized\":true,\"CapMap\":{}},"
		     "\"Peers\":[{\"ID\":2,\"StableID\":\"n2\",\"Name\":\"you.t.\",\"User\":7,"
                     "\"Key\":\"" KEY("b") "\","
					   "\"Addresses\":[\"100.64.0.2/"
                                           "32\"],\"Endpoints\":[\"192.0.2.1:41641\"]}],"
					   "\"DNSConfig\":{\"Proxied\":true,\"Domains\":[\"t\"]},"
                                           "\"Domain\":\"t\","
					   "\"PacketFilters\":{\"base\":[{\"SrcIPs\":[\"*\"],"
                                           "\"DstPorts\":[{\"IP\":\"*\",\"Ports\":"
					   "{\"First\":0,\"Last\":65535}}]}]},"
					   "\"UserProfiles\":[{\"ID\":7,\"LoginName\":\"a@b\"}]}";

enum { LAST_US = 20 * 1000 * 1000 };

struct play {
	struct world *w;
	struct machine *m;
	struct node *node;
};

/* Logged in before, started with the map of last time, the coordinator is away. */
static void begin(struct play *p)
{
	struct node_cfg cfg = { .socket = "sock", .tun_name = "tailscale0", .no_mark = true };
	struct persist persist = { .node_key.b = { 1 } };
	struct prefs prefs;

	p->w = world_new(1);
	p->m = machine_new(p->w, ip4(192, 0, 2, 9), NULL);
	machine_enter(p->m);
	cfg.ev = machine_ev(p->m);
	cfg.warden = machine_warden(p->m);
	if (node_new(&cfg, &p->node) < 0)
		abort();
	prefs = *node_prefs(p->node);
	prefs.control_url = SPAN_LIT("http://192.0.2.1:8080");
	prefs.persist = &persist;
	prefs.want_running = true;
	(void)!node_restart(p->node, prefs_dup(&prefs), NULL);
	(void)!session_seed(p->node->session, span_str(map));
	machine_leave(p->m);
	world_run(p->w, US_PER_S);
}

static void end(struct play *p)
{
	machine_enter(p->m);
	node_free(p->node);
	machine_leave(p->m);
	world_free(p->w);
}

static void ask(struct play *p, uint16_t port, struct span request)
{
	struct addr from = { .ip = ip4(100, 64, 0, 2), .port = 1234 };
	uint8_t answer[4096];
	int fd = machine_connect(p->m, port, port ? &from : &(struct addr){ .port = 0 });

	if (fd < 0)
		return;
	(void)!send(fd, request.p, request.n, MSG_NOSIGNAL | MSG_DONTWAIT);
	world_run(p->w, US_PER_S);
	while (recv(fd, answer, sizeof(answer), MSG_DONTWAIT) > 0)
		world_run(p->w, US_PER_S / 10);
	fd_close(fd);
	machine_enter(p->m); /* it has something to see */
	machine_leave(p->m);
	world_run(p->w, LAST_US); /* the coordinator is asked, and does not answer */
}

static void ask_as_coordinator(struct play *p, struct span request)
{
	AUTO_DONE(buf) struct buf answer = { 0 };

	machine_enter(p->m);
	c2n_answer(p->node, request, &answer);
	machine_leave(p->m);
	world_run(p->w, US_PER_S);
}

static uint16_t peerapi_of(struct node *n)
{
	struct tc_hostinfo h;

	node_fill_hostinfo(n, &h);
	for (size_t i = 0; i < h.services.n; i++)
		if (span_is(h.services.v[i].proto, "peerapi4"))
			return h.services.v[i].port;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct play p;

	if (n == 0)
		return 0;
	crypto_start();
	log_set_level(LOG_SILENT);
	begin(&p);
	if (data[0] % 3 == 0)
		ask(&p, 0, span(data + 1, n - 1));
	else if (data[0] % 3 == 1)
		ask(&p, peerapi_of(p.node), span(data + 1, n - 1));
	else
		ask_as_coordinator(&p, span(data + 1, n - 1));
	end(&p);
	return 0;
}
