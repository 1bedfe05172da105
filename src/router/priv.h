#pragma once
/* Between plan.c and nft.c. */
#include "router/plan.h"

/* The table's text and the counters. */
void router_plan_nft(struct router_plan *p, const struct router_cfg *cfg);
