#pragma once
/*
 * One Noise connection of a machine, from the upgrade of /ts2021 on: a stream
 * below, HTTP/2 above. What is asked inside comes to the coordinator's requests
 * with the link as pipe_arg.
 */
#include "coordinator/coord.h"

/*
 * POST /ts2021, an upgrade; or GET, the WebSocket of clients that run in a browser.
 * Answers with 101 or an error.
 */
void noise_link_upgrade(struct coord_call *c);
/* Who it is: proven by the handshake. */
const struct machine_pub *noise_link_machine(const struct noise_link *l);
unsigned noise_link_version(const struct noise_link *l);
void noise_link_address(const struct noise_link *l, struct addr *ret);
