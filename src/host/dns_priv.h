#pragma once
/* The managers, for host/dns.c alone. */
#include "base/own.h"
#include "dns/plan.h"

/* resolv.conf in a folder, its former contents beside it. */
#define DIRECT_NAME "resolv.conf"
#define DIRECT_BACKUP "resolv.pre-fairlead-backup.conf"

/* Moves the former file aside, unless it is ours, and writes the text. -errno */
NODISCARD int direct_set(const char *etc, struct span text);
/* Brings the former file back; harmless if there is none. */
NODISCARD int direct_restore(const char *etc);
/* The file as it stands. -errno */
NODISCARD int direct_read(const char *etc, struct buf *ret);
/* What the host had before us: the file kept aside, else the file. */
void direct_base(const char *etc, struct dns_resolv *ret);

/* name: what the entry is called there. */
NODISCARD int resolvconf_set(enum dns_manager m, const char *name, struct span text);
NODISCARD int resolvconf_unset(enum dns_manager m, const char *name);
bool resolvconf_is_debian(void);

/* bus may be NULL. */
bool resolved_answers(const char *bus);
NODISCARD int resolved_set(const char *bus, int index, const struct dns_os *os);
NODISCARD int resolved_unset(const char *bus, int index);
