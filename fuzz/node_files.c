/*
 * What the node reads from its disk, and preferences that programs send: the
 * first byte says which. The file of last time can be anything after a crash of the
 * machine; it is refused or understood, and what is understood is written back so
 * that it reads the same.
 */
#include <assert.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "host/journal.h"
#include "node/control_hosts.h"
#include "node/profile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct file {
	int fd;
	char *path;
};

/* In memory; nothing can be written beside it, so writes of ours fail. */
static struct file file_of(struct span bytes)
{
	struct file f = { .fd = memfd_create("input", MFD_CLOEXEC) };

	assert(f.fd >= 0);
	assert(write(f.fd, bytes.p, bytes.n) == (ssize_t)bytes.n);
	assert(fchmod(f.fd, 0600) == 0);
	f.path = str_fmt("/proc/self/fd/%d", f.fd);
	return f;
}

static void file_done(struct file *f)
{
	fd_close(f->fd);
	free(f->path);
}

static void state(struct span in)
{
	AUTO_DONE(file) struct file f = file_of(in);
	AUTO(store_free) struct store *store = NULL;
	AUTO(profiles_free) struct profiles *p = NULL;

	if (store_open(f.path, &store) < 0 || profiles_open(store, &p) < 0)
		return;
	(void)profiles_machine_key(p);
	for (size_t i = 0; i < profiles_n(p); i++)
		(void)!profiles_switch(p, profiles_at(p, i)->id);
}

static void preferences(struct span in)
{
	AUTO(prefs_free) struct prefs *p = NULL, *again = NULL;
	AUTO_DONE(buf) struct buf text = { 0 }, second = { 0 };
	struct fault why;

	if (prefs_parse(in, &p) < 0)
		return;
	(void)!prefs_check(p, &why);
	prefs_write(&text, p);
	assert(prefs_parse(buf_span(&text), &again) == 0);
	prefs_write(&second, again);
	assert(span_eq(buf_span(&text), buf_span(&second)));
}

static void edit(struct span in)
{
	AUTO(prefs_free) struct prefs *old = prefs_new(), *p = NULL;
	struct fault why = { 0 };

	if (prefs_edit(old, in, &p, &why) == 0)
		assert(prefs_check(p, &why) == 0);
}

static void small_files(struct span in)
{
	AUTO_DONE(file) struct file f = file_of(in);
	struct journal j;
	struct resolved at;

	(void)!journal_read(f.path, &j);
	if (control_hosts_find(f.path, "control.test", &at))
		assert(at.n > 0 && at.n <= RESOLVE_ADDRS_MAX);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static void (*const readers[])(struct span in) = { state, preferences, edit, small_files };

	log_set_level(LOG_SILENT);
	if (n)
		readers[data[0] % ARRAY_LEN(readers)](span(data + 1, n - 1));
	return 0;
}
