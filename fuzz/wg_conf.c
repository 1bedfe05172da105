/* Configuration files: the first byte picks the kind. */
#include "wireguard/conf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	if (n == 0)
		return 0;

	struct wg_conf c = { 0 };
	struct fault f;
	struct wg_info none = { 0 };
	AUTO_DONE(buf) struct buf out = { 0 };
	enum wg_conf_kind kind = (enum wg_conf_kind)(data[0] % 3);

	if (wg_conf_parse(span(data + 1, n - 1), kind, &c, &f) == 0) {
		wg_quick_print(&out, &c.quick);
		wg_conf_sync(&c.change, &none);
	}
	wg_conf_done(&c);
	return 0;
}
