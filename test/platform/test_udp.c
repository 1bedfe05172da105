#include "platform/udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "test/check.h"

static struct udp *open_pair_end(void)
{
	struct udp_cfg cfg = { 0 };
	struct udp *u = NULL;

	CHECK_OK(udp_open(&cfg, &u));
	return u;
}

static struct addr loopback(const struct udp *u, enum udp_family family)
{
	struct ip six = { { [15] = 1 } };

	return (struct addr){ .ip = family == UDP_V4 ? ip4(127, 0, 0, 1) : six,
		              .port = udp_port(u) };
}

/* Everything that comes within a second, datagram by datagram; checks bytes count up. */
static size_t receive(struct udp *u, enum udp_family family, size_t bytes, struct udp_frame *last)
{
	struct udp_frame f[UDP_RECV_SLOTS];
	struct pollfd p = { .fd = udp_fd(u, family), .events = POLLIN };
	size_t got = 0, datagrams = 0;

	while (got < bytes && poll(&p, 1, 1000) > 0) {
		int n = udp_recv(u, family, f);

		CHECK_OK(n);
		for (int i = 0; i < n; i++) {
			for (uint32_t at = 0; at < f[i].n; at++, got++)
				CHECK_EQ(f[i].p[at], (uint8_t)got);
			datagrams += (f[i].n + f[i].seg - 1u) / f[i].seg;
			*last = f[i];
		}
	}
	CHECK_EQ(got, bytes);
	return datagrams;
}

static void carries(enum udp_family family, bool no_gso, bool no_gro)
{
	struct udp_cfg cfg = { .no_gso = no_gso, .no_gro = no_gro };
	struct udp *a = open_pair_end(), *b = NULL;
	struct udp_frame last, f[2];
	uint8_t bytes[4000];
	int error;

	if (udp_fd(a, family) < 0)
		return udp_close(a);
	CHECK_OK(udp_open(&cfg, &b));
	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	f[0] = (struct udp_frame){
		.p = bytes, .n = 3950, .seg = 100, .tos = 2, .remote = loopback(a, family)
	};
	f[1] = f[0];
	f[1].p += 3950;
	f[1].n = f[1].seg = 50;
	CHECK_EQ(udp_send(b, f, 2, &error), 41);
	CHECK_EQ(error, 0);
	CHECK_EQ(receive(a, family, sizeof(bytes), &last), 41);
	CHECK_EQ(last.tos, 2);
	CHECK_EQ(last.remote.port, udp_port(b));
	CHECK(ip_eq(&last.local, &f[0].remote.ip));
	CHECK(last.ifindex != 0);
	udp_close(a);
	udp_close(b);
}

static void frames_of_many_datagrams_arrive_whole_with_class_and_addresses(void)
{
	for (int i = 0; i < 8; i++)
		carries(i & 1, i & 2, i & 4);
}

static void frames_of_equal_datagrams_get_a_tail_on_the_kernels_that_need_it(void)
{
	static const struct {
		const char *release;
		bool needs;
	} kernels[] = {
		{ "6.18.44", false },
		{ "7.0.0-15-generic", true },
		{ "7.0", true },
		{ "7.0.31", true },
		{ "7.1.4+deb14-amd64", true },
		{ "7.1.5", false },
		{ "7.1", true },
		{ "7.10.1", false },
		{ "8.0.1", false },
		{ "17.0.1", false },
		{ "", false },
		{ "x", false },
	};

	for (size_t i = 0; i < ARRAY_LEN(kernels); i++)
		CHECK_EQ(udp_release_needs_tail(kernels[i].release), kernels[i].needs);
}

static void a_tail_follows_equal_datagrams_and_no_others(void)
{
	struct udp_cfg cfg = { .tail = UDP_TAIL_ALWAYS };
	static const struct {
		uint32_t n;
		uint16_t seg;
		uint32_t tail;
	} frames[] = { { 900, 100, 1 }, { 800, 100, 1 },  { 700, 100, 0 }, { 950, 100, 0 },
		       { 100, 100, 0 }, { 6300, 100, 1 }, { 6400, 100, 0 } };

	for (size_t i = 0; i < ARRAY_LEN(frames); i++) {
		struct udp *a = open_pair_end(), *b = NULL;
		struct udp_frame f[UDP_RECV_SLOTS];
		static uint8_t bytes[6500];
		struct udp_frame frame = { .p = bytes,
			                   .n = frames[i].n,
			                   .seg = frames[i].seg,
			                   .remote = loopback(a, UDP_V4) };
		struct pollfd p = { .fd = udp_fd(a, UDP_V4), .events = POLLIN };
		uint32_t bytes_in = 0, tails = 0;
		int error;

		CHECK_OK(udp_open(&cfg, &b));
		CHECK_EQ(udp_send(b, &frame, 1, &error), (frame.n + frame.seg - 1u) / frame.seg);
		while (bytes_in < frame.n + frames[i].tail && poll(&p, 1, 1000) > 0) {
			int n = udp_recv(a, UDP_V4, f);

			for (int k = 0; k < n; k++) {
				bytes_in += f[k].n;
				tails += f[k].n % f[k].seg == 1 && f[k].p[f[k].n - 1] == 7;
			}
		}
		CHECK_EQ(bytes_in, frame.n + frames[i].tail);
		CHECK_EQ(tails, frames[i].tail);
		udp_close(a);
		udp_close(b);
	}
}

static void a_port_in_use_is_told_and_a_free_one_found(void)
{
	struct udp *a = open_pair_end(), *b = NULL;
	struct udp_cfg cfg = { .port = udp_port(a) };

	CHECK(udp_port(a) != 0);
	CHECK_EQ(udp_open(&cfg, &b), -EADDRINUSE);
	udp_close(a);
	CHECK_OK(udp_open(&cfg, &b));
	CHECK_EQ(udp_port(b), cfg.port);
	udp_close(b);
}

static void a_local_address_that_is_gone_is_given_up(void)
{
	struct udp *a = open_pair_end(), *b = open_pair_end();
	uint8_t bytes[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	struct udp_frame last, f = { .p = bytes,
		                     .n = 8,
		                     .seg = 8,
		                     .remote = loopback(a, UDP_V4),
		                     .local = ip4(203, 0, 113, 9) };
	int error;

	CHECK_EQ(udp_send(b, &f, 1, &error), 1);
	CHECK(ip_is_zero(&f.local));
	CHECK_EQ(receive(a, UDP_V4, 8, &last), 1);
	udp_close(a);
	udp_close(b);
}

static void an_impossible_destination_is_an_error_and_the_next_frame_still_goes(void)
{
	struct udp *a = open_pair_end();
	uint8_t bytes[8] = { 0, 1, 2, 3, 4, 5, 6, 7 };
	struct addr nowhere = { .ip = ip4(255, 255, 255, 255), .port = 9 };
	struct udp_frame last,
		f[2] = { { .p = bytes, .n = 8, .seg = 8, .remote = nowhere },
		         { .p = bytes, .n = 8, .seg = 8, .remote = loopback(a, UDP_V4) } };
	int error;

	CHECK_EQ(udp_send(a, f, 2, &error), 1);
	CHECK(error < 0);
	CHECK_EQ(receive(a, UDP_V4, 8, &last), 1);
	udp_idle(a);
	udp_close(a);
}

static void an_empty_and_a_largest_datagram_pass(void)
{
	struct udp *a = open_pair_end();
	static uint8_t bytes[UDP_FRAME_MAX];
	struct udp_frame last, f = {
		.p = bytes, .n = UDP_FRAME_MAX, .seg = UDP_FRAME_MAX, .remote = loopback(a, UDP_V4)
	};
	int error;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	CHECK_EQ(udp_send(a, &f, 1, &error), 1);
	CHECK_EQ(receive(a, UDP_V4, UDP_FRAME_MAX, &last), 1);
	CHECK(!last.cut);
	f.n = f.seg = 0;
	CHECK_EQ(udp_send(a, &f, 1, &error), 1);

	struct udp_frame got[UDP_RECV_SLOTS];
	struct pollfd p = { .fd = udp_fd(a, UDP_V4), .events = POLLIN };

	CHECK_EQ(poll(&p, 1, 1000), 1);
	CHECK_EQ(udp_recv(a, UDP_V4, got), 1);
	CHECK_EQ(got[0].n, 0);
	CHECK_EQ(udp_recv(a, UDP_V4, got), 0);
	udp_close(a);
}

/* ---- a kernel that does less than it is asked ------------------------------ */

static enum { KERNEL_AS_IT_IS, KERNEL_SENDS_FEW, KERNEL_WITHOUT_CHECKSUMS } kernel;
static unsigned refusals;

static bool asks_for_segments(struct msghdr *m)
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
		if (c->cmsg_level == IPPROTO_UDP && c->cmsg_type == UDP_SEGMENT)
			return true;
	}
	return false;
}

/* Stands before libc's. */
int sendmmsg(int fd, struct mmsghdr *msgs, unsigned n, int flags)
{
	static unsigned calls;

	if (kernel == KERNEL_WITHOUT_CHECKSUMS && asks_for_segments(&msgs[0].msg_hdr)) {
		refusals++;
		errno = EIO;
		return -1;
	}
	if (kernel == KERNEL_SENDS_FEW) {
		if (++calls % 3 == 0) {
			errno = calls % 2 ? EINTR : EAGAIN;
			return -1;
		}
		n = n > 2 ? 2 : n;
	}
	return (int)syscall(SYS_sendmmsg, fd, msgs, n, flags);
}

/* Frames of `seg` bytes a datagram, end to end; all bytes are to arrive, in order. */
static void all_frames_arrive(enum udp_family family, uint32_t n, uint16_t seg)
{
	struct udp *a = open_pair_end(), *b = open_pair_end();
	static uint8_t bytes[16000];
	struct udp_frame f[16], last;
	int error;

	for (size_t i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)i;
	for (size_t i = 0; i < ARRAY_LEN(f); i++)
		f[i] = (struct udp_frame){
			.p = bytes + i * n, .n = n, .seg = seg, .remote = loopback(a, family)
		};
	CHECK_EQ(udp_send(b, f, ARRAY_LEN(f), &error), ARRAY_LEN(f) * (n / seg));
	CHECK_EQ(error, 0);
	CHECK_EQ(receive(a, family, ARRAY_LEN(f) * n, &last), ARRAY_LEN(f) * (n / seg));
	udp_close(a);
	udp_close(b);
}

static void mistake_16_what_a_partial_sendmmsg_left_is_lost(void)
{
	kernel = KERNEL_SENDS_FEW;
	all_frames_arrive(UDP_V4, 300, 300);
	all_frames_arrive(UDP_V4, 1000, 100);
	kernel = KERNEL_AS_IT_IS;
}

static void mistake_16b_of_a_batch_over_ipv6_the_sources_are_mixed_up(void)
{
	struct udp *a = open_pair_end(), *from[4];
	struct udp_frame got[UDP_RECV_SLOTS];

	if (udp_fd(a, UDP_V6) < 0)
		return udp_close(a);
	for (uint8_t i = 0; i < ARRAY_LEN(from); i++) {
		struct udp_frame f = { .p = &i, .n = 1, .seg = 1, .remote = loopback(a, UDP_V6) };
		int error;

		from[i] = open_pair_end();
		CHECK_EQ(udp_send(from[i], &f, 1, &error), 1);
	}
	/* They are all there: loopback delivers before it returns. */
	CHECK_EQ(udp_recv(a, UDP_V6, got), ARRAY_LEN(from));
	for (uint8_t i = 0; i < ARRAY_LEN(from); i++) {
		struct addr want = loopback(from[i], UDP_V6);

		CHECK_EQ(got[i].p[0], i);
		CHECK(addr_eq(&got[i].remote, &want));
		udp_close(from[i]);
	}
	udp_close(a);
}

static void mistake_17_a_device_without_checksums_carries_nothing(void)
{
	kernel = KERNEL_WITHOUT_CHECKSUMS;
	refusals = 0;
	all_frames_arrive(UDP_V4, 1000, 100);
	/* Asked once: the rest of them goes singly at once. */
	CHECK_EQ(refusals, 1);
	kernel = KERNEL_AS_IT_IS;
}

int main(void)
{
	RUN(frames_of_many_datagrams_arrive_whole_with_class_and_addresses);
	RUN(frames_of_equal_datagrams_get_a_tail_on_the_kernels_that_need_it);
	RUN(a_tail_follows_equal_datagrams_and_no_others);
	RUN(a_port_in_use_is_told_and_a_free_one_found);
	RUN(a_local_address_that_is_gone_is_given_up);
	RUN(an_impossible_destination_is_an_error_and_the_next_frame_still_goes);
	RUN(an_empty_and_a_largest_datagram_pass);
	RUN(mistake_16_what_a_partial_sendmmsg_left_is_lost);
	RUN(mistake_16b_of_a_batch_over_ipv6_the_sources_are_mixed_up);
	RUN(mistake_17_a_device_without_checksums_carries_nothing);
	return check_done();
}
