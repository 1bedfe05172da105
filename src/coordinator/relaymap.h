#pragma once
/*
 * The relay map in force: files (derp.paths), URLs (derp.urls, fetched at start
 * and every derp.update_frequency), the embedded relay, and the policy's derpMap,
 * later ones over earlier ones. Also /bootstrap-dns: the addresses of the relays'
 * names and ours, for clients whose own DNS fails.
 */
#include "coordinator/coord.h"

struct relaymap;

/* After the hub. A file that is broken is an error, and logged; a URL is tried again. */
NODISCARD int relaymap_new(struct coord *co, struct relaymap **ret);
void relaymap_free(struct relaymap *m);
/* Files are read again; what is broken is logged, and what was in force stays. */
void relaymap_reload(struct relaymap *m);

/* GET /bootstrap-dns?q=NAME */
void relaymap_bootstrap_dns(struct coord_call *c);
