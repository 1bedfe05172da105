#include "platform/nft.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "platform/proc.h"

bool nft_have(void)
{
	return proc_find("nft", NULL);
}

int nft_apply(struct span text, struct buf *ret_said)
{
	static const char *const argv[] = { "nft", "-f", "-", NULL };
	AUTO_DONE(buf) struct buf said = { 0 };

	return proc_ok(&(struct proc_cmd){ .argv = argv, .input = text, .flags = PROC_WITH_ERR },
	               ret_said ? ret_said : &said);
}

int nft_remove(const char *table)
{
	/* Adding first makes the removal succeed in any case. */
	AUTO_FREE char *text = str_fmt("add table %s\ndelete table %s\n", table, table);

	return nft_apply(span_str(text), NULL);
}

bool nft_has(const char *table)
{
	static const char *const argv[] = { "nft", "list", "tables", NULL };
	AUTO_FREE char *want = str_fmt("table %s", table);
	AUTO_DONE(buf) struct buf out = { 0 };
	struct span line, rest;

	if (proc_ok(&(struct proc_cmd){ .argv = argv }, &out) < 0)
		return false;
	rest = buf_span(&out);
	while (span_cut(&rest, '\n', &line))
		if (span_is(line, want))
			return true;
	return false;
}

bool nft_list(const char *table, struct buf *ret)
{
	char family[8];
	const char *name = strchr(table, ' ');
	const char *const argv[] = { "nft", "-a", "list", "table", family, name + 1, NULL };

	(void)snprintf(family, sizeof(family), "%.*s", (int)(name - table), table);
	return proc_ok(&(struct proc_cmd){ .argv = argv }, ret) == 0;
}
