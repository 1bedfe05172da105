#pragma once
/*
 * A growing array of one type: VEC(struct peer *) peers = { 0 };
 * Pointers into it are good until the next push.
 */
#include <stddef.h>
#include <string.h>

#include "base/mem.h"

#define VEC(T)                 \
	struct {               \
		T *v;          \
		size_t n, cap; \
	}

#define vec_reserve(vec, want)                                                  \
	do {                                                                    \
		size_t want_ = (want);                                          \
		if ((vec)->cap < want_) {                                       \
			size_t cap_ = (vec)->cap ? (vec)->cap : 8;              \
			while (cap_ < want_)                                    \
				cap_ *= 2;                                      \
			(vec)->v = mem_grow((vec)->v, cap_, sizeof(*(vec)->v)); \
			(vec)->cap = cap_;                                      \
		}                                                               \
	} while (0)

#define vec_push(vec, item)                       \
	do {                                      \
		vec_reserve((vec), (vec)->n + 1); \
		(vec)->v[(vec)->n++] = (item);    \
	} while (0)

/* A new zeroed element at the end; its address. */
#define vec_add(vec)                                               \
	({                                                         \
		vec_reserve((vec), (vec)->n + 1);                  \
		memset(&(vec)->v[(vec)->n], 0, sizeof(*(vec)->v)); \
		&(vec)->v[(vec)->n++];                             \
	})

/* Order changes. */
#define vec_remove_swap(vec, i) ((vec)->v[i] = (vec)->v[--(vec)->n])

/* Order kept. */
#define vec_remove(vec, i)                                        \
	do {                                                      \
		size_t i_ = (i);                                  \
		memmove(&(vec)->v[i_], &(vec)->v[i_ + 1],         \
		        ((vec)->n - i_ - 1) * sizeof(*(vec)->v)); \
		(vec)->n--;                                       \
	} while (0)

#define vec_done(vec)                      \
	do {                               \
		free((vec)->v);            \
		(vec)->v = NULL;           \
		(vec)->n = (vec)->cap = 0; \
	} while (0)

/* A vector of what malloc gave: its elements are freed too. */
#define vec_done_free(vec)                            \
	do {                                          \
		for (size_t i = 0; i < (vec)->n; i++) \
			free((vec)->v[i]);            \
		vec_done(vec);                        \
	} while (0)

/* vec_each(struct peer **, p, &peers) */
#define vec_each(T, it, vec) for (T it = (vec)->v; it < (vec)->v + (vec)->n; it++)
