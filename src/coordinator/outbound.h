#pragma once
/*
 * What the coordinator asks of other servers goes through here: the identity
 * provider, relay maps, the DNS hook.
 */
#include "platform/ev.h"
#include "platform/http_client.h"

struct outbound;

/* Resolver and roots; what is wrong was logged. */
NODISCARD int outbound_new(struct ev *ev, struct outbound **ret);
void outbound_free(struct outbound *o);
/* Lives as long. */
const struct http_client *outbound_http(const struct outbound *o);
