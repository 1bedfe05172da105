#pragma once
/*
 * A WireGuard device by its name, whoever runs it: a program behind a control
 * socket (fairlead-wg, wireguard-go and their like), or the kernel.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/own.h"
#include "base/vec.h"
#include "wireguard/config.h"
#include "wireguard/drops.h"

#define WGDEV_SOCKETS "/var/run/wireguard"

struct wgdev_names {
	char **v;
	size_t n, cap;
};

/* The kernel's first. End it with wgdev_names_done. */
NODISCARD int wgdev_list(struct wgdev_names *ret);
void wgdev_names_done(struct wgdev_names *n);

/* Whether a program runs it. */
bool wgdev_is_user(const char *name);
/* Whether this kernel has WireGuard built in or its module loaded. */
bool wgdev_kernel_has(void);

/* -ENODEV: no such device. End *ret with wg_info_done, also after an error. */
NODISCARD int wgdev_get(const char *name, struct wg_info *ret);
NODISCARD int wgdev_set(const char *name, const struct wg_change *c);
/* -EOPNOTSUPP: it does not count its drops. */
NODISCARD int wgdev_drops(const char *name, uint64_t ret[static WG_DROP_MAX]);
