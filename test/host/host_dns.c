/*
 * Drives host/dns.h for test/net/resolved.py: tells the resolver a split plan
 * ("split") or one for all names ("all") for the device, says what it found, and
 * holds on until its input ends.
 *
 * Usage: host_dns split|all DEVICE JOURNAL
 */
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "host/dns.h"

int main(int argc, char **argv)
{
	static const char *const search[] = { "tail.example" };
	static const struct dns_plan_route routes[] = { { "tail.example", NULL, 0, true },
		                                        { "corp.example", NULL, 0, true } };
	static const struct ip one = { { [10] = 0xff, [11] = 0xff, 1, 1, 1, 1 } };
	struct dns_plan_cfg plan = {
		.search = search, .n_search = 1, .routes = routes, .n_routes = 2
	};
	struct host_dns *d = NULL;
	struct dns_os want = { 0 };

	if (argc != 4)
		return 2;

	struct host_dns_cfg cfg = { .dev = argv[2], .journal = argv[3] };
	struct ev *ev = ev_new();
	int r = host_dns_new(ev, &cfg, &d);

	if (r < 0) {
		(void)printf("error %s\n", err_text(r));
		return 1;
	}
	plan.can_split = dns_manager_splits(host_dns_manager(d));
	plan.base = host_dns_base(d)->servers.v;
	plan.n_base = host_dns_base(d)->servers.n;
	plan.defaults = &one;
	plan.n_defaults = strcmp(argv[1], "all") == 0;
	r = dns_plan(&plan, &want);
	if (r == 0)
		r = host_dns_apply(d, &want);
	(void)printf("%s: %s\n%s\n", dns_manager_name(host_dns_manager(d)), host_dns_why(d),
	             r < 0 ? err_text(r) : "done");
	(void)fflush(stdout);
	/* The loop goes on: who is told may start anew. */
	while (poll(&(struct pollfd){ .fd = STDIN_FILENO, .events = POLLIN }, 1, 0) == 0)
		ev_turn(ev, 50000);
	host_dns_free(d);
	dns_os_done(&want);
	ev_free(ev);
	return r < 0;
}
