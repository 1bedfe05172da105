#pragma once
/*
 * Answers and upstreams in words, for `dns query` and `dns status`. JSON in the
 * form of the stock command's.
 */
#include "base/json.h"
#include "dns/config.h"

/* ResponseCode, and Answers unless it is a failure; into an open object. */
void dns_show_answer(struct js_wr *w, struct span msg);
/* [{"Addr":"10.0.0.1"}, ...] */
void dns_show_upstreams(struct js_wr *w, const struct dns_upstream *v, size_t n);
/* Who answers for the name, and why: "answered here: ...". Good until the next call with dst. */
enum { DNS_WHY_MAX = DNS_NAME_TEXT_MAX + 128 };
const char *dns_show_why(const struct dns_config *c, const struct dns_name *name,
                         char dst[static DNS_WHY_MAX]);
