#pragma once
/*
 * Where the coordinator was last time. A daemon that is started while nothing
 * may leave past an exit node that is not up yet cannot ask the host's resolver
 * for its name: such questions carry no mark of ours. The addresses are kept in
 * a file beside the state, a name and its addresses.
 */
#include "platform/resolve.h"

/* -errno */
NODISCARD int control_hosts_save(const char *path, const char *host, const struct resolved *at);
/* False: not known, or the file cannot be read. */
bool control_hosts_find(const char *path, const char *host, struct resolved *ret);
