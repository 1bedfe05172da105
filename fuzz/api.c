/* Requests to the REST API: a line "METHOD TARGET", the rest is the body. As a key's owner and as
 * nobody. */
#include <stdlib.h>

#include "base/err.h"
#include "coordinator/api.h"
#include "coordinator/store_sqlite.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static int set_policy(void *arg, struct span text, const char *actor, struct fault *reterr)
{
	(void)arg;
	(void)text;
	(void)actor;
	return fault_set(reterr, ERR_MALFORMED, 0, 0, "not here");
}

static int register_login(void *arg, struct span auth_id, uint64_t user, const char *actor,
                          const struct node **ret, struct fault *reterr)
{
	(void)arg;
	(void)auth_id;
	(void)user;
	(void)actor;
	(void)ret;
	return fault_set(reterr, ERR_UNKNOWN, 0, 0, "not here");
}

static int approve_login(void *arg, struct span auth_id, const char *actor, struct fault *reterr)
{
	return register_login(arg, auth_id, 0, actor, NULL, reterr);
}

static int reject_login(void *arg, struct span auth_id, const char *actor)
{
	return approve_login(arg, auth_id, actor, NULL);
}

static int plant_login(void *arg, struct span auth_id, struct span name, const struct js *routes,
                       struct node **ret)
{
	(void)arg;
	(void)auth_id;
	(void)name;
	(void)routes;
	(void)ret;
	return ERR_MALFORMED;
}

/* Users are there, nodes are not: what makes nodes is fuzzed by coordinator_requests. */
static void call(const struct api_env *env, struct span in, bool local)
{
	struct span line = { 0 }, method = { 0 }, path = { 0 };
	struct api_answer answer = { 0 };
	struct api_request req = { .local = local, .now = { 1800000000000000 } };

	(void)span_cut(&in, '\n', &line);
	(void)span_cut(&line, ' ', &method);
	(void)span_cut(&line, '?', &path);
	req.method = method;
	req.path = path;
	req.query = line;
	req.body = in;
	api_call(env, &req, &answer);
	if (!answer.status && !local)
		abort(); /* a node would be asked for nobody */
	api_answer_done(&answer);
}

/* Made once: a database for each input would be most of the work. */
static const struct api_env *world(void)
{
	static struct rand_src rand;
	static struct api_env env = { .set_policy = set_policy,
		                      .register_login = register_login,
		                      .approve_login = approve_login,
		                      .reject_login = reject_login,
		                      .plant_login = plant_login };
	struct state_cfg cfg = { 0 };
	struct state_env state_env = { .rand = &rand };
	struct user_spec spec = { .name = SPAN_LIT("anna") };
	struct store *store = NULL;
	const struct user *user;

	if (env.st)
		return &env;
	rand_seeded(&rand, 1);
	if (store_sqlite_open(":memory:", &store) < 0 ||
	    state_new(&cfg, &state_env, store, &env.st) < 0 ||
	    state_user_create(env.st, &spec, (wall){ 1 }, "fuzz", &user, NULL) < 0)
		abort();
	env.policy = tailnet_policy_new("https://x");
	tailnet_policy_attach(env.policy, env.st);
	return &env;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	call(world(), span(data, n), true);
	call(world(), span(data, n), false);
	return 0;
}
