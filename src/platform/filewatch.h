#pragma once
/*
 * Tells when a file of this name in a folder is written, replaced or removed.
 * The folder is watched, so the file may come and go.
 */
#include "base/own.h"
#include "platform/ev.h"

struct filewatch {
	struct ev_io io; /* private */
	struct ev *ev;
	char name[64];
	void (*changed)(struct filewatch *w);
};

/* changed must be set. -errno */
NODISCARD int filewatch_start(struct ev *ev, struct filewatch *w, const char *folder,
                              const char *name);
void filewatch_stop(struct filewatch *w); /* harmless if it was not started */
