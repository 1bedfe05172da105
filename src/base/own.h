#pragma once
/* Ownership marks. They change what a reader may assume, so use them everywhere. */
#include <stddef.h>
#include <stdlib.h>
#include <unistd.h>

#define NODISCARD __attribute__((warn_unused_result))
#define NONNULL __attribute__((nonnull))
#define PRINTF(f, a) __attribute__((format(printf, f, a)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The object that holds an embedded member. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

/* Give ownership away: the variable is emptied, so its cleanup does nothing. */
#define TAKE(p)                             \
	({                                  \
		__typeof__(p) taken_ = (p); \
		(p) = NULL;                 \
		taken_;                     \
	})

/* The same for a descriptor. */
#define TAKE_FD(fd)                \
	({                         \
		int taken_ = (fd); \
		(fd) = -1;         \
		taken_;            \
	})

/* AUTO(thing_free) struct thing *t = NULL;  -- freed on every way out. */
#define AUTO(fn) __attribute__((cleanup(fn##_at)))
#define DEFINE_AUTO(fn, type)                  \
	static inline void fn##_at(type *slot) \
	{                                      \
		fn(*slot);                     \
	}

/* AUTO_DONE(buf) struct buf b = { 0 };  -- thing_done(&b) on every way out. */
#define AUTO_DONE(type) __attribute__((cleanup(type##_done)))
/* AUTO_WIPE(node_priv) k;  -- a secret, gone on every way out of the scope. */
#define AUTO_WIPE(type) __attribute__((cleanup(type##_wipe))) struct type

static inline void fd_close(int fd)
{
	if (fd >= 0)
		close(fd);
}
DEFINE_AUTO(fd_close, int)

static inline void mem_free(void *p)
{
	free(p);
}

/* AUTO_FREE char *s = NULL; */
static inline void mem_free_slot(void *slot)
{
	free(*(void **)slot);
}
#define AUTO_FREE __attribute__((cleanup(mem_free_slot)))
