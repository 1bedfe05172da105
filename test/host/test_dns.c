/* resolv.conf in a folder of our own; systemd-resolved and its like have their own tests. */
#include "host/dns.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "base/mem.h"
#include "test/check.h"

static char folder[] = "/tmp/fl-dns-XXXXXX";
static char *resolv, *backup, *journal;
static struct ev *ev;
static struct host_dns_cfg cfg;
static int told, told_lost;

static void on_changed(void *arg, bool lost)
{
	(void)arg;
	told++;
	told_lost += lost;
}

static void write_file(const char *path, const char *text)
{
	CHECK_OK(file_write_atomic(path, span_str(text), 0644));
}

static void check_file(const char *path, const char *want)
{
	AUTO_DONE(buf) struct buf text = { 0 };

	CHECK_OK(file_read(path, 1 << 16, &text));
	if (!strstr(buf_text(&text), want))
		CHECK_STR(buf_text(&text), want);
}

static struct dns_os ours(void)
{
	static const char *const search[] = { "tail.example" };
	static const struct dns_plan_route route = { "tail.example", NULL, 0, true };
	static const struct ip base = { { [10] = 0xff, [11] = 0xff, 9, 9, 9, 9 } };
	struct dns_plan_cfg c = { .search = search,
		                  .n_search = 1,
		                  .routes = &route,
		                  .n_routes = 1,
		                  .base = &base,
		                  .n_base = 1 };
	struct dns_os o = { 0 };

	CHECK_OK(dns_plan(&c, &o));
	return o;
}

#define BEFORE "# by hand\nnameserver 10.0.0.1\nsearch home.example\n"

static void the_file_is_ours_for_a_while_and_then_as_before(void)
{
	struct host_dns *d = NULL;
	struct dns_os o = ours(), none = { 0 };

	write_file(resolv, BEFORE);
	CHECK_OK(host_dns_new(ev, &cfg, &d));
	CHECK_EQ(host_dns_manager(d), DNS_MANAGER_DIRECT);
	CHECK_EQ(host_dns_base(d)->servers.n, 1);
	CHECK_OK(host_dns_apply(d, &o));
	check_file(resolv, "nameserver 100.100.100.100\nnameserver fd7a:115c:a1e0::53\n"
	                   "search tail.example home.example\n");
	check_file(backup, BEFORE);
	CHECK_EQ(access(journal, F_OK), 0);
	CHECK_OK(host_dns_apply(d, &none));
	check_file(resolv, BEFORE);
	CHECK(access(backup, F_OK) < 0 && access(journal, F_OK) < 0);
	CHECK_OK(host_dns_apply(d, &o));
	host_dns_free(d);
	check_file(resolv, BEFORE);
	CHECK(access(backup, F_OK) < 0 && access(journal, F_OK) < 0);
	dns_os_done(&o);
}

static void a_link_is_a_link_again(void)
{
	AUTO_FREE char *target = str_fmt("%s/target", folder);
	struct host_dns *d = NULL;
	struct dns_os o = ours();
	struct stat st;

	write_file(target, BEFORE);
	(void)unlink(resolv);
	CHECK_EQ(symlink(target, resolv), 0);
	CHECK_OK(host_dns_new(ev, &cfg, &d));
	CHECK_OK(host_dns_apply(d, &o));
	CHECK(lstat(resolv, &st) == 0 && S_ISREG(st.st_mode));
	check_file(target, BEFORE);
	host_dns_free(d);
	CHECK(lstat(resolv, &st) == 0 && S_ISLNK(st.st_mode));
	(void)unlink(resolv);
	(void)unlink(target);
	dns_os_done(&o);
}

static void what_a_crash_left_is_undone(void)
{
	struct host_dns *d = NULL;
	struct dns_os o = ours();
	int status = 0;

	write_file(resolv, BEFORE);
	(void)fflush(stdout);

	pid_t pid = fork();

	if (pid == 0)
		_exit(host_dns_new(ev, &cfg, &d) < 0 || host_dns_apply(d, &o) < 0);
	CHECK(waitpid(pid, &status, 0) == pid && status == 0);
	check_file(resolv, "100.100.100.100");
	CHECK_OK(host_dns_new(ev, &cfg, &d));
	check_file(resolv, BEFORE);
	/* Never ourselves as the resolvers behind us. */
	CHECK_EQ(host_dns_base(d)->servers.n, 1);
	host_dns_free(d);
	CHECK_OK(host_dns_cleanup(&cfg));
	dns_os_done(&o);
}

static void turn(int64_t ms)
{
	mono until = mono_after(mono_now(), ms * US_PER_MS);

	while (!mono_reached(until, mono_now()))
		ev_turn(ev, 20000);
}

static void an_overwritten_file_is_repaired_and_its_news_kept(void)
{
	struct host_dns *d = NULL;
	struct dns_os o = ours();

	write_file(resolv, BEFORE);
	CHECK_OK(host_dns_new(ev, &cfg, &d));
	CHECK_OK(host_dns_apply(d, &o));
	turn(400); /* our own writing is no news */
	CHECK_EQ(told, 0);
	write_file(resolv, "nameserver 10.7.7.7\n");
	for (int i = 0; i < 40 && told == 0; i++)
		turn(50);
	CHECK_EQ(told, 1);
	CHECK_EQ(told_lost, 0);
	check_file(resolv, "nameserver 100.100.100.100");
	check_file(backup, "nameserver 10.7.7.7\n");
	CHECK(ip_eq(&host_dns_base(d)->servers.v[0],
	            &(struct ip){ { [10] = 0xff, [11] = 0xff, 10, 7, 7, 7 } }));
	host_dns_free(d);
	check_file(resolv, "nameserver 10.7.7.7\n");
	dns_os_done(&o);
}

static void a_fight_is_given_up(void)
{
	struct host_dns *d = NULL;
	struct dns_os o = ours();

	told = told_lost = 0;
	write_file(resolv, BEFORE);
	CHECK_OK(host_dns_new(ev, &cfg, &d));
	CHECK_OK(host_dns_apply(d, &o));
	for (int i = 0; i < 200 && !told_lost; i++) {
		write_file(resolv, "nameserver 10.7.7.7\n");
		turn(30);
	}
	CHECK_EQ(told_lost, 1);
	CHECK_EQ(told, 11);
	host_dns_free(d);
	check_file(resolv, "nameserver 10.7.7.7\n");
	dns_os_done(&o);
}

static void search_alone_keeps_the_host_s_resolvers(void)
{
	static const char *const search[] = { "tail.example" };
	struct dns_plan_cfg c = { .search = search, .n_search = 1 };
	struct host_dns *d = NULL;
	struct dns_os o = { 0 };

	write_file(resolv, BEFORE);
	CHECK_OK(dns_plan(&c, &o));
	CHECK_OK(host_dns_new(ev, &cfg, &d));
	CHECK_OK(host_dns_apply(d, &o));
	check_file(resolv, "nameserver 10.0.0.1\nsearch tail.example home.example\n");
	host_dns_free(d);
	dns_os_done(&o);
}

static void a_second_daemon_waits_until_the_first_is_done(void)
{
	AUTO_FREE char *other_journal = str_fmt("%s/other", folder);
	struct host_dns_cfg other = cfg;
	struct host_dns *a = NULL, *b = NULL;
	struct dns_os o = ours();

	other.journal = other_journal;
	write_file(resolv, BEFORE);
	CHECK_OK(host_dns_new(ev, &cfg, &a));
	CHECK_OK(host_dns_new(ev, &other, &b));
	CHECK_OK(host_dns_apply(a, &o));
	CHECK_EQ(host_dns_apply(b, &o), ERR_EXISTS);
	check_file(backup, BEFORE);
	CHECK_EQ(host_dns_base(b)->servers.n, 1);
	/* The second leaves: nothing happens to the first. */
	host_dns_free(b);
	check_file(resolv, "nameserver 100.100.100.100");
	check_file(backup, BEFORE);
	CHECK_OK(host_dns_new(ev, &other, &b));
	CHECK_EQ(host_dns_apply(b, &o), ERR_EXISTS);
	told = 0;
	host_dns_free(a);
	check_file(resolv, BEFORE);
	/* It hears that it may try again. */
	for (int i = 0; i < 200 && !told; i++)
		ev_turn(ev, 20000);
	CHECK(told > 0);
	CHECK_OK(host_dns_apply(b, &o));
	check_file(backup, BEFORE);
	host_dns_free(b);
	check_file(resolv, BEFORE);
	CHECK(access(backup, F_OK) < 0);
	dns_os_done(&o);
}

static void a_file_of_a_daemon_that_died_is_taken_over_with_what_was_before(void)
{
	AUTO_FREE char *other_journal = str_fmt("%s/other", folder);
	struct host_dns_cfg other = cfg;
	struct host_dns *b = NULL;
	struct dns_os o = ours();
	pid_t child;
	int status;

	other.journal = other_journal;
	write_file(resolv, BEFORE);
	child = fork();
	if (child == 0) {
		struct ev *own = ev_new();
		struct host_dns *a = NULL;

		_exit(host_dns_new(own, &cfg, &a) < 0 || host_dns_apply(a, &o) < 0);
	}
	CHECK_EQ(waitpid(child, &status, 0), child);
	CHECK_EQ(status, 0);
	check_file(resolv, "nameserver 100.100.100.100");
	CHECK_OK(host_dns_new(ev, &other, &b));
	CHECK_OK(host_dns_apply(b, &o));
	/* The first one comes back meanwhile: it is not its file any more. */
	CHECK_OK(host_dns_cleanup(&cfg));
	check_file(resolv, "nameserver 100.100.100.100");
	check_file(backup, BEFORE);
	host_dns_free(b);
	check_file(resolv, BEFORE);
	dns_os_done(&o);
}

static void remove_locks(void)
{
	struct stat st;
	char path[128];

	CHECK_EQ(stat(folder, &st), 0);
	(void)snprintf(path, sizeof(path), "%s/fairlead-resolv-%llx-%llx.lock", folder,
	               (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
	(void)unlink(path);
}

int main(void)
{
	if (!mkdtemp(folder))
		return 1;
	ev = ev_new();
	resolv = str_fmt("%s/resolv.conf", folder);
	backup = str_fmt("%s/resolv.pre-fairlead-backup.conf", folder);
	journal = str_fmt("%s/journal", folder);
	cfg = (struct host_dns_cfg){ .dev = "lo",
		                     .journal = journal,
		                     .etc = folder,
		                     .bus = "unix:path=/nobody/there",
		                     .run = folder,
		                     .changed = on_changed };
	RUN(the_file_is_ours_for_a_while_and_then_as_before);
	RUN(a_link_is_a_link_again);
	RUN(what_a_crash_left_is_undone);
	RUN(an_overwritten_file_is_repaired_and_its_news_kept);
	RUN(a_fight_is_given_up);
	RUN(search_alone_keeps_the_host_s_resolvers);
	RUN(a_second_daemon_waits_until_the_first_is_done);
	RUN(a_file_of_a_daemon_that_died_is_taken_over_with_what_was_before);
	remove_locks();
	(void)unlink(resolv);
	(void)rmdir(folder);
	ev_free(ev);
	free(resolv);
	free(backup);
	free(journal);
	return check_done();
}
