#pragma once
/*
 * Bringing a WireGuard interface up and down from a file, as wg-quick(8) does:
 * the steps, and for each how it is undone. Rules, table numbers and the names
 * of nftables tables are wg-quick's own, so either program takes down what the
 * other brought up.
 */
#include "base/own.h"
#include "cli/cmd.h"
#include "platform/rtnl.h"
#include "wireguard/conf.h"

enum wg_backend { WG_BACKEND_AUTO, WG_BACKEND_KERNEL, WG_BACKEND_USER };

struct quick {
	struct cli *cli;
	char *path; /* of the file, without links */
	char name[IFNAMSIZ];
	struct wg_conf conf;
	struct rtnl *nl;
	struct rtnl_link link; /* once it is there */
	enum wg_backend backend;
	bool made;         /* we made the interface */
	bool dns_set;      /* we told the resolver */
	int old_mark_rule; /* src_valid_mark as it was, -1: not changed */
};

/* "[#] what" on standard error, as wg-quick tells its commands. */
void quick_say(const struct quick *q, const char *fmt, ...) PRINTF(2, 3);
/* The same with what went wrong; returns r. */
int quick_fail(const struct quick *q, int r, const char *fmt, ...) PRINTF(3, 4);

/* The steps that touch the network; each says what it does. */
NODISCARD int quick_add_addresses(struct quick *q);
NODISCARD int quick_set_up(struct quick *q); /* MTU, and the link up */
NODISCARD int quick_add_routes(struct quick *q);
/* Rules, firewall and interface, as far as they are there. */
int quick_remove(struct quick *q);
/*
 * What an interface of this name left that went without being taken down, as its
 * daemon was killed: rules that lead nowhere, and the firewall's tables, by which it
 * is known. Whether there was something.
 */
bool quick_remove_left(struct quick *q);

NODISCARD int quick_set_dns(struct quick *q);
void quick_unset_dns(struct quick *q);

/* Pure, for tests. */

/*
 * The prefixes to route: of all peers, each once, the longest first. The caller
 * frees *ret.
 */
size_t quick_prefixes(const struct wg_change *c, struct prefix **ret);
/* wg-quick's leak protection for one family. */
void quick_nft_text(struct buf *out, const char *name, bool ip6, uint32_t mark,
                    const struct prefix *addresses, size_t n);
/* The interface's name from a path ".../NAME.conf"; false if it cannot be one. */
bool quick_name(const char *path, char ret[static IFNAMSIZ]);
