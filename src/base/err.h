#pragma once
/*
 * One error space for the whole tree: 0 is success, -1..-4095 is -errno, and
 * below that are our own codes. A function that can fail returns int and
 * nothing else; what it produces goes through a ret_ parameter, which is
 * written only on success. Positive results are allowed where a header says so.
 */

#define ERR_LIST(X)                                       \
	X(SHORT, "input ends before the message does")    \
	X(TRAILING, "bytes left over after the message")  \
	X(MALFORMED, "input breaks the format's rules")   \
	X(VERSION, "version not spoken here")             \
	X(AUTH, "authentication failed")                  \
	X(REPLAY, "already seen")                         \
	X(LIMIT, "over a limit")                          \
	X(BADSTATE, "not valid in the present state")     \
	X(NOKEY, "no usable key")                         \
	X(UNKNOWN, "no such thing")                       \
	X(EXISTS, "exists already")                       \
	X(DENIED, "not allowed")                          \
	X(CLOSED, "the other side closed the connection") \
	X(TIMEOUT, "no answer in time")                   \
	X(TLS, "TLS failed")                              \
	X(STORE, "the database refused")

/* clang-format off */
enum err_index {
#define X(name, text) ERR_IX_##name,
	ERR_LIST(X)
#undef X
	ERR_IX_MAX
};

enum err {
	ERR_OURS = -4096,
#define X(name, text) ERR_##name = ERR_OURS - ERR_IX_##name,
	ERR_LIST(X)
#undef X
};
/* clang-format on */

/* Text for a log line or the user; never NULL, never to be freed. Thread-safe. */
const char *err_text(int r);
