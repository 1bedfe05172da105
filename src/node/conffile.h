#pragma once
/*
 * The file of `--config`: preferences declared rather than set by hand, in
 * tailscaled's form "alpha0", HuJSON. What it names is taken, at the start and
 * when it is read anew; while it is locked (the default) nothing else changes
 * them.
 *
 * Source: tailscale v1.102.5, ipn/conf.go, ipn/conffile.
 */
#include "node/prefs.h"

enum { CONFFILE_MAX = 1 << 20 };

struct conffile;

/* ERR_MALFORMED: no such form, or a name that is not known; the fault says which. */
NODISCARD int conffile_parse(struct span text, struct conffile **ret, struct fault *reterr);
/* The same of a file; -errno, ERR_LIMIT. The fault is set for every error. */
NODISCARD int conffile_load(const char *path, struct conffile **ret, struct fault *reterr);
void conffile_free(struct conffile *c);
DEFINE_AUTO(conffile_free, struct conffile *)

/* Preferences with what the file says. ERR_DENIED: it contradicts itself */
NODISCARD int conffile_apply(const struct conffile *c, const struct prefs *old, struct prefs **ret,
                             struct fault *reterr);
/* Nobody but the file changes preferences. */
bool conffile_locked(const struct conffile *c);
/* The key to log in with, or "file:" and where it is; empty: none. */
struct span conffile_auth_key(const struct conffile *c);
/* Where peers reach us too, by this file's word. */
const struct js_addrs *conffile_endpoints(const struct conffile *c);
