#include "node/control_hosts.h"

#include "base/buf.h"
#include "base/file.h"

enum { FILE_MAX = 4096 };

int control_hosts_save(const char *path, const char *host, const struct resolved *at)
{
	AUTO_DONE(buf) struct buf text = { 0 };
	char ip[IP_TEXT_MAX];

	buf_add_str(&text, host);
	for (size_t i = 0; i < at->n; i++)
		buf_fmt(&text, " %s", ip_text(&at->ip[i], ip));
	buf_add_str(&text, "\n");
	return file_write_atomic(path, buf_span(&text), 0600);
}

bool control_hosts_find(const char *path, const char *host, struct resolved *ret)
{
	AUTO_DONE(buf) struct buf text = { 0 };
	struct span rest, word;

	*ret = (struct resolved){ 0 };
	if (file_read(path, FILE_MAX, &text) < 0)
		return false;
	rest = span_trim(buf_span(&text));
	if (!span_word(&rest, &word) || !span_is(word, host))
		return false;
	while (ret->n < RESOLVE_ADDRS_MAX && span_word(&rest, &word))
		if (ip_parse(word, &ret->ip[ret->n]) == 0)
			ret->n++;
	return ret->n > 0;
}
