#pragma once
/*
 * DNSConfig for clients, out of the configuration and the file of extra records.
 */
#include "base/buf.h"
#include "base/fault.h"
#include "base/own.h"
#include "coordinator/config.h"

enum { DNS_RECORDS_FILE_MAX = 16 << 20, DNS_RECORDS_MAX = 100000 };

/* extra: the JSON text of extra_records_path, or empty. ERR_MALFORMED */
NODISCARD int dnsmap_json(const struct config *c, struct span extra, struct buf *out,
                          struct fault *reterr);
