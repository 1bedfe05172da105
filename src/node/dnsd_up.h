#pragma once
/*
 * The upstream side of dnsd: one socket an attempt, by UDP from a port of its
 * own, by TCP, or a POST over HTTP(S). For dnsd.c alone.
 */
#include "dns/forward.h"
#include "platform/ev.h"
#include "platform/tls.h"

struct dnsd_up;

struct dnsd_up_cfg {
	struct ev *ev;
	struct tls_client *tls;
	/* Never called from within dnsd_up_do. */
	void (*reply)(void *owner, uint32_t attempt, struct span msg);
	void (*failed)(void *owner, uint32_t attempt);
	void *owner;
};

struct dnsd_up *dnsd_up_new(const struct dnsd_up_cfg *cfg);
void dnsd_up_free(struct dnsd_up *u);
/* SEND_* or GIVE_UP. */
void dnsd_up_do(struct dnsd_up *u, const struct dns_forward_out *out);
