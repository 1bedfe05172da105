#pragma once
/*
 * Tokens by which a node shows others who it is: JWTs signed with a key of ours,
 * verified with what /.well-known/openid-configuration leads to. POST
 * /machine/id-token asks for one.
 */
#include "coordinator/coord.h"

struct idtoken;

/* The key is read from the folder of the Noise key, or made there. Logged. */
NODISCARD int idtoken_new(struct coord *co, struct idtoken **ret);
void idtoken_free(struct idtoken *t);

/* GET /.well-known/openid-configuration, /.well-known/jwks.json */
void idtoken_discovery(struct coord_call *c);
void idtoken_jwks(struct coord_call *c);

/* Appends the token for this audience; good for some minutes. */
NODISCARD int idtoken_issue(struct idtoken *t, const struct node *n, struct span audience,
                            struct buf *out);
