#include "platform/sdnotify.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/mem.h"
#include "test/check.h"

static void nobody_listens_and_that_is_fine(void)
{
	(void)unsetenv("NOTIFY_SOCKET");
	CHECK_EQ(sdnotify("READY=1"), 0);
	(void)setenv("NOTIFY_SOCKET", "relative", 1);
	CHECK_EQ(sdnotify("READY=1"), -EINVAL);
}

static void the_manager_hears_what_we_say(void)
{
	struct sockaddr_un at = { .sun_family = AF_UNIX };
	AUTO_FREE char *name = str_fmt("@fl-sdnotify-%d", (int)getpid());
	AUTO(fd_close) int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
	char got[64] = "";

	memcpy(at.sun_path, name, strlen(name));
	at.sun_path[0] = '\0';
	CHECK(bind(fd, (struct sockaddr *)&at,
	           (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(name))) == 0);
	(void)setenv("NOTIFY_SOCKET", name, 1);
	CHECK_EQ(sdnotify("READY=1\nSTATUS=fine"), 0);
	CHECK(recv(fd, got, sizeof(got) - 1, MSG_DONTWAIT) > 0);
	CHECK_STR(got, "READY=1\nSTATUS=fine");
	(void)unsetenv("NOTIFY_SOCKET");
}

static void the_watchdog_is_for_the_process_it_names(void)
{
	(void)setenv("WATCHDOG_USEC", "3000000", 1);
	(void)unsetenv("WATCHDOG_PID");
	CHECK_EQ(sdnotify_watchdog_us(), 3000000);
	(void)setenv("WATCHDOG_PID", "1", 1);
	CHECK_EQ(sdnotify_watchdog_us(), 0);
	(void)setenv("WATCHDOG_USEC", "soon", 1);
	CHECK_EQ(sdnotify_watchdog_us(), 0);
}

int main(void)
{
	RUN(nobody_listens_and_that_is_fine);
	RUN(the_manager_hears_what_we_say);
	RUN(the_watchdog_is_for_the_process_it_names);
	return check_done();
}
