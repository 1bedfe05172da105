/* What nodes and administrators send: register, map, admission, Hostinfo, configuration, relay
 * maps. */
#include "base/err.h"
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
	struct node *n = node_new();
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

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span in = span(data, n);

	requests(in);
	hostinfo(in);
	files(in);
	return 0;
}
