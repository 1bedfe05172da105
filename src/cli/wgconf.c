#include "cli/wgconf.h"

#include "base/err.h"
#include "base/file.h"
#include "cli/wgresolve.h"

int wgconf_read(const struct cli *cli, const char *path, enum wg_conf_kind kind,
                struct wg_conf *ret)
{
	AUTO_DONE(buf) struct buf text = { .secret = true };
	struct fault f = { 0 };
	int r = file_read(path, WG_CONF_MAX, &text);

	if (r < 0) {
		(void)cmd_fail(cli, "%s: %s", path, err_text(r));
		return r;
	}
	r = wg_conf_parse(buf_span(&text), kind, ret, &f);
	vec_each(const struct fault *, w, &ret->warnings)
		cmd_note(cli, "%s:%u: warning: %s", path, w->line, w->message);
	if (r < 0)
		cmd_note(cli, "%s:%u: %s", path, f.line, f.message);
	return r;
}

int wgconf_load(const struct cli *cli, const char *path, enum wg_conf_kind kind,
                struct wg_conf *ret)
{
	int r = wgconf_read(cli, path, kind, ret);

	return r < 0 ? r : wg_resolve_conf(cli, path, ret);
}
