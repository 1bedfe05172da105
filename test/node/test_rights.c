/* As a network part that was taken over would try; skipped where we are not root. */
#include "node/rights.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/keyctl.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "test/check.h"

static char folder[] = "/tmp/fl-rights-XXXXXX";
static char *state;

static long try_execute(void)
{
	char *const argv[] = { (char *)(uintptr_t) "/bin/true", NULL };

	return execve(argv[0], argv, argv + 1);
}

static long try_kill_parent(void)
{
	return kill(getppid(), 0);
}

static long try_trace(void)
{
	return ptrace(PTRACE_ATTACH, getppid(), NULL, NULL);
}

static long try_packets(void)
{
	return socket(AF_PACKET, SOCK_RAW, 0);
}

static long try_raw(void)
{
	return socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
}

/* The kernel takes the message and says no in its answer. */
static long try_netfilter(void)
{
	struct {
		struct nlmsghdr head;
		struct nfgenmsg nft;
	} q = { { sizeof(q), NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE,
		  NLM_F_REQUEST | NLM_F_ACK, 1, 0 },
		{ .nfgen_family = AF_INET } };
	struct {
		struct nlmsghdr head;
		struct nlmsgerr error;
	} a = { 0 };
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	if (fd < 0 || send(fd, &q, sizeof(q), 0) < 0 || recv(fd, &a, sizeof(a), 0) < 0)
		return -1;
	return a.error.error == -EPERM ? -1 : 0;
}

static long try_mount(void)
{
	return mount("none", folder, "tmpfs", 0, NULL);
}

static long try_namespace(void)
{
	return unshare(CLONE_NEWUSER);
}

static long try_chroot(void)
{
	return chroot(folder);
}

static long try_root(void)
{
	return setresuid(0, 0, 0);
}

static long try_etc(void)
{
	return open("/etc/passwd", O_WRONLY | O_APPEND | O_CLOEXEC);
}

static long try_elsewhere(void)
{
	return open("/tmp/fl-rights-elsewhere", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
}

static long try_device(void)
{
	return mknod("/tmp/fl-rights-device", S_IFCHR | 0600, 0);
}

static long try_bpf(void)
{
	return syscall(SYS_bpf, 0, NULL, 0);
}

static long try_module(void)
{
	return syscall(SYS_init_module, NULL, 0, "");
}

static long try_keys(void)
{
	return syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1);
}

static long try_memory(void)
{
	return syscall(SYS_process_vm_readv, getppid(), NULL, 0, NULL, 0, 0);
}

static long try_rings(void)
{
	return syscall(SYS_io_uring_setup, 1, NULL);
}

static long try_perf(void)
{
	return syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0);
}

static long try_tun(void)
{
	return open("/dev/net/tun", O_RDWR | O_CLOEXEC);
}

static long try_state(void)
{
	return open(state, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
}

static long try_socket(void)
{
	return socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
}

/* clang-format off */
static const struct {
	const char *what;
	long (*fn)(void);
	bool allowed;
} tries[] = {
	{ "its own state",              try_state,       true  },
	{ "a UDP socket",               try_socket,      true  },
	{ "to run a program",           try_execute,     false },
	{ "a signal to another",        try_kill_parent, false },
	{ "to trace another",           try_trace,       false },
	{ "to read another's memory",   try_memory,      false },
	{ "all packets of the host",    try_packets,     false },
	{ "raw packets",                try_raw,         false },
	{ "to change the firewall",     try_netfilter,   false },
	{ "to mount",                   try_mount,       false },
	{ "a namespace",                try_namespace,   false },
	{ "another root folder",        try_chroot,      false },
	{ "to be root again",           try_root,        false },
	{ "to write to /etc",           try_etc,         false },
	{ "a file elsewhere",           try_elsewhere,   false },
	{ "a device",                   try_device,      false },
	{ "a network interface",        try_tun,         false },
	{ "a program in the kernel",    try_bpf,         false },
	{ "a kernel module",            try_module,      false },
	{ "somebody's keys",            try_keys,        false },
	{ "rings",                      try_rings,       false },
	{ "performance counters",       try_perf,        false },
};
/* clang-format on */

enum { HAD, REFUSED, NO_RIGHTS_GIVEN };

/* In a process of its own, as what is given away is gone. */
static int outcome(long (*fn)(void))
{
	struct rights_cfg cfg = {
		.user = "65534", .state_path = state, .state_dir = folder, .default_dir = folder
	};
	pid_t pid = fork();
	int status = 0;

	if (pid == 0) {
		if (rights_give_away(&cfg) < 0)
			_exit(NO_RIGHTS_GIVEN);
		_exit(fn() < 0 ? REFUSED : HAD);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void a_network_part_that_was_taken_over_gets_nothing_else(void)
{
	for (size_t i = 0; i < ARRAY_LEN(tries); i++) {
		int got = outcome(tries[i].fn);

		if (got != (tries[i].allowed ? HAD : REFUSED))
			check_fail(__FILE__, __LINE__, "%s: %d", tries[i].what, got);
	}
}

int main(void)
{
	log_set_level(LOG_ERROR);
	if (geteuid() != 0 || !mkdtemp(folder) || chmod(folder, 0700) < 0) {
		check_skip("rights", "not root");
		return check_done();
	}
	state = str_fmt("%s/state", folder);
	RUN(a_network_part_that_was_taken_over_gets_nothing_else);
	(void)unlink(state);
	(void)rmdir(folder);
	free(state);
	return check_done();
}
