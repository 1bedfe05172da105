#pragma once
/*
 * A copy of the database, made while it is in use and sent to who asks on the Unix
 * socket: the server writes beside its database only, so it needs no right to the
 * place where the copy shall be.
 */
#include "coordinator/coord.h"

/* POST /admin/backup: the file's bytes. */
void backup_call(struct coord_call *c);
/*
 * Puts a copy in the database's place, which must not be in use; what was there is
 * kept as PATH.before-restore.  ERR_VERSION, ERR_MALFORMED: it is none of ours, or
 * damaged; ERR_BADSTATE: a server runs. What is wrong was logged.
 */
NODISCARD int backup_restore(const struct config *cfg, const char *copy);
