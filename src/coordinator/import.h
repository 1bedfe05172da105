#pragma once
/*
 * Taking over a Headscale installation: its SQLite database (schema of 0.26 to
 * 0.29) becomes ours, ids, keys, addresses and names unchanged. The Noise key,
 * the policy file and the configuration are used where they are.
 *
 * The new database is built beside the old one; then the old one is kept as
 * PATH.headscale and ours takes its place, so that the same configuration goes on.
 * A second time nothing is left to do, and that is said. A server that still runs
 * is not taken over: ERR_BADSTATE.
 */
#include "base/own.h"
#include "coordinator/config.h"

struct import_report {
	unsigned users, nodes, auth_keys, api_keys, skipped;
	bool policy;
	struct texts notes; /* what is different from before, a line each */
};
void import_report_done(struct import_report *r);

/* dry_run: nothing is written. What is wrong was logged. */
NODISCARD int import_headscale(const struct config *cfg, bool dry_run, struct import_report *ret);

/* Whether the file is a Headscale database. */
bool import_is_headscale(const char *path);
