#pragma once
/* The commands that talk to the node daemon. Flags and outputs are those of the stock command. */
#include "cli/cmd.h"

extern const struct cmd node_up_cmd, node_down_cmd, node_login_cmd, node_logout_cmd, node_set_cmd,
	node_get_cmd, node_switch_cmd, node_status_cmd, node_ip_cmd, node_ping_cmd, node_whois_cmd,
	node_whoami_cmd, node_dns_cmd, node_exit_cmd, node_netcheck_cmd, node_wait_cmd,
	node_metrics_cmd, node_bugreport_cmd, node_debug_cmd, node_version_cmd;

struct js;
/* The table of `status`. */
void node_print_status(struct cli *cli, const struct js *status, bool self, bool peers, bool active,
                       bool header);
