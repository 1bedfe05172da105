#include "coordinator/watches.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "coordinator/relaymap.h"
#include "coordinator/site_cert.h"
#include "platform/filewatch.h"

/* Writers that truncate and write, or write two files, are done by then. */
enum { SETTLE_US = 200 * 1000 };

struct watch {
	struct filewatch file;
	struct ev_timer settle;
	struct coord *co;
	const char *path;
	void (*reload)(struct coord *co);
};

struct watches {
	struct coord *co;
	VEC(struct watch *) list;
};

static void on_settled(struct ev_timer *t, mono now)
{
	struct watch *w = CONTAINER_OF(t, struct watch, settle);

	(void)now;
	log_info("%s was written: reading it again", w->path);
	w->reload(w->co);
}

static void on_changed(struct filewatch *f)
{
	struct watch *w = CONTAINER_OF(f, struct watch, file);

	ev_timer_after(w->co->ev, &w->settle, SETTLE_US);
}

static void add(struct watches *all, const char *path, void (*reload)(struct coord *co))
{
	struct watch *w;
	const char *slash = strrchr(path, '/');
	AUTO_FREE char *folder = slash ? str_fmt("%.*s/", (int)(slash - path), path) : str_dup(".");
	int r;

	if (!*path)
		return;
	w = mem_new(struct watch);
	w->co = all->co;
	w->path = path;
	w->reload = reload;
	w->settle.fn = on_settled;
	w->file.changed = on_changed;
	vec_push(&all->list, w);
	r = filewatch_start(all->co->ev, &w->file, folder, slash ? slash + 1 : path);
	if (r < 0)
		(void)log_ret(r, "cannot watch %s; SIGHUP reads it again", path);
}

static void reload_relays(struct coord *co)
{
	relaymap_reload(co->relaymap);
}

static void reload_certificate(struct coord *co)
{
	site_cert_reload(co->cert);
}

struct watches *watches_new(struct coord *co)
{
	struct watches *w = mem_new(struct watches);
	const struct config *cfg = co->cfg;

	w->co = co;
	if (strcmp(cfg->policy_mode, "file") == 0)
		add(w, cfg->policy_path, coord_reload_policy);
	add(w, cfg->extra_records_path, coord_reload_names);
	for (size_t i = 0; i < cfg->derp_paths.n; i++)
		add(w, cfg->derp_paths.v[i], reload_relays);
	add(w, cfg->tls_cert_path, reload_certificate);
	add(w, cfg->tls_key_path, reload_certificate);
	return w;
}

void watches_free(struct watches *w)
{
	if (!w)
		return;
	vec_each(struct watch **, one, &w->list) {
		ev_timer_stop(w->co->ev, &(*one)->settle);
		filewatch_stop(&(*one)->file);
		free(*one);
	}
	vec_done(&w->list);
	free(w);
}
