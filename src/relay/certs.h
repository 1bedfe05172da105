#pragma once
/*
 * The relay's certificate: from files that are read again when they change, from
 * an ACME server, or one of our own making; with the meta certificate that tells
 * our key at the end of the chain.
 */
#include "platform/acme_keep.h"
#include "platform/tls.h"
#include "relay/config.h"
#include "relay/relay.h"

struct certs;

/* The client is for ACME, and must live as long. -errno, ERR_MALFORMED, ERR_AUTH */
NODISCARD int certs_new(struct ev *ev, const struct relay_config *cfg, const struct node_pub *relay,
                        const struct http_client *client, struct certs **ret);
/* The answer to an ACME server's GET of this path; NULL: none of ours. c may be NULL. */
const char *certs_http01(const struct certs *c, struct span path);
void certs_free(struct certs *c);
struct tls_server *certs_tls(const struct certs *c);
/* Reads the files if they have changed, or in any case. A failure leaves what is in use. */
NODISCARD int certs_reload(struct certs *c, bool force);
/* Until when the leaf is good; 0 while there is none yet. */
wall certs_until(const struct certs *c);
/* "sha256-raw:..." for the CertName field of a DERP map. */
enum { CERTS_PIN_MAX = 80 };
const char *certs_pin(const struct certs *c, char dst[static CERTS_PIN_MAX]);
