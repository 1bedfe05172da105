#pragma once
/*
 * Structs as JSON, by rows: one row a field gives the decoder, the encoder, a
 * copy, a comparison, and the list of what nobody handles.
 *
 *	struct person { struct span name; JS_LIST_OF(struct span) aliases; int64_t age; };
 *
 *	static const struct js_row person_rows[] = {
 *		{ "name",    &js_t_str,               offsetof(struct person, name) }, { "aliases",
 *JS_LIST_T(&js_t_str),    offsetof(struct person, aliases), JS_OMIT     }, { "age",     &js_t_int,
 *offsetof(struct person, age),     JS_OMIT     }, { 0 },
 *	};
 *	const struct js_type person_type = JS_STRUCT_OF("person", struct person, person_rows);
 *
 * Decoding follows Go: names match exactly, else without regard to case; null
 * gives the zero value; unknown names are passed over. Everything decoded lives
 * in the reader's arena, nothing points into the text.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/json.h"
#include "base/own.h"
#include "base/time.h"

enum js_shape { JS_SCALAR, JS_BYTES, JS_LIST, JS_MAP, JS_PTR, JS_STRUCT };

struct js_type {
	enum js_shape shape;
	size_t size;
	const char *name;
	/* JS_SCALAR and JS_BYTES */
	int (*read)(struct js_rd *r, const struct js_type *t, void *at);
	void (*write)(struct js_wr *w, const struct js_type *t, const void *at);
	const char *prefix;        /* for read and write: a key's "nodekey:" */
	bool takes_null;           /* read is asked about null too */
	const struct js_type *of;  /* JS_LIST, JS_MAP, JS_PTR: what of */
	const struct js_row *rows; /* JS_STRUCT: ends with a NULL name */
};

enum js_omit {
	JS_ALWAYS,
	JS_OMIT,      /* Go's omitempty (and omitzero for what is no list or map) */
	JS_OMIT_NULL, /* a list or map that is not set; an empty one is written */
};

struct js_row {
	const char *name;
	const struct js_type *type;
	size_t at;
	enum js_omit omit;
};

/*
 * A list or map: `set` tells null and absent from empty. A map's keys keep the
 * order of the text; integer keys are their decimal text.
 */
#define JS_LIST_OF(T)     \
	struct {          \
		T *v;     \
		size_t n; \
		bool set; \
	}
#define JS_MAP_OF(T)                     \
	struct {                         \
		struct {                 \
			struct span key; \
			T value;         \
		} * v;                   \
		size_t n;                \
		bool set;                \
	}

struct js_list {
	void *v;
	size_t n;
	bool set;
};

/* Named, so that they can be assigned and passed. */
#define JS_LIST_STRUCT(tag, T) \
	struct tag {           \
		T *v;          \
		size_t n;      \
		bool set;      \
	}
JS_LIST_STRUCT(js_strs, struct span);
JS_LIST_STRUCT(js_ints, int64_t);
JS_LIST_STRUCT(js_ips, struct ip);
JS_LIST_STRUCT(js_addrs, struct addr);
JS_LIST_STRUCT(js_prefixes, struct prefix);

/* true, false or not said: Go's opt.Bool and *bool. */
enum js_obool { OBOOL_UNSET, OBOOL_FALSE, OBOOL_TRUE };

static inline enum js_obool obool(bool b)
{
	return b ? OBOOL_TRUE : OBOOL_FALSE;
}

/* clang-format off */
#define JS_STRUCT_OF(title, T, table) { .shape = JS_STRUCT, .size = sizeof(T), .name = (title), .rows = (table) }
#define JS_LIST_T(elem) (&(const struct js_type){ .shape = JS_LIST, .size = sizeof(struct js_list), .of = (elem) })
#define JS_MAP_T(elem)  (&(const struct js_type){ .shape = JS_MAP, .size = sizeof(struct js_list), .of = (elem) })
#define JS_PTR_T(elem)  (&(const struct js_type){ .shape = JS_PTR, .size = sizeof(void *), .of = (elem) })
/* clang-format on */

extern const struct js_type js_t_bool;   /* bool */
extern const struct js_type js_t_obool;  /* enum js_obool; unset is null */
extern const struct js_type js_t_int;    /* int64_t */
extern const struct js_type js_t_uint;   /* uint64_t */
extern const struct js_type js_t_u16;    /* uint16_t */
extern const struct js_type js_t_double; /* double */
extern const struct js_type js_t_str;    /* struct span */
extern const struct js_type js_t_raw;    /* struct span: any JSON, kept as it stands; "null" too */
extern const struct js_type js_t_b64;    /* struct span of bytes; unset (p NULL) is null */
extern const struct js_type js_t_time;   /* wall; 0 is Go's zero time, the year 1 */
extern const struct js_type js_t_ip;     /* struct ip; all zero is "" */
extern const struct js_type js_t_addr;   /* struct addr; all zero is "" */
/* struct prefix; "" is refused, as all zero is ::/0. Host bits are kept. */
extern const struct js_type js_t_prefix;
extern const struct js_type js_t_raws; /* struct js_strs of raw texts */
extern const struct js_type js_t_strs, js_t_ints, js_t_ips, js_t_addrs, js_t_prefixes;

/* One value at the reader's place. The error is the reader's. */
NODISCARD int js_rd_value(struct js_rd *r, const struct js_type *t, void *ret);
/* A whole text. `ret` is zeroed first; on failure it holds what was read. */
NODISCARD int js_decode(struct arena *arena, struct span text, const struct js_type *t, void *ret,
                        struct fault *reterr);

void js_wr_value(struct js_wr *w, const struct js_type *t, const void *at);
void js_encode(struct buf *out, const struct js_type *t, const void *at);

/* What JS_OMIT leaves out: false, 0, "", an empty list or map, NULL. */
bool js_is_empty(const struct js_type *t, const void *at);
/* The same value; a list that is not set differs from an empty one. */
bool js_same(const struct js_type *t, const void *a, const void *b);
/* Everything behind `at` in one block, freed by free(). */
void *js_clone(const struct js_type *t, const void *at);
/* The same, into an arena. */
void js_copy(struct arena *arena, const struct js_type *t, void *dst, const void *src);
