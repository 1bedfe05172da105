#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "cli/wg.h"
#include "cli/wgdev.h"
#include "wireguard/conf.h"

#define AUTO_INFO __attribute__((cleanup(wg_info_done))) struct wg_info
#define AUTO_NAMES __attribute__((cleanup(wgdev_names_done))) struct wgdev_names

static void put(const struct cli *cli, const struct buf *out)
{
	(void)fwrite(out->p, 1, out->n, cli->out);
}

static struct wg_show how_of(const struct cli *cli, const char *name)
{
	const char *mode = getenv("WG_COLOR_MODE"), *hide = getenv("WG_HIDE_KEYS");

	return (struct wg_show){
		.name = name,
		.now = wall_now(),
		.color = mode && strcmp(mode, "always") == 0  ? true
		         : mode && strcmp(mode, "never") == 0 ? false
		                                              : cli->color,
		.show_keys = hide && strcmp(hide, "never") == 0,
	};
}

static int show_drops(struct buf *out, const struct wg_show *how)
{
	uint64_t counts[WG_DROP_MAX];
	int r = wgdev_drops(how->name, counts);

	for (int d = 0; r == 0 && d < WG_DROP_MAX; d++)
		buf_fmt(out, "%s%s%s\t%llu\t%s\n", how->with_name ? how->name : "",
		        how->with_name ? "\t" : "", wg_drop_name((enum wg_drop)d),
		        (unsigned long long)counts[d], wg_drop_text((enum wg_drop)d));
	return r;
}

/* field NULL: for people. ERR_UNKNOWN: no such field */
static int show_one(struct cli *cli, const struct wg_show *how, const char *field)
{
	AUTO_DONE(buf) struct buf out = { .secret = true };
	AUTO_INFO info = { 0 };
	int r;

	if (field && strcmp(field, "drops") == 0) {
		r = show_drops(&out, how);
	} else {
		r = wgdev_get(how->name, &info);
		if (r == 0 && field)
			r = wg_show_field(&out, &info, field, how);
		else if (r == 0)
			wg_show_pretty(&out, &info, how);
	}
	if (r == 0)
		put(cli, &out);
	return r;
}

static int show_all(struct cli *cli, const char *field)
{
	AUTO_NAMES names = { 0 };
	int r = wgdev_list(&names);

	if (r < 0)
		return cmd_fail(cli, "Unable to list interfaces: %s", err_text(r));

	int status = names.n != 0;

	for (size_t i = 0; i < names.n; i++) {
		struct wg_show how = how_of(cli, names.v[i]);

		how.with_name = field != NULL;
		r = show_one(cli, &how, field);
		if (r == ERR_UNKNOWN)
			return cmd_misuse(cli, "unknown field \"%s\"", field);
		if (r < 0) {
			cmd_note(cli, "Unable to access interface %s: %s", names.v[i], err_text(r));
			continue;
		}
		if (!field && i + 1 < names.n)
			(void)fputc('\n', cli->out);
		status = 0;
	}
	return status;
}

static int show_names(struct cli *cli)
{
	AUTO_NAMES names = { 0 };
	int r = wgdev_list(&names);

	if (r < 0)
		return cmd_fail(cli, "Unable to list interfaces: %s", err_text(r));
	for (size_t i = 0; i < names.n; i++)
		(void)fprintf(cli->out, "%s%c", names.v[i], i + 1 < names.n ? ' ' : '\n');
	return 0;
}

static int no_access(const struct cli *cli, int r)
{
	cmd_note(cli, "Unable to access interface: %s", err_text(r));
	return 1;
}

int wg_run_show(struct cli *cli, const void *opts, int argc, char **argv)
{
	const char *field = argc > 1 ? argv[1] : NULL;

	(void)opts;
	if (argc == 0 || strcmp(argv[0], "all") == 0)
		return show_all(cli, field);
	if (strcmp(argv[0], "interfaces") == 0)
		return field ? cmd_misuse(cli, "interfaces has no fields") : show_names(cli);

	struct wg_show how = how_of(cli, argv[0]);
	int r = show_one(cli, &how, field);

	if (r == ERR_UNKNOWN)
		return cmd_misuse(cli, "unknown field \"%s\"", field);
	return r < 0 ? no_access(cli, r) : 0;
}

int wg_run_default(struct cli *cli, const void *opts, int argc, char **argv)
{
	return wg_run_show(cli, opts, argc, argv);
}

int wg_run_showconf(struct cli *cli, const void *opts, int argc, char **argv)
{
	AUTO_DONE(buf) struct buf out = { .secret = true };
	AUTO_INFO info = { 0 };
	int r = wgdev_get(argv[0], &info);

	(void)opts;
	(void)argc;
	if (r < 0)
		return no_access(cli, r);
	wg_conf_print(&out, &info);
	put(cli, &out);
	return 0;
}
