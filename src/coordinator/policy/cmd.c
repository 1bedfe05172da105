/* `fairlead-coordinator policy`: what needs no running server. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/file.h"
#include "coordinator/policy/case.h"
#include "coordinator/policy/policy.h"

enum { CASES_MAX = 64 << 20 };

static int usage(void)
{
	(void)fprintf(stderr, "usage: policy check FILE\n"
	                      "       policy compile --case FILE\n"
	                      "FILE may be - for standard input.\n");
	return 1;
}

static int read_input(const char *path, size_t max, struct buf *to)
{
	int r = file_read(strcmp(path, "-") == 0 ? "/dev/stdin" : path, max, to);

	if (r < 0)
		(void)fprintf(stderr, "%s: %s\n", path, err_text(r));
	return r;
}

static void print_issues(const char *path, const struct policy_issues *issues)
{
	vec_each(const struct policy_issue *, i, &issues->list)
		(void)fprintf(stderr, "%s:%u:%u: %s: %s [%s]\n", path, i->line, i->column,
		              i->warning ? "warning" : "error", i->message,
		              policy_code_text(i->code));
	if (issues->cut)
		(void)fprintf(stderr, "%s: and more\n", path);
}

int policy_check_file(const char *path)
{
	AUTO_DONE(buf) struct buf text = { 0 };
	AUTO(policy_free) struct policy *p = NULL;
	struct policy_issues issues = { 0 };
	int r = read_input(path, POLICY_TEXT_MAX, &text);

	if (r >= 0)
		r = policy_parse(buf_span(&text), &p, &issues);
	print_issues(path, &issues);
	policy_issues_done(&issues);
	return r;
}

static int check(const char *path)
{
	if (policy_check_file(path) < 0)
		return 1;
	(void)printf("Policy is valid\n");
	return 0;
}

static int compile(const char *path)
{
	AUTO_DONE(buf) struct buf text = { 0 };
	AUTO_DONE(buf) struct buf out = { .max = 1 << 30 };
	struct fault fault = { 0 };

	if (read_input(path, CASES_MAX, &text) < 0)
		return 1;
	if (policy_cases_run(buf_span(&text), &out, &fault) < 0) {
		(void)fprintf(stderr, "%s:%u:%u: %s\n", path, fault.line, fault.column,
		              fault.message);
		return 1;
	}
	(void)fwrite(out.p, 1, out.n, stdout);
	return fflush(stdout) == 0 ? 0 : 1;
}

int policy_cmd_main(int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "check") == 0) {
		const char *path = argc == 4 && (strcmp(argv[2], "--file") == 0 ||
		                                 strcmp(argv[2], "-f") == 0)
		                           ? argv[3]
		                   : argc == 3 ? argv[2]
		                               : NULL;

		return path ? check(path) : usage();
	}
	if (argc == 4 && strcmp(argv[1], "compile") == 0 && strcmp(argv[2], "--case") == 0)
		return compile(argv[3]);
	return usage();
}
