#include "coordinator/outbound.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "platform/resolve.h"
#include "platform/tls.h"

struct outbound {
	struct resolver *resolver;
	struct tls_client *tls;
	struct http_client http;
};

int outbound_new(struct ev *ev, struct outbound **ret)
{
	struct outbound *o = mem_new(struct outbound);
	int r = resolver_new(ev, NULL, &o->resolver);

	if (r >= 0)
		r = tls_client_new(NULL, &o->tls);
	if (r < 0) {
		outbound_free(o);
		return log_ret(r, "cannot ask other servers");
	}
	o->http = (struct http_client){ .ev = ev, .resolver = o->resolver, .tls = o->tls };
	*ret = o;
	return 0;
}

void outbound_free(struct outbound *o)
{
	if (!o)
		return;
	resolver_free(o->resolver);
	tls_client_unref(o->tls);
	free(o);
}

const struct http_client *outbound_http(const struct outbound *o)
{
	return &o->http;
}
