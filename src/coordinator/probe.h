#pragma once
/*
 * Are the routers there? Where two or more nodes serve one prefix, each is asked
 * over its map stream to fetch a URL of ours (a PingRequest); one that does not
 * in time is not used as the primary until it answers again.
 *
 * All routers of a round are judged together, so that a hiccup of ours does not
 * move routes one by one; a round in which nobody answered judges nobody.
 */
#include "coordinator/coord.h"

struct probe;

struct probe *probe_new(struct coord *co);
void probe_free(struct probe *p);
/* HEAD /machine/ping-response?id=... */
void probe_answered(struct probe *p, struct span query);
