#pragma once
/*
 * The notification bus of the local API: those who watch are told of changes, a
 * JSON object a line. A watcher that does not read is let go.
 *
 * Source: tailscale v1.102.5, ipn/backend.go (Notify), ipn/ipnlocal/bus.go.
 */
#include "base/json.h"
#include "base/list.h"
#include "netmap/netmap.h"
#include "platform/http_server.h"

struct node;

enum bus_mask {
	BUS_ENGINE_UPDATES = 1 << 0,
	BUS_INITIAL_STATE = 1 << 1,
	BUS_INITIAL_PREFS = 1 << 2,
	BUS_INITIAL_NETMAP = 1 << 3,
	BUS_INITIAL_DRIVE_SHARES = 1 << 5,
	BUS_INITIAL_HEALTH = 1 << 7,
	BUS_RATE_LIMIT = 1 << 8,
	BUS_INITIAL_SUGGESTED_EXIT = 1 << 10,
	BUS_INITIAL_CLIENT_VERSION = 1 << 11,
	BUS_PEER_CHANGES = 1 << 12,
	BUS_NO_NETMAP = 1 << 13,
	BUS_INITIAL_STATUS = 1 << 14,
	BUS_PEER_PATCHES = 1 << 15,
	BUS_IN_PROCESS = 1 << 16,
};

enum { BUS_WATCHERS_MAX = 256, BUS_QUEUE_MAX = 1 << 20 };

struct bus {
	struct link watchers;
	size_t n;
};

void bus_init(struct bus *b);
void bus_done(struct bus *b);
/* Takes the request: its answer lasts until either side leaves. */
void bus_watch(struct node *n, struct http_req *req, unsigned mask);

/* To everybody. */
void bus_state(struct node *n);
void bus_prefs(struct node *n);
void bus_browse(struct node *n, const char *url);
void bus_error(struct node *n, const char *text);
void bus_login_finished(struct node *n);
void bus_health(struct node *n);
/* To those who asked for it; SelfChange to everybody. */
void bus_map(struct node *n, const struct netmap_delta *delta);
