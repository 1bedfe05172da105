#pragma once
/*
 * A TUN device with segmentation offload: the kernel hands over and takes
 * frames of up to 64 KiB with a virtio header in front (TUN_HEADER bytes, struct
 * virtio_net_hdr of <linux/virtio_net.h>, native byte order).
 *
 * What the kernel cannot do is left out: `caps` says what a frame written may
 * ask for; frames read ask for no more than was offered.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/own.h"
#include "platform/ev.h"

enum {
	TUN_HEADER = 10,
	TUN_FRAME_MAX = TUN_HEADER + 65535,
	TUN_NAME = 16,
};

enum tun_cap {
	TUN_TCP = 1 << 0, /* TCP segments may be written as one frame */
	TUN_UDP = 1 << 1, /* and UDP datagrams of one flow */
};

struct tun;

/* -errno; the name may hold "%d". */
NODISCARD int tun_open(const char *name, struct tun **ret);
/* Takes a descriptor that somebody else opened. -EINVAL if it is not a TUN with a virtio header. */
NODISCARD int tun_adopt(int fd, struct tun **ret);
void tun_close(struct tun *t); /* and with it the device */
/* What a person can do about an error of tun_open; "" if nothing is known. */
const char *tun_advice(int r);

int tun_fd(const struct tun *t);
const char *tun_name(const struct tun *t);
unsigned tun_caps(const struct tun *t);
unsigned tun_mtu(const struct tun *t);
bool tun_is_up(const struct tun *t);
NODISCARD int tun_set_mtu(struct tun *t, unsigned mtu);

/*
 * One frame with its header into buf; 0 if there is none.
 *   -EBADFD	the device is gone
 */
NODISCARD int tun_read(struct tun *t, void *buf, size_t cap);
/* One frame, header first. -errno; -EIO: the interface is down. */
NODISCARD int tun_write(struct tun *t, const struct iovec *iov, int n);

/*
 * Follows the interface: `changed` is called on the loop when it went up or
 * down or has another MTU, `gone` when it does not exist any more. Follows it
 * into another network namespace too, there within a second.
 */
struct tun_watch {
	void (*changed)(void *arg);
	void (*gone)(void *arg);
	/* Addresses or routes of the machine changed: what was true of a source may not be any
	 * more. */
	void (*rerouted)(void *arg);
	void *arg;
};
NODISCARD int tun_watch(struct tun *t, struct ev *ev, const struct tun_watch *w);

/*
 * Once the interface is up: whether the kernel takes a written superframe. Some
 * refuse it with EINVAL; caps say so after. The frame sent is two tiny segments
 * from and to an address of a documentation network.
 */
void tun_probe_writes(struct tun *t);
