#pragma once
/* All types of the control protocol. */
#include "control/tailcfg_map.h"
#include "control/tailcfg_node.h"
#include "control/tailcfg_rpc.h"

/* By the name tailscale gives it ("MapRequest"); NULL for others. What can be sent or received
 * whole. */
const struct js_type *tc_type_named(struct span name);
