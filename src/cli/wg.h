#pragma once
/*
 * `fairlead wg`: what wg(8) and wg-quick(8) do, with their file format and, where
 * a script could depend on it, their output byte for byte (seen in
 * wireguard-tools 1.0.20210914).
 */
#include "base/buf.h"
#include "base/time.h"
#include "cli/cmd.h"
#include "wireguard/config.h"

/* The group's commands; ends with a NULL name. */
extern const struct cmd wg_commands[];
/* `fairlead wg` alone: as `wg show`. */
int wg_run_default(struct cli *cli, const void *opts, int argc, char **argv);

/* One function a command, as struct cmd wants them. */
int wg_run_show(struct cli *cli, const void *opts, int argc, char **argv);
int wg_run_showconf(struct cli *cli, const void *opts, int argc, char **argv);
int wg_run_set(struct cli *cli, const void *opts, int argc, char **argv);
int wg_run_setconf(struct cli *cli, const void *opts, int argc, char **argv);
int wg_run_addconf(struct cli *cli, const void *opts, int argc, char **argv);
int wg_run_syncconf(struct cli *cli, const void *opts, int argc, char **argv);
int wg_run_genkey(struct cli *cli, const void *opts, int argc, char **argv);
int wg_run_genpsk(struct cli *cli, const void *opts, int argc, char **argv);
int wg_run_pubkey(struct cli *cli, const void *opts, int argc, char **argv);
int wg_run_up(struct cli *cli, const void *opts, int argc, char **argv);
int wg_run_down(struct cli *cli, const void *opts, int argc, char **argv);
int wg_run_save(struct cli *cli, const void *opts, int argc, char **argv);
int wg_run_strip(struct cli *cli, const void *opts, int argc, char **argv);

/*
 * The text of `wg show`, for people and for scripts; pure, for tests. Peers are
 * sorted by the time of their handshake, the latest first.
 */
struct wg_show {
	const char *name;
	wall now;
	bool color, show_keys;
	bool with_name; /* scripts: the interface's name in front of each line */
};
void wg_show_pretty(struct buf *out, struct wg_info *info, const struct wg_show *how);
/* ERR_UNKNOWN: no such field */
NODISCARD int wg_show_field(struct buf *out, const struct wg_info *info, const char *field,
                            const struct wg_show *how);
