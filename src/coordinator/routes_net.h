#pragma once
/* The tables of what can be asked, one for each way in. */
#include "coordinator/coord.h"

extern const struct coord_route routes_net[], routes_noise[], routes_local[], routes_metrics[];
extern const size_t routes_net_n, routes_noise_n, routes_local_n, routes_metrics_n;
