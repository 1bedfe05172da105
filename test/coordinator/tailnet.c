#include "test/coordinator/tailnet.h"

#include <stdio.h>
#include <string.h>

#include "test/check.h"

static void count_change(void *arg, const struct change *c)
{
	struct tailnet *t = arg;

	t->changes++;
	if (t->listener)
		t->listener(t->listener_arg, c);
}

void tailnet_listen(struct tailnet *t, void (*fn)(void *arg, const struct change *c), void *arg)
{
	t->listener = fn;
	t->listener_arg = arg;
}

static bool tag_known(void *arg, const char *tag)
{
	(void)arg;
	return strcmp(tag, "tag:unknown") != 0;
}

static bool may_tag(void *arg, const struct user *u, const struct texts *tags, const char *tag)
{
	(void)arg;
	(void)tags;
	return u && strcmp(u->name, "ann") == 0 && strcmp(tag, "tag:web") == 0;
}

static bool auto_approves(void *arg, const struct node *n, const struct prefix *route)
{
	struct prefix auto_range = { .ip = ip4(10, 99, 0, 0), .bits = 16 };

	(void)arg;
	(void)n;
	return prefix_covers(&auto_range, route);
}

static uint64_t make_user(struct tailnet *t, const char *name)
{
	const struct user *u = state_user_by_name(t->st, span_str(name));
	struct user_spec spec = { .name = span_str(name) };

	if (!u)
		CHECK_OK(state_user_create(t->st, &spec, t->now, "test", &u, NULL));
	return u->id;
}

void tailnet_open(struct tailnet *t, const char *path)
{
	struct state_cfg cfg = { .order = IPAM_SEQUENTIAL, .device_approval = true };
	struct state_env env = {
		.rand = &t->rand,
		.changed = count_change,
		.may_tag = may_tag,
		.tag_known = tag_known,
		.auto_approves = auto_approves,
		.arg = t,
	};
	struct store *store = NULL;

	memset(t, 0, sizeof(*t));
	rand_seeded(&t->rand, 7);
	t->now = (wall){ 1800000000 * US_PER_S };
	CHECK_OK(prefix_parse(SPAN_LIT("100.64.0.0/10"), &cfg.v4));
	CHECK_OK(prefix_parse(SPAN_LIT("fd7a:115c:a1e0::/48"), &cfg.v6));
	CHECK_OK(store_sqlite_open(path ? path : ":memory:", &store));
	CHECK_OK(state_new(&cfg, &env, store, &t->st));
	state_settle(t->st);
	t->ann = make_user(t, "ann");
	t->bob = make_user(t, "bob");
}

void tailnet_close(struct tailnet *t)
{
	state_free(t->st);
}

struct node_claim tailnet_claim(unsigned n, char hostinfo[static 128])
{
	struct node_claim c = { .capver = 131 };

	(void)snprintf(hostinfo, 128, "{\"Hostname\":\"host-%u\",\"OS\":\"linux\"}", n);
	c.hostinfo = span_str(hostinfo);
	memcpy(c.machine.b, &n, sizeof(n));
	memcpy(c.key.b, &n, sizeof(n));
	c.machine.b[31] = 1;
	c.key.b[31] = 2;
	return c;
}

char *tailnet_key(struct tailnet *t, uint64_t user, bool reusable, bool ephemeral, const char *tags)
{
	struct auth_key_spec spec = { .user_id = user,
		                      .reusable = reusable,
		                      .ephemeral = ephemeral };
	struct texts list = { 0 };
	struct secret secret;
	const struct auth_key *k = NULL;

	texts_split(&list, span_str(tags ? tags : ""));
	spec.tags = &list;
	CHECK_OK(state_auth_key_create(t->st, &spec, t->now, "test", &secret, &k, NULL));
	texts_done(&list);
	return str_dup(secret.text);
}

const struct node *tailnet_join(struct tailnet *t, unsigned n, const char *key)
{
	char hostinfo[128];
	struct node_claim c = tailnet_claim(n, hostinfo);
	const struct node *node = NULL;

	if (state_register_with_key(t->st, &c, span_str(key), t->now, &node, NULL) < 0)
		return NULL;
	return node;
}
