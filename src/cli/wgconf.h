#pragma once
/* A configuration file from disk, ready to be given to a device. */
#include "base/own.h"
#include "cli/cmd.h"
#include "wireguard/conf.h"

/*
 * Reads, parses and resolves; says on cli->err what is wrong as "FILE:LINE: what
 * was expected". Zero *ret before; end it with wg_conf_done.
 */
NODISCARD int wgconf_load(const struct cli *cli, const char *path, enum wg_conf_kind kind,
                          struct wg_conf *ret);
/* The same without looking names up. */
NODISCARD int wgconf_read(const struct cli *cli, const char *path, enum wg_conf_kind kind,
                          struct wg_conf *ret);
