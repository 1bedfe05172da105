#pragma once
/* Public keys as fields of JSON rows. The zero key is written with its zeros. */
#include "base/jsonrow.h"

extern const struct js_type js_t_node_pub;    /* struct node_pub */
extern const struct js_type js_t_machine_pub; /* struct machine_pub */
extern const struct js_type js_t_disco_pub;   /* struct disco_pub */
extern const struct js_type js_t_challenge_pub;
extern const struct js_type js_t_lock_pub;
