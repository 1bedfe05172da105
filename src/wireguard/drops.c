#include "wireguard/drops.h"

#include <assert.h>

#define X_WORD(name, word, text) word,
#define X_TEXT(name, word, text) text,

const char *wg_drop_name(enum wg_drop d)
{
	static const char *const words[] = { WG_DROP_LIST(X_WORD) };

	assert(d < WG_DROP_MAX);
	return words[d];
}

const char *wg_drop_text(enum wg_drop d)
{
	static const char *const texts[] = { WG_DROP_LIST(X_TEXT) };

	assert(d < WG_DROP_MAX);
	return texts[d];
}
