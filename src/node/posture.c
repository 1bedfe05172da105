#include "node/posture.h"

#include "base/file.h"
#include "platform/rtnl.h"

enum { TEXT_MAX = 256 };

/* The first line of a small file; false: none, or none that says anything. */
static bool read_line(const char *path, struct buf *ret)
{
	struct span text;

	if (file_read(path, TEXT_MAX, ret) < 0)
		return false;
	text = span_trim(buf_span(ret));
	return text.n && !span_eq_nocase(text, SPAN_LIT("none")) &&
	       !span_eq_nocase(text, SPAN_LIT("to be filled by o.e.m."));
}

/* Of the product, the board and the chassis; only root may read them. */
void posture_write_serials(struct js_wr *w)
{
	static const char *const names[] = { "product_serial", "board_serial", "chassis_serial" };

	js_wr_open(w, JS_ARRAY);
	for (size_t i = 0; i < ARRAY_LEN(names); i++) {
		AUTO_FREE char *path = str_fmt("/sys/class/dmi/id/%s", names[i]);
		AUTO_DONE(buf) struct buf text = { 0 };

		if (read_line(path, &text))
			js_wr_span(w, span_trim(buf_span(&text)));
	}
	js_wr_close(w, JS_ARRAY);
}

static int put_link(void *arg, const struct rtnl_link *l)
{
	AUTO_FREE char *path = str_fmt("/sys/class/net/%s/address", l->name);
	AUTO_DONE(buf) struct buf text = { 0 };

	if (!(l->flags & IFF_LOOPBACK) && read_line(path, &text))
		js_wr_span(arg, span_trim(buf_span(&text)));
	return 0;
}

void posture_write_hwaddrs(struct js_wr *w)
{
	AUTO(rtnl_free) struct rtnl *nl = NULL;

	js_wr_open(w, JS_ARRAY);
	if (rtnl_open(&nl) == 0)
		(void)!rtnl_link_each(nl, put_link, w);
	js_wr_close(w, JS_ARRAY);
}
