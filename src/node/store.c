#include "node/store.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "base/jsonrow.h"
#include "base/vec.h"

struct entry {
	char *name;
	struct buf value;
};

struct store {
	char *path;
	VEC(struct entry) entries; /* by name, as Go writes maps */
	unsigned held;
	bool dirty;
	int trouble; /* of the last write */
};

static void entry_done(struct entry *e)
{
	free(e->name);
	buf_done(&e->value);
}

void store_free(struct store *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->entries.n; i++)
		entry_done(&s->entries.v[i]);
	vec_done(&s->entries);
	free(s->path);
	free(s);
}

bool store_is_memory(const struct store *s)
{
	return !s->path;
}

static size_t place_of(const struct store *s, const char *name)
{
	size_t i = 0;

	while (i < s->entries.n && strcmp(s->entries.v[i].name, name) < 0)
		i++;
	return i;
}

static struct entry *find(const struct store *s, const char *name)
{
	size_t i = place_of(s, name);

	return i < s->entries.n && strcmp(s->entries.v[i].name, name) == 0 ? &s->entries.v[i]
	                                                                   : NULL;
}

static void put(struct store *s, const char *name, struct span value)
{
	struct entry *e = find(s, name);

	if (!e) {
		size_t i = place_of(s, name);
		struct entry *last = vec_add(&s->entries);

		(void)last;
		memmove(&s->entries.v[i + 1], &s->entries.v[i],
		        (s->entries.n - 1 - i) * sizeof(struct entry));
		s->entries.v[i] = (struct entry){ .name = str_dup(name),
			                          .value = { .secret = true } };
		e = &s->entries.v[i];
	}
	buf_done(&e->value);
	buf_add_span(&e->value, value);
}

/* ---- the file ---- */

struct file_entry {
	struct span key, value;
};

static int parse(struct store *s, struct span text)
{
	static const struct js_type map_type = { .shape = JS_MAP,
		                                 .size = sizeof(struct js_list),
		                                 .of = &js_t_b64 };
	JS_LIST_STRUCT(file_entries, struct file_entry) map;
	struct arena a = { 0 };
	int r = js_decode(&a, text, &map_type, &map, NULL);

	for (size_t i = 0; r == 0 && i < map.n; i++)
		put(s, (const char *)map.v[i].key.p, map.v[i].value);
	arena_done(&a);
	return r;
}

static int check_mode(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return (st.st_mode & 077) ? -EPERM : 0;
}

static int load(struct store *s)
{
	AUTO(fd_close) int fd = open(s->path, O_RDONLY | O_CLOEXEC);
	AUTO_DONE(buf) struct buf text = { .secret = true };
	int r;

	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = check_mode(fd);
	if (r == 0)
		r = file_read_fd(fd, STORE_FILE_MAX, &text);
	if (r < 0 || text.n == 0)
		return r;
	return parse(s, buf_span(&text));
}

int store_open(const char *path, struct store **ret)
{
	AUTO(store_free) struct store *s = mem_new(struct store);
	int r;

	s->path = str_dup(path);
	if (path) {
		r = load(s);
		if (r < 0)
			return r;
	}
	*ret = TAKE(s);
	return 0;
}

static int save(struct store *s)
{
	AUTO_DONE(buf) struct buf text = { .secret = true };
	struct js_wr w = js_wr_of(&text);

	s->dirty = true;
	if (s->held)
		return 0;
	s->dirty = false;
	if (!s->path)
		return 0;
	w.indent = "  ";
	js_wr_open(&w, JS_OBJECT);
	for (size_t i = 0; i < s->entries.n; i++) {
		js_wr_key(&w, s->entries.v[i].name);
		js_wr_base64(&w, buf_span(&s->entries.v[i].value));
	}
	js_wr_close(&w, JS_OBJECT);
	s->trouble = file_write_atomic(s->path, buf_span(&text), 0600);
	return s->trouble;
}

int store_trouble(const struct store *s)
{
	return s->trouble;
}

/* ---- access ---- */

struct span store_get(const struct store *s, const char *name)
{
	struct entry *e = find(s, name);

	return e ? buf_span(&e->value) : span(NULL, 0);
}

int store_set(struct store *s, const char *name, struct span value)
{
	AUTO_DONE(buf) struct buf old = { .secret = true };
	struct entry *e = find(s, name);
	bool had = e;
	int r;

	if (e && span_eq(buf_span(&e->value), value))
		return 0;
	if (e)
		buf_add_span(&old, buf_span(&e->value));
	put(s, name, value);
	r = save(s);
	if (r < 0 && had)
		put(s, name, buf_span(&old));
	return r;
}

int store_remove(struct store *s, const char *name)
{
	struct entry *e = find(s, name);

	if (!e)
		return 0;
	entry_done(e);
	vec_remove(&s->entries, (size_t)(e - s->entries.v));
	return save(s);
}

void store_hold(struct store *s)
{
	s->held++;
}

int store_release(struct store *s)
{
	s->held--;
	return !s->held && s->dirty ? save(s) : 0;
}
