#include "host/journal.h"

#include <errno.h>
#include <unistd.h>

#include "base/file.h"

enum { JOURNAL_MAX = 4096 };

static void read_line(struct journal *j, struct span line)
{
	struct span word, value;
	uint64_t v;

	if (!span_word(&line, &word))
		return;
	if (span_is(word, "rules"))
		j->rules = true;
	else if (span_is(word, "routes"))
		j->routes = true;
	else if (span_is(word, "nft"))
		j->nft = true;
	else if (span_is(word, "guard"))
		j->guard = true;
	else if (span_is(word, "src_valid_mark") && span_word(&line, &value) &&
	         span_u64(value, 1, &v) == 0)
		j->mark_rule_old = (int)v;
}

int journal_read(const char *path, struct journal *ret)
{
	AUTO_DONE(buf) struct buf text = { 0 };
	struct span line, rest;
	int r = file_read(path, JOURNAL_MAX, &text);

	if (r < 0)
		return r;
	*ret = JOURNAL_EMPTY;
	rest = buf_span(&text);
	while (span_cut(&rest, '\n', &line))
		read_line(ret, line);
	return 0;
}

int journal_write(const char *path, const struct journal *j)
{
	AUTO_DONE(buf) struct buf text = { 0 };

	if (j->rules)
		buf_add_str(&text, "rules\n");
	if (j->routes)
		buf_add_str(&text, "routes\n");
	if (j->nft)
		buf_add_str(&text, "nft\n");
	if (j->guard)
		buf_add_str(&text, "guard\n");
	if (j->mark_rule_old >= 0)
		buf_fmt(&text, "src_valid_mark %d\n", j->mark_rule_old);
	return file_write_atomic(path, buf_span(&text), 0600);
}

int journal_remove(const char *path)
{
	return unlink(path) < 0 && errno != ENOENT ? -errno : 0;
}
