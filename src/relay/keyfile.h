#pragma once
/*
 * The relay's secrets on disk: its own key as JSON {"PrivateKey":"privkey:..."},
 * the form derper keeps its key in, and the mesh key as hex digits.
 */
#include "crypto/keys.h"
#include "protocol/derp.h"

enum { KEYFILE_MAX = 4096 };

/*
 * Reads it; makes it (0600, with the folders above it) if it is not there;
 * *ret_made_folder is set if its folder was not there either.
 *   ERR_DENIED		others than its owner may read it
 *   ERR_MALFORMED, -errno
 */
NODISCARD int keyfile_load(const char *path, struct node_priv *ret, bool *ret_made_folder);
NODISCARD int keyfile_mesh(const char *path, uint8_t ret[static DERP_MESH_KEY]);
