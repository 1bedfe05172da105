#pragma once
/*
 * The relay's certificate: from files that are read again when they change, or
 * one of our own making; with the meta certificate that tells our key at the
 * end of the chain.
 */
#include "platform/tls.h"
#include "relay/config.h"
#include "relay/relay.h"

struct certs;

/* -errno, ERR_MALFORMED, ERR_AUTH */
NODISCARD int certs_new(struct ev *ev, const struct relay_config *cfg, const struct node_pub *relay,
                        struct certs **ret);
void certs_free(struct certs *c);
struct tls_server *certs_tls(const struct certs *c);
/* Reads the files if they have changed, or in any case. A failure leaves what is in use. */
NODISCARD int certs_reload(struct certs *c, bool force);
/* Until when the leaf is good. */
wall certs_until(const struct certs *c);
/* "sha256-raw:..." for the CertName field of a DERP map. */
enum { CERTS_PIN_MAX = 80 };
const char *certs_pin(const struct certs *c, char dst[static CERTS_PIN_MAX]);
