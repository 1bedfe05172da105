#pragma once
/*
 * The relay map sent to clients: the embedded region, those of files, and those
 * fetched from URLs, later ones over earlier ones by region number.
 *
 * Regions are kept as JSON objects by number; a region that is null is removed.
 * Files are YAML as Headscale writes them, or JSON; URLs give JSON.
 */
#include "base/buf.h"
#include "base/fault.h"
#include "base/own.h"
#include "coordinator/config.h"

enum { DERPMAP_MAX = 4 << 20, DERPMAP_REGIONS_MAX = 4096 };

struct derpmap_region {
	int64_t id;
	char *json; /* NULL: taken out */
};

struct derpmap {
	VEC(struct derpmap_region) regions; /* by id */
};

void derpmap_done(struct derpmap *d);
/* {"Regions":{"1":{...}}}. ERR_MALFORMED */
NODISCARD int derpmap_add_json(struct derpmap *d, struct span json, struct fault *reterr);
/* The same in YAML with lower-case keys: regions: 900: {regionid: ..., nodes: [...]}. */
NODISCARD int derpmap_add_yaml(struct derpmap *d, struct span yaml, struct fault *reterr);
/* Our own relay, at server_url's host and port. */
void derpmap_add_embedded(struct derpmap *d, const struct config *c);
/* DERPMap as clients read it. */
void derpmap_json(const struct derpmap *d, struct buf *out);
