#pragma once
/* Files that take effect when they are written or replaced: policy, records, relay maps, TLS. */
#include "coordinator/coord.h"

struct watches;

/* What cannot be watched is logged; SIGHUP still reads it. */
struct watches *watches_new(struct coord *co);
void watches_free(struct watches *w);
