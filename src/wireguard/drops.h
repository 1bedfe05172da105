#pragma once
/*
 * Why packets are dropped: one list gives the enum, the counters of a device,
 * the names on its control socket (get=drops) and the text for people. The data
 * path counts here too.
 */
#include <stdint.h>

/* clang-format off */
#define WG_DROP_LIST(X)                                                                              \
	X(SHORT,           "short",           "datagram shorter than any message")                   \
	X(TYPE,            "type",            "message of an unknown type")                          \
	X(LENGTH,          "length",          "length does not fit the message's type")              \
	X(OVERSIZE,        "oversize",        "datagram larger than the receive buffer")             \
	X(DOWN,            "down",            "interface is down")                                   \
	X(NO_IDENTITY,     "no-identity",     "no private key is set")                               \
	X(MAC1,            "mac1",            "handshake not meant for this key")                    \
	X(COOKIE_ASKED,    "cookie-asked",    "under load: answered with a cookie")                  \
	X(RATE,            "rate",            "source over its handshake rate")                      \
	X(HANDSHAKE_AUTH,  "handshake-auth",  "handshake does not authenticate")                     \
	X(UNKNOWN_PEER,    "unknown-peer",    "handshake of a key that is not a peer")               \
	X(STALE_STAMP,     "stale-stamp",     "initiation replayed or older than one accepted")      \
	X(FLOOD,           "flood",           "initiations of a peer too close together")            \
	X(NO_HANDSHAKE,    "no-handshake",    "response to no pending handshake")                    \
	X(COOKIE_UNASKED,  "cookie-unasked",  "cookie that was not asked for")                       \
	X(COOKIE_AUTH,     "cookie-auth",     "cookie does not authenticate")                        \
	X(COOKIE_FULL,     "cookie-full",     "more cookie replies pending than are kept")           \
	X(INDEX,           "index",           "data for no session")                                 \
	X(EXPIRED,         "expired",         "data for a session that has ended")                   \
	X(AUTH,            "auth",            "data does not authenticate")                          \
	X(REPLAY,          "replay",          "counter already seen, or too old to tell")            \
	X(INNER,           "inner",           "decrypted packet is not an IP packet")                \
	X(SOURCE,          "source",          "decrypted packet from an address not the peer's")            \
	X(NO_PEER,         "no-peer",         "no peer for the destination")                         \
	X(NO_ENDPOINT,     "no-endpoint",     "peer with no known endpoint")                         \
	X(NOT_IP,          "not-ip",          "packet from the interface is not an IP packet")       \
	X(STAGED_FULL,     "staged-full",     "too many packets waiting for a session")              \
	X(STAGED_STALE,    "staged-stale",    "no session came while the packet waited")             \
	X(FILTERED,        "filtered",        "not allowed by the packet filter")                    \
	X(TOO_BIG,         "too-big",         "more than the path carries, and its sender was told") \
	X(VIA6,            "via6",            "cannot be carried between 4via6 and IPv4")            \
	X(SEND_FAILED,     "send-failed",     "the network refused the datagram")                    \
	X(WRITE_FAILED,    "write-failed",    "the interface refused the packet")
/* clang-format on */

enum wg_drop {
#define X(name, word, text) WG_DROP_##name,
	WG_DROP_LIST(X)
#undef X
		WG_DROP_MAX
};

/* "stale-stamp": stable, for programs. */
const char *wg_drop_name(enum wg_drop d);
/* For people. */
const char *wg_drop_text(enum wg_drop d);
