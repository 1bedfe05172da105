#pragma once
/*
 * The certificate of the public address: from files, read again on SIGHUP, or
 * from an ACME server (tls_letsencrypt_hostname), which needs port 443 to be
 * ours for TLS-ALPN-01 or tls_letsencrypt_listen to be port 80 for HTTP-01.
 */
#include "coordinator/config.h"
#include "platform/ev.h"
#include "platform/tls.h"

struct site_cert;

/*
 * port80: a socket that listens there already, or -1. *ret is NULL if the
 * configuration asks for no TLS. What is wrong was logged.
 */
NODISCARD int site_cert_new(struct ev *ev, const struct config *cfg, int port80,
                            struct site_cert **ret);
void site_cert_free(struct site_cert *s);
/* For accepted connections; NULL for NULL: plain. */
struct tls_server *site_cert_tls(const struct site_cert *s);
/* Reads the files again; what is broken is logged and the old ones stay. */
void site_cert_reload(struct site_cert *s);
