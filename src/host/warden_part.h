#pragma once
/* The privileged part itself: host/warden.c starts it. */
#include "host/warden.h"

/* Serves until the other end of fd has gone; the exit status of the process. */
int warden_part(int fd, const struct warden_cfg *cfg);
