#pragma once
/* What tells this machine from others: for a coordinator that may ask. */
#include "base/json.h"

/* Arrays of texts. */
void posture_write_serials(struct js_wr *w);
void posture_write_hwaddrs(struct js_wr *w);
