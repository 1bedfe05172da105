#pragma once
/*
 * The text protocol between wg(8) and a userspace device, both ends of it: pure
 * text in and out. The socket is the caller's.
 *
 *	get=1\n\n		key=value lines of the device, of each peer, errno=0\n\n
 *	set=1\n ... \n\n	errno=0\n\n, or a negative number as wireguard-go gives
 *	get=drops\n\n		name=count lines, errno=0\n\n (ours alone)
 *
 * A set is read whole before anything is done: a refused one leaves the device
 * as it was. wireguard-go applies line by line; nothing known depends on that.
 *
 * Source: https://www.wireguard.com/xplatform/, wireguard-go device/uapi.go.
 */
#include <stdint.h>

#include "base/buf.h"
#include "base/own.h"
#include "base/span.h"
#include "wireguard/config.h"
#include "wireguard/drops.h"

enum {
	/* 130,560 prefixes of one peer are 7 MB of text. */
	WG_UAPI_MAX = 64 << 20,
};

enum wg_uapi_op { WG_UAPI_GET, WG_UAPI_SET, WG_UAPI_DROPS };

/*
 * Server side: finds one whole operation at the front of what has arrived.
 *   1		*ret_op and *ret_used (bytes of the operation) are set; a set's
 *		lines are in *ret_lines, without its first and its empty last line
 *   0		not complete yet; ask again with more bytes
 *   ERR_MALFORMED	no known operation: close the connection
 *   ERR_LIMIT	larger than WG_UAPI_MAX: close the connection
 * `eof` says that no more bytes will come: a set then ends without its empty line.
 */
NODISCARD int wg_uapi_cut(struct span in, bool eof, enum wg_uapi_op *ret_op, size_t *ret_used,
                          struct span *ret_lines);

/*
 * wg(8) sends zones by name ("endpoint=[fe80::1%eth0]:51820"), and only the system
 * knows their numbers: a copy of the lines with numbers instead. What index_of
 * does not know (0) stays as it is, and will be refused.
 */
void wg_uapi_number_zones(struct span lines, unsigned (*index_of)(const char *name),
                          struct buf *ret);

/*
 * The lines of a set, zones by number. Always end *ret with wg_change_done, also after an error.
 *   -EPROTO		a line without '='
 *   -EINVAL		an unknown key or a bad value
 */
NODISCARD int wg_uapi_read_set(struct span lines, struct wg_change *ret);
/* The reply to a set: r is 0, -errno or one of our errors. */
void wg_uapi_write_errno(struct buf *out, int r);
/* The whole reply to a get. */
void wg_uapi_write_get(struct buf *out, const struct wg_info *info);
void wg_uapi_write_drops(struct buf *out, const uint64_t counts[static WG_DROP_MAX]);

/* Client side: the whole request of a set, from "set=1" to the empty line. */
void wg_uapi_write_set(struct buf *out, const struct wg_change *change);
/*
 * The whole reply to a get. Unknown keys are passed over. End *ret with
 * wg_info_done, also after an error.
 *   -EPROTO		no errno line, or a line without '='
 *   -EINVAL		a bad value
 *   other		the device's own error
 */
NODISCARD int wg_uapi_read_get(struct span reply, struct wg_info *ret);
/* The errno line of a reply: 0 or a negative errno; -EPROTO if there is none. */
NODISCARD int wg_uapi_read_errno(struct span reply);
