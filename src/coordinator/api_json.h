#pragma once
/* Records as the REST API shows them: camelCase, every field there, ids as text. */
#include "base/json.h"
#include "coordinator/state.h"

void api_put_user(struct js_wr *w, const struct user *u);
void api_put_node(struct js_wr *w, const struct state *st, const struct node *n);
/* key: the full text, shown once; NULL: the masked one. */
void api_put_auth_key(struct js_wr *w, const struct state *st, const struct auth_key *k,
                      const char *key);
void api_put_api_key(struct js_wr *w, const struct api_key *k);
void api_put_audit(struct js_wr *w, const struct audit_entry *e);
/* null for 0. */
void api_kv_time(struct js_wr *w, const char *name, wall t);
