/*
 * The policy: checked against the running server, or by itself without one, or
 * kept in the database of a server that does not run.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "base/json.h"
#include "coordinator/cmd_priv.h"
#include "coordinator/coord.h"
#include "coordinator/policy/policy.h"
#include "coordinator/store.h"
#include "coordinator/tailnet_policy.h"

static int fail(const char *what)
{
	fprintf(stderr, "Error: %s\n", what);
	return EXIT_FAILURE;
}

/* ---- by the server ---- */

static int ask_server(const struct config *cfg, const char *path)
{
	static const struct cmd_flag none[] = { { 0 } };
	static const struct cmd check = {
		.group = "policy",
		.name = "check",
		.op = "policy.check",
		.flags = none,
		.shape = SHAPE_ALWAYS_DONE,
		.done = "Policy is valid",
	};
	struct cmd_global global = { 0 };
	AUTO_DONE(buf) struct buf text = { .max = POLICY_TEXT_MAX };
	AUTO_DONE(buf) struct buf args = { 0 };
	struct js_wr w = js_wr_of(&args);

	if (file_read(path, POLICY_TEXT_MAX, &text) < 0)
		return fail("reading policy file");
	js_wr_open(&w, JS_OBJECT);
	js_wr_kv_span(&w, "policy", buf_span(&text));
	js_wr_close(&w, JS_OBJECT);
	return cmd_ask(cfg, &check, &global, buf_span(&args));
}

/* "policy check FILE" and "policy compile ..." need no server; "policy check -f FILE" asks it. */
int cmd_policy(struct config *cfg, int argc, char **argv)
{
	(void)cfg;
	return policy_cmd_main(argc + 2, argv - 2);
}

int cmd_policy_live(const char *config, const char *path)
{
	struct config cfg;
	int status = EXIT_FAILURE;

	config_init(&cfg);
	if (cmd_load_config(config, &cfg) >= 0)
		status = ask_server(&cfg, path);
	config_done(&cfg);
	return status;
}

/* ---- in the database ---- */

static const char *const bypass[] = { "--bypass-grpc-and-access-database-directly",
	                              "--bypass-server-and-access-database-directly" };

bool cmd_policy_wants_database(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		for (size_t k = 0; k < ARRAY_LEN(bypass); k++)
			if (strcmp(argv[i], bypass[k]) == 0)
				return true;
	return false;
}

static int print_policy(struct store *s)
{
	char *text = NULL;
	wall at;

	if (s->ops->get_policy(s, &text, &at) < 0)
		return fail("loading policy from database");
	if (!text)
		return fail("loading policy from database: no policy is stored");
	printf("%s\n", text);
	free(text);
	return EXIT_SUCCESS;
}

/* With the users and nodes there are; the tests in the policy run. */
static int try_policy(struct state *st, const struct config *cfg, struct span text)
{
	struct tailnet_policy *t = tailnet_policy_new(cfg->server_url);
	struct policy_issues issues = { 0 };
	struct fault why = { 0 };
	int r;

	tailnet_policy_attach(t, st);
	r = tailnet_policy_check(t, text, &issues);
	if (r < 0)
		tailnet_policy_explain(&issues, &why);
	policy_issues_done(&issues);
	tailnet_policy_free(t);
	return r < 0 ? fail(why.message) : EXIT_SUCCESS;
}

static int change_policy(struct state *st, const struct config *cfg, const char *verb,
                         const char *path)
{
	AUTO_DONE(buf) struct buf text = { .max = POLICY_TEXT_MAX };
	int status;

	if (!path)
		return fail("required flag(s) \"file\" not set");
	if (file_read(path, POLICY_TEXT_MAX, &text) < 0)
		return fail("reading policy file");
	status = try_policy(st, cfg, buf_span(&text));
	if (status == EXIT_SUCCESS && strcmp(verb, "check") == 0)
		printf("Policy is valid\n");
	else if (status == EXIT_SUCCESS &&
	         state_policy_save(st, buf_span(&text), wall_now(), "database") < 0)
		return fail("setting ACL policy");
	else if (status == EXIT_SUCCESS)
		printf("Policy updated.\n");
	return status;
}

static int in_database(const struct config *cfg, const char *verb, int argc, char **argv)
{
	struct rand_src rand;
	struct state_cfg scfg = { .v4 = cfg->v4, .v6 = cfg->v6 };
	struct state_env env = { .rand = &rand };
	AUTO(fd_close) int lock = -1;
	struct store *store = NULL;
	struct state *st = NULL;
	int status;

	rand_system(&rand);
	/* Only where no server would be left behind with another policy. */
	if (coord_lock(cfg->db_path, &lock) < 0 || store_sqlite_open(cfg->db_path, &store) < 0)
		return fail("opening database");
	if (state_new(&scfg, &env, store, &st) < 0) {
		store_close(store);
		return fail("opening database");
	}
	status = strcmp(verb, "get") == 0
	                 ? print_policy(store)
	                 : change_policy(st, cfg, verb, cmd_flag_value(argc, argv, 'f', "file"));
	state_free(st);
	return status;
}

int cmd_policy_in_database(const char *config, const char *verb, int argc, char **argv)
{
	struct config cfg;
	int status = EXIT_FAILURE;

	config_init(&cfg);
	if (cmd_load_config(config, &cfg) >= 0)
		status = in_database(&cfg, verb, argc, argv);
	config_done(&cfg);
	return status;
}
