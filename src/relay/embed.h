#pragma once
/*
 * A relay behind the HTTP server of another program: one call for each request
 * whose path may be a relay's (/derp, /derp/..., /generate_204, /bootstrap-dns).
 */
#include "platform/http_server.h"
#include "relay/pages.h"

/* True: the request has been answered, or its connection is the relay's now. False: not ours. */
bool relay_serve(struct relay *r, const struct page_env *env, struct http_req *req);
