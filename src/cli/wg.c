#include "cli/wg.h"

struct up_opts {
	const char *backend;
};

static const struct up_opts up_defaults = { .backend = "auto" };

/* clang-format off */
static const struct cmd_opt up_opts[] = {
	{ "backend", CMD_STRING, offsetof(struct up_opts, backend), "WHICH",
	  "who runs the interface: kernel, user (fairlead-wg), or auto" },
	{ 0 },
};
/* clang-format on */

static const char show_details[] =
	"FIELD is one of public-key, private-key, listen-port, fwmark, peers, preshared-keys,\n"
	"endpoints, allowed-ips, latest-handshakes, transfer, persistent-keepalive, dump, and\n"
	"drops: how many packets were dropped, by reason. Fields are printed for scripts, with\n"
	"tabs in between.\n";

static const char set_details[] =
	"INTERFACE, then any of\n"
	"  listen-port PORT   fwmark MARK|off   private-key FILE\n"
	"and for each peer\n"
	"  peer KEY [remove] [preshared-key FILE] [endpoint HOST:PORT]\n"
	"           [persistent-keepalive SECONDS|off] [allowed-ips [+|-]PREFIX,...]\n"
	"\n"
	"Keys of one's own are read from files, and are none if the file is empty.\n";

static const char quick_details[] =
	"A bare name means /etc/wireguard/NAME.conf; the name of the file is the name of the\n"
	"interface. Beside the keys of `wg setconf`, [Interface] may have Address, DNS, MTU,\n"
	"Table, PreUp, PostUp, PreDown, PostDown and SaveConfig.\n";

const struct cmd wg_commands[] = {
	{ .name = "show",
	  .args = "[INTERFACE|all|interfaces [FIELD]]",
	  .help = "Show interfaces and their peers",
	  .run = wg_run_show,
	  .args_max = 2,
	  .details = show_details },
	{ .name = "showconf",
	  .args = "INTERFACE",
	  .help = "Print an interface's configuration as a file for setconf",
	  .run = wg_run_showconf,
	  .args_min = 1,
	  .args_max = 1 },
	{ .name = "set",
	  .args = "INTERFACE SETTING VALUE...",
	  .help = "Change an interface's settings and peers",
	  .run = wg_run_set,
	  .args_min = 2,
	  .args_max = CMD_ARGS_ANY,
	  .flags = CMD_RAW,
	  .details = set_details },
	{ .name = "setconf",
	  .args = "INTERFACE FILE",
	  .help = "Give an interface the configuration of a file, and no other",
	  .run = wg_run_setconf,
	  .args_min = 2,
	  .args_max = 2 },
	{ .name = "addconf",
	  .args = "INTERFACE FILE",
	  .help = "Add the configuration of a file to an interface's",
	  .run = wg_run_addconf,
	  .args_min = 2,
	  .args_max = 2 },
	{ .name = "syncconf",
	  .args = "INTERFACE FILE",
	  .help = "Make an interface's configuration that of a file, sessions kept",
	  .run = wg_run_syncconf,
	  .args_min = 2,
	  .args_max = 2 },
	{ .name = "genkey", .args = "", .help = "Print a new private key", .run = wg_run_genkey },
	{ .name = "genpsk",
	  .args = "",
	  .help = "Print a new pre-shared key",
	  .run = wg_run_genpsk },
	{ .name = "pubkey",
	  .args = "",
	  .help = "Print the public key of the private key on standard input",
	  .run = wg_run_pubkey },
	{ .name = "up",
	  .args = "FILE|INTERFACE",
	  .help = "Make an interface from a wg-quick file, with addresses, routes and DNS",
	  .run = wg_run_up,
	  .opts = up_opts,
	  .defaults = &up_defaults,
	  .opts_size = sizeof(up_defaults),
	  .args_min = 1,
	  .args_max = 1,
	  .details = quick_details },
	{ .name = "down",
	  .args = "FILE|INTERFACE",
	  .help = "Take an interface down and put back what `up` changed",
	  .run = wg_run_down,
	  .args_min = 1,
	  .args_max = 1,
	  .details = quick_details },
	{ .name = "save",
	  .args = "FILE|INTERFACE",
	  .help = "Write the present state of an interface to its file",
	  .run = wg_run_save,
	  .args_min = 1,
	  .args_max = 1,
	  .details = quick_details },
	{ .name = "strip",
	  .args = "FILE|INTERFACE",
	  .help = "Print a wg-quick file without what only wg-quick knows",
	  .run = wg_run_strip,
	  .args_min = 1,
	  .args_max = 1,
	  .details = quick_details },
	{ 0 },
};
