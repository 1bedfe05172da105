#pragma once
/* The managers, for host/dns.c alone. */
#include "base/own.h"
#include "dns/plan.h"
#include "platform/resolve1.h"

/* resolv.conf in a folder, its former contents beside it. */
#define DIRECT_NAME "resolv.conf"
#define DIRECT_BACKUP "resolv.pre-fairlead-backup.conf"

/* How the file is managed without anybody's help. */
struct direct {
	char *path, *etc, *run;
	char *backup; /* the former file, moved */
	char *spare;  /* the former contents, where the file could not be moved; beside the journal
	               */
	int lock;     /* -1: not held */
};

/* run: where locks are; NULL: "/run" */
void direct_init(struct direct *d, const char *etc, const char *journal, const char *run);
void direct_done(struct direct *d);
/*
 * The file is ours alone until it is released, or the process ends.
 *   ERR_EXISTS	another daemon of ours keeps it
 */
NODISCARD int direct_take(struct direct *d);
void direct_release(struct direct *d);
/* Keeps the former contents, unless the file is ours, and writes the text. -errno */
NODISCARD int direct_set(struct direct *d, struct span text);
/* Where the former contents are, to be named in the file. */
const char *direct_kept(const struct direct *d);
/* Brings the former contents back and releases; harmless if there are none. */
NODISCARD int direct_restore(struct direct *d);
/* The file as it stands. -errno */
NODISCARD int direct_read(const char *etc, struct buf *ret);
/* What the host had before us: what was kept, else the file. */
void direct_base(const struct direct *d, struct dns_resolv *ret);

/* name: what the entry is called there. */
NODISCARD int resolvconf_set(enum dns_manager m, const char *name, struct span text);
NODISCARD int resolvconf_unset(enum dns_manager m, const char *name);
bool resolvconf_is_debian(void);

/* ERR_UNKNOWN: there is no bus. */
NODISCARD int resolved_set(struct resolve1 *bus, int index, const struct dns_os *os);
