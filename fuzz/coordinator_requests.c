/* What nodes and administrators send: register, map, admission, Hostinfo, attributes,
 * configuration, relay maps. */
#include <stdlib.h>

#include "base/err.h"
#include "coordinator/attributes.h"
#include "coordinator/config.h"
#include "coordinator/derpmap.h"
#include "coordinator/hostinfo.h"
#include "coordinator/names.h"
#include "coordinator/requests.h"
#include "coordinator/secret.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void requests(struct span in)
{
	struct arena a = { 0 };
	struct register_request reg;
	struct map_request map;
	struct node_pub key;
	struct secret_parts parts;
	char name[NAME_MAX_LEN + 1];

	(void)!register_request_read(&a, in, &reg);
	(void)!map_request_read(&a, in, &map);
	(void)!admit_request_read(&a, in, &key);
	(void)!secret_parse(SECRET_AUTH_KEY, in, &parts);
	(void)!secret_parse(SECRET_API_KEY, in, &parts);
	name_sanitise(in, name);
	arena_done(&a);
}

static void hostinfo(struct span in)
{
	struct node *n = node_record_new();
	struct buf out = { 0 };

	if (hostinfo_apply(n, in) >= 0)
		hostinfo_for_peers(n, &out);
	buf_done(&out);
	node_unref(n);
}

static void files(struct span in)
{
	struct config c;
	struct derpmap d = { 0 };
	struct fault why;

	config_init(&c);
	if (config_parse(&c, in, &why) >= 0)
		(void)!config_finish(&c, "/x", &why);
	config_done(&c);
	(void)!derpmap_add_yaml(&d, in, &why);
	(void)!derpmap_add_json(&d, in, &why);
	derpmap_done(&d);
}

/* An update from outside, and the text that it makes. */
static void attributes(struct span in)
{
	struct arena a = { 0 };
	struct attr got[ATTRS_MAX];
	struct js *update = NULL;
	char *text = NULL;

	if (js_parse(&a, in, false, &update, NULL) >= 0 &&
	    attrs_update(NULL, update, (wall){ 5 }, (wall){ 1 }, &text, NULL) >= 0) {
		(void)attrs_read(&a, text, got);
		(void)attrs_until(text);
	}
	free(text);
	arena_done(&a);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span in = span(data, n);

	requests(in);
	attributes(in);
	hostinfo(in);
	files(in);
	return 0;
}
