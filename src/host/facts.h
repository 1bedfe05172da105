#pragma once
/*
 * What this host's network looks like now, apart from our own device: for the
 * router's plan, for the endpoints a node tells of, for port mapping.
 */
#include "base/ip.h"
#include "base/own.h"
#include "base/vec.h"
#include "router/plan.h"

enum { HOST_FACTS_MAX = 4096 };

struct host_facts {
	VEC(struct ip) addrs; /* of interfaces that are up; no loopback, no link-local */
	VEC(struct router_link_net) nets;      /* what those interfaces are attached to */
	bool has4, has6;                       /* addresses beyond loopback and link-local */
	bool ip6;                              /* the kernel has IPv6 at all */
	char default_dev[ROUTER_NAME_MAX + 1]; /* of the default route in the main table, or "" */
	struct ip gateway4;                    /* of that route; zero: none */
	struct ip towards4;                    /* our address on its interface; zero: none */
};

/* own_dev is left out. Zero *ret before; end it with host_facts_done. -errno */
NODISCARD int host_facts_read(const char *own_dev, struct host_facts *ret);
void host_facts_done(struct host_facts *f);
/* Whether a node would have to do anything about the difference. */
bool host_facts_eq(const struct host_facts *a, const struct host_facts *b);
