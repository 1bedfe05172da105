/* A node whose preferences are declared in a file (node/conffile.h) rather than set by hand. */
#include <errno.h>
#include <stdlib.h>

#include "base/err.h"
#include "base/file.h"
#include "base/log.h"
#include "node/node_priv.h"

enum { KEY_FILE_MAX = 4096 };

/* The key itself: read while the files of root can be read. */
static int read_key(const struct conffile *c, struct buf *ret, struct fault *f)
{
	struct span key = conffile_auth_key(c);
	AUTO_FREE char *path = NULL;
	int r;

	ret->secret = true;
	if (!span_starts(key, "file:")) {
		buf_add_span(ret, key);
		return 0;
	}
	path = span_dup(span_from(key, 5));
	r = file_read(path, KEY_FILE_MAX, ret);
	return r < 0 ? fault_set(f, r, 0, 0, "the key in %s: %s", path, err_text(r)) : 0;
}

static void forget_key(struct node *n)
{
	if (n->declared_key)
		explicit_bzero(n->declared_key, strlen(n->declared_key));
	free(TAKE(n->declared_key));
}

/* Takes the file. */
static void keep(struct node *n, struct conffile *c, const struct buf *key)
{
	forget_key(n);
	conffile_free(n->declared);
	n->declared = c;
	if (key->n)
		n->declared_key = span_dup(span_trim(buf_span(key)));
}

static int load(struct node *n, struct prefs **ret, struct fault *f)
{
	AUTO(conffile_free) struct conffile *c = NULL;
	AUTO_DONE(buf) struct buf key = { 0 };
	int r = conffile_load(n->cfg.config_path, &c, f);

	if (r == 0)
		r = read_key(c, &key, f);
	if (r == 0)
		r = conffile_apply(c, node_prefs(n), ret, f);
	if (r == 0)
		keep(n, TAKE(c), &key);
	return r;
}

int declared_open(struct node *n)
{
	struct fault f = { 0 };
	struct prefs *p = NULL;
	int r = n->cfg.config_path ? load(n, &p, &f) : 0;

	if (r == -ENOENT && n->cfg.config_optional) {
		log_info("there is no %s: going on without", n->cfg.config_path);
		return 0;
	}
	if (r < 0)
		log_error("%s: line %u: %s", n->cfg.config_path, f.line, f.message);
	return r < 0 || !p ? r : profiles_set_prefs(n->profiles, p, ev_wall(n->ev));
}

int declared_reload(struct node *n, struct fault *f)
{
	struct prefs *p = NULL;
	int r = load(n, &p, f);

	if (r == 0)
		r = node_set_prefs(n, p);
	if (r < 0 && !f->message[0])
		(void)fault_set(f, r, 0, 0, "%s", err_text(r));
	return r;
}

void declared_done(struct node *n)
{
	forget_key(n);
	conffile_free(TAKE(n->declared));
}

int declared_refuses(const struct node *n, struct fault *f)
{
	if (!n->declared || !conffile_locked(n->declared))
		return 0;
	return fault_set(f, ERR_DENIED, 0, 0,
	                 "can't reconfigure this node: its settings are those of %s, which is "
	                 "locked",
	                 n->cfg.config_path);
}
