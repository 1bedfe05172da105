#pragma once
/*
 * The smaller things a node asks for over Noise, besides registering and the map.
 * Each names the node's key; it has to be a node of the machine that asks.
 */
#include "coordinator/coord.h"

/* What handlers of this file remember. */
struct node_rpc;
struct node_rpc *node_rpc_new(void);
void node_rpc_free(struct node_rpc *r);

/* With the body read. */
void node_rpc_set_dns(struct coord_call *c, struct span body);
void node_rpc_id_token(struct coord_call *c, struct span body);
void node_rpc_attributes(struct coord_call *c, struct span body);
void node_rpc_health(struct coord_call *c, struct span body);
void node_rpc_audit(struct coord_call *c, struct span body);
void node_rpc_feature(struct coord_call *c, struct span body);
