#pragma once
/*
 * What the part of the daemon that speaks with the network gives away before it
 * reads the first byte: doc/threat-model.md says why it keeps what it keeps.
 */
#include "base/own.h"

#define RIGHTS_USER "fairlead"

struct rights_cfg {
	const char *user;        /* name or number; NULL: RIGHTS_USER, if there is one */
	const char *state_path;  /* NULL: none */
	const char *state_dir;   /* becomes the user's, with what is in it; NULL: none */
	const char *default_dir; /* the same if state_path lies in it */
};

/*
 * While there is one thread. Where a measure is not to be had (no such user, a
 * folder out of the user's reach, a kernel without it) the others are taken and
 * the log says so.   -errno, ERR_UNKNOWN: the user that was named is not there
 */
NODISCARD int rights_give_away(const struct rights_cfg *cfg);
