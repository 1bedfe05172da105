#pragma once
/*
 * JSON text: a reader that walks it once, a tree for those who need to look
 * around, and a writer. Rows that map JSON to structs are in base/jsonrow.h.
 *
 * The reader is strict (RFC 8259, UTF-8 checked), bounded in depth and in the
 * memory it may take, keeps numbers as text (64-bit ids never pass through a
 * double) and knows where in the text each value stands, so that an error about
 * its meaning can name the line.
 *
 * Strings are copied into the arena, unescaped, with a NUL after their end: the
 * text may be freed before them. Escaped lone surrogates become U+FFFD, as in Go.
 *
 * The prefix is js_: json_ belongs to a library.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/own.h"
#include "base/span.h"

enum {
	JS_DEPTH_MAX = 64,
	JS_TEXT_MAX = 256 << 20,
	JS_MEMORY_MAX = 256 << 20, /* unless js_rd.budget says otherwise */
};

enum js_kind { JS_NULL, JS_BOOL, JS_NUMBER, JS_STRING, JS_ARRAY, JS_OBJECT };

/* Line and column of a byte, both from 1; the column counts bytes. */
struct js_place {
	unsigned line, column;
};
struct js_place js_place_of(struct span text, size_t at);

/* ---- reading ---- */

/*
 * A reader stops at its first failure: `err` says what, `at` where, `why` in
 * words. Every call after that fails too, and moves nothing.
 */
struct js_rd {
	struct span text;
	size_t at;
	struct arena *arena;
	size_t budget; /* bytes of arena this text may still take */
	unsigned depth;
	size_t key_at;   /* where the name read last begins, its quote included */
	bool refuse_dup; /* a name twice in one object is an error */
	int err;         /* 0, ERR_MALFORMED, ERR_LIMIT */
	const char *why; /* static text, set with err */
	struct buf *
		unknown; /* js_decode: a line "Type.Field" for each field no row handles; or NULL */
};

void js_rd_init(struct js_rd *r, struct arena *arena, struct span text);
/* The error, if none came before; returns it. */
int js_rd_fail(struct js_rd *r, int err, const char *why);
/* Fills in line, column and the reason. Returns r->err. */
int js_rd_fault(const struct js_rd *r, struct fault *reterr);

/* What stands next, without taking it; JS_NULL and an error if nothing can. */
enum js_kind js_peek(struct js_rd *r);
NODISCARD int js_rd_null(struct js_rd *r);
NODISCARD int js_rd_bool(struct js_rd *r, bool *ret);
NODISCARD int js_rd_number(struct js_rd *r, struct span *ret); /* a view of the text */
NODISCARD int js_rd_int(struct js_rd *r, int64_t min, int64_t max, int64_t *ret);
NODISCARD int js_rd_double(struct js_rd *r, double *ret);
NODISCARD int js_rd_string(struct js_rd *r, struct span *ret);
/* A string's value in place when it has no escapes, else into the arena: for values parsed at once.
 */
NODISCARD int js_rd_string_view(struct js_rd *r, struct span *ret);
/* Any value, checked, as a view of its text. */
NODISCARD int js_rd_skip(struct js_rd *r, struct span *ret_text);

/*
 * Containers: enter, then next until it gives 0 (1: there is a member, to be
 * read now; negative: error). The closing bracket is taken by the last call.
 *
 *	r = js_rd_enter(rd, JS_OBJECT);
 *	while (r >= 0 && (r = js_rd_next_key(rd, &key)) > 0)
 *		r = ...read one value...;
 */
NODISCARD int js_rd_enter(struct js_rd *r, enum js_kind kind);
NODISCARD int js_rd_next(struct js_rd *r);
NODISCARD int js_rd_next_key(struct js_rd *r, struct span *ret_key);
/* Nothing but space is left. */
NODISCARD int js_rd_end(struct js_rd *r);
/* From the arena, against the budget; NULL and ERR_LIMIT when it is spent. */
void *js_rd_alloc(struct js_rd *r, size_t n);

/* ---- a tree ---- */

struct js {
	enum js_kind kind;
	bool truth;       /* JS_BOOL */
	uint32_t n;       /* members of an array or object */
	size_t at;        /* where it begins in the text; a member's value, not its name */
	size_t key_at;    /* a member: where its name begins */
	struct span key;  /* a member's name; p is NULL elsewhere */
	struct span text; /* a string's value, a number's text */
	struct js *first, *next;
};

/*
 * The whole text as one value. With refuse_dup a repeated name is refused.
 *   ERR_MALFORMED, ERR_LIMIT, and where
 */
NODISCARD int js_parse(struct arena *arena, struct span text, bool refuse_dup, struct js **ret,
                       struct fault *reterr);

/* The member of that exact name, or NULL; also NULL for NULL and for what is no object. */
const struct js *js_get(const struct js *object, const char *name);
/* Values that fit, or the alternative; NULL gives the alternative. */
struct span js_text(const struct js *v); /* of a string; empty otherwise */
int64_t js_int(const struct js *v, int64_t alternative);
bool js_truth(const struct js *v, bool alternative);

/* for (const struct js *m = js_first(v); m; m = m->next) */
static inline const struct js *js_first(const struct js *v)
{
	return v && (v->kind == JS_ARRAY || v->kind == JS_OBJECT) ? v->first : NULL;
}

/* Says what is wrong with a value of this text. Returns ERR_MALFORMED. */
int js_fault(struct span text, const struct js *v, struct fault *reterr, const char *fmt, ...)
	PRINTF(4, 5);

/* ---- writing ---- */

/*
 * Writes as Go's encoding/json does: "<", ">", "&", U+2028 and U+2029 escaped,
 * bytes that are no UTF-8 replaced. Compact, or with one tab (or `indent`) a
 * level. Names and values alternate by call order; commas are the writer's.
 */
struct js_wr {
	struct buf *out;
	const char *indent; /* NULL: compact */
	unsigned depth;
	bool more;      /* private: something stands before in this container */
	bool after_key; /* private */
	bool plain;     /* leave "<", ">" and "&" as they are */
};

static inline struct js_wr js_wr_of(struct buf *out)
{
	return (struct js_wr){ .out = out };
}

void js_wr_open(struct js_wr *w, enum js_kind kind);
void js_wr_close(struct js_wr *w, enum js_kind kind);
void js_wr_key(struct js_wr *w, const char *name);
void js_wr_key_span(struct js_wr *w, struct span name);
void js_wr_null(struct js_wr *w);
void js_wr_bool(struct js_wr *w, bool v);
void js_wr_int(struct js_wr *w, int64_t v);
void js_wr_uint(struct js_wr *w, uint64_t v);
void js_wr_double(struct js_wr *w, double v);   /* shortest text that reads back the same */
void js_wr_str(struct js_wr *w, const char *s); /* NULL: "" */
void js_wr_span(struct js_wr *w, struct span s);
/* A value that is JSON already. */
void js_wr_raw(struct js_wr *w, struct span json);
void js_wr_base64(struct js_wr *w, struct span bytes);
void js_wr_tree(struct js_wr *w, const struct js *v);
/* Key and value in one call. */
void js_wr_kv_str(struct js_wr *w, const char *name, const char *s);
void js_wr_kv_span(struct js_wr *w, const char *name, struct span s);
void js_wr_kv_int(struct js_wr *w, const char *name, int64_t v);
void js_wr_kv_bool(struct js_wr *w, const char *name, bool v);
