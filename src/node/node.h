#pragma once
/*
 * The node daemon, put together: preferences, one login, the mesh engine, the
 * local API. It decides the state a user sees (ipn_state) and carries changes
 * from one part to the next; each part knows nothing of the others.
 *
 * Threads	that of the loop.
 */
#include "base/own.h"
#include "base/time.h"
#include "platform/ev.h"

struct node;

/* Numbers and names are those of the local API. */
#define IPN_STATES(X)                             \
	X(NO_STATE, "NoState")                    \
	X(IN_USE_OTHER_USER, "InUseOtherUser")    \
	X(NEEDS_LOGIN, "NeedsLogin")              \
	X(NEEDS_MACHINE_AUTH, "NeedsMachineAuth") \
	X(STOPPED, "Stopped")                     \
	X(STARTING, "Starting")                   \
	X(RUNNING, "Running")

/* clang-format off */
enum ipn_state {
#define X(name, text) IPN_##name,
	IPN_STATES(X)
#undef X
};
/* clang-format on */

struct warden;

struct node_cfg {
	struct ev *ev;
	struct warden *warden;   /* what may change the host; NULL: nothing can, so no tunnel */
	const char *state_path;  /* NULL: nothing is kept, and the node is ephemeral */
	const char *state_dir;   /* other files; NULL: none */
	const char *var_dir;     /* of what may be lost, as the map of last time; NULL: none */
	const char *config_path; /* declared preferences; NULL: none are */
	bool config_optional;    /* it may be missing */
	const char *socket;      /* of the local API */
	const char *also_socket; /* the same, if nobody has it; NULL: nowhere else */
	const char *tun_name;
	uint16_t port;        /* 0: any */
	const char *extra_ca; /* NULL: the system's roots alone */
	bool no_mark;         /* sockets cannot be marked here */
};

/* -errno, and those of the state file. */
NODISCARD int node_new(const struct node_cfg *cfg, struct node **ret);
/* Leaves the machine as it was found. */
void node_free(struct node *n);
DEFINE_AUTO(node_free, struct node *)

/* Joins, if the preferences say so. */
void node_start(struct node *n);

/* The whole of the daemon program. Returns an exit status. */
int node_main(int argc, char **argv);
