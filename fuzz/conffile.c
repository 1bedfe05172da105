#include "node/conffile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	AUTO(conffile_free) struct conffile *c = NULL;
	AUTO(prefs_free) struct prefs *old = prefs_new();
	AUTO(prefs_free) struct prefs *p = NULL;
	struct fault f;

	if (conffile_parse(span(data, n), &c, &f) == 0)
		(void)!conffile_apply(c, old, &p, &f);
	return 0;
}
