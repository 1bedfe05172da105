#pragma once
/*
 * TXT records for certificates by dns-01: a node asks (POST /machine/set-dns), a
 * hook of the operator writes them. The hook is an HTTP server that speaks the
 * "httpreq" protocol of ACME clients: POST URL/present {"fqdn", "value"}. Nobody
 * tells us when the authority has looked; some minutes later the record is taken
 * away again, POST URL/cleanup, also when the server was restarted meanwhile.
 */
#include "coordinator/coord.h"

struct setdns;

struct setdns *setdns_new(struct coord *co);
void setdns_free(struct setdns *s);
/* Takes away what has been there long enough. */
void setdns_tick(struct setdns *s);

/* Can names be written at all? Then nodes are told that they may have certificates. */
bool setdns_offered(const struct config *cfg);
/* After the caller is known to be this node: type, name and value as it sent them. */
void setdns_write(struct coord_call *c, const struct node *n, struct span type, struct span name,
                  struct span value);
