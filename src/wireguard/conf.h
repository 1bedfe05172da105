#pragma once
/*
 * Configuration files of wg(8) and wg-quick(8), read and written.
 *
 * A line is cut at '#', its white space dropped; sections and keys in any case.
 * WG_CONF_SET and WG_CONF_ADD take wg's keys alone, as `wg setconf` and `wg
 * addconf` do; WG_CONF_QUICK also those of wg-quick. In the hooks of wg-quick
 * (PreUp and so on) '#' and white space are the shell's.
 *
 * A file is taken whole or not at all: a fault names the line and what was
 * expected there. Endpoints whose host is a name, and a listen port that is a
 * service name, are left for the caller to look up. Pure.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/own.h"
#include "base/span.h"
#include "base/vec.h"
#include "wireguard/config.h"
#include "wireguard/value.h"

enum {
	WG_CONF_MAX = 32 << 20,         /* bytes; 130,560 prefixes are 6 MB */
	WG_CONF_LINES_OF_A_KIND = 1000, /* addresses, resolvers, hooks */
};

enum wg_conf_kind {
	WG_CONF_SET,   /* what the file does not name is reset; peers are replaced */
	WG_CONF_ADD,   /* what the file does not name stays */
	WG_CONF_QUICK, /* as WG_CONF_SET, and wg-quick's keys */
};

/* An endpoint to look up, for the peer with this place in change.peers. */
struct wg_conf_name {
	size_t peer;
	unsigned line;
	struct wg_endpoint endpoint;
};

enum wg_table { WG_TABLE_AUTO, WG_TABLE_OFF, WG_TABLE_NAMED };

/* What wg-quick adds. Strings are owned. */
struct wg_quick {
	VEC(struct prefix) addresses; /* with host bits */
	VEC(struct ip) dns;
	VEC(char *) search;
	VEC(char *) pre_up;
	VEC(char *) post_up;
	VEC(char *) pre_down;
	VEC(char *) post_down;
	uint32_t mtu; /* 0: to be worked out */
	enum wg_table table;
	char *table_name; /* WG_TABLE_NAMED: a number or a name; NULL if the file has no Table */
	bool table_given;
	bool save;
};

struct wg_conf {
	struct wg_change change;
	struct wg_quick quick;
	VEC(struct wg_conf_name) names;
	char *listen_service; /* NULL, or a listen port by name */
	unsigned listen_line;
	VEC(struct fault) warnings; /* what is odd and still taken */
	struct buf stripped;        /* WG_CONF_QUICK: the lines that are wg's, as they stand */
};

/* Zero *ret before; end it with wg_conf_done, also after an error. ERR_MALFORMED, ERR_LIMIT */
NODISCARD int wg_conf_parse(struct span text, enum wg_conf_kind kind, struct wg_conf *ret,
                            struct fault *f);
void wg_conf_done(struct wg_conf *c);

/* The text of `wg showconf`. Mark the buffer secret. */
void wg_conf_print(struct buf *out, const struct wg_info *info);
/* wg-quick's keys as `wg-quick save` writes them, to stand after the line [Interface]. */
void wg_quick_print(struct buf *out, const struct wg_quick *q);

/*
 * What turns a running device into what the file says, without touching
 * sessions (`wg syncconf`): change comes from a WG_CONF_SET file and is edited.
 */
void wg_conf_sync(struct wg_change *change, const struct wg_info *running);
