#pragma once
/* GET /metrics: what monitoring reads, in the Prometheus text format. */
#include "coordinator/coord.h"

void metrics_get(struct coord_call *c);
