#include "node/profile.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "base/err.h"
#include "base/file.h"
#include "test/check.h"

static char dir[] = "/tmp/fairlead-profile-XXXXXX";

static char *path_of(const char *name)
{
	return str_fmt("%s/%s", dir, name);
}

static struct prefs *logged_in(const char *login)
{
	struct prefs *base = prefs_new(), *p;
	struct persist persist = { .user = { .id = 1, .login_name = span_str(login) },
		                   .node_id = SPAN_LIT("n1") };

	node_priv_new(&persist.node_key);
	base->persist = &persist;
	base->want_running = true;
	p = prefs_dup(base);
	base->persist = NULL;
	prefs_free(base);
	return p;
}

static void values_survive_and_the_file_is_private(void)
{
	AUTO_FREE char *path = path_of("state");
	AUTO(store_free) struct store *s = NULL;
	AUTO_DONE(buf) struct buf text = { 0 };
	struct stat st;

	CHECK_OK(store_open(path, &s));
	CHECK_OK(store_set(s, "b", SPAN_LIT("2")));
	CHECK_OK(store_set(s, "a", SPAN_LIT("one")));
	store_free(TAKE(s));
	CHECK_EQ(stat(path, &st), 0);
	CHECK_EQ(st.st_mode & 0777, 0600);
	CHECK_OK(file_read(path, 4096, &text));
	CHECK_STR(buf_text(&text), "{\n  \"a\": \"b25l\",\n  \"b\": \"Mg==\"\n}");
	CHECK_OK(store_open(path, &s));
	CHECK(span_is(store_get(s, "a"), "one"));
	CHECK(store_get(s, "c").p == NULL);
	CHECK_OK(store_remove(s, "a"));
	CHECK(store_get(s, "a").p == NULL);
}

static void a_file_that_others_may_read_is_refused(void)
{
	AUTO_FREE char *path = path_of("wide");
	struct store *s = NULL;

	CHECK_OK(file_write_atomic(path, SPAN_LIT("{}"), 0644));
	CHECK_EQ(store_open(path, &s), -EPERM);
	CHECK_OK(file_write_atomic(path, SPAN_LIT("nonsense"), 0600));
	CHECK_EQ(store_open(path, &s), ERR_MALFORMED);
}

static void the_machine_key_is_made_once(void)
{
	AUTO_FREE char *path = path_of("machine");
	struct machine_priv first = { { 0 } };

	for (int i = 0; i < 2; i++) {
		AUTO(store_free) struct store *s = NULL;
		AUTO(profiles_free) struct profiles *p = NULL;

		CHECK_OK(store_open(path, &s));
		CHECK_OK(profiles_open(s, &p));
		if (i == 0)
			first = *profiles_machine_key(p);
		CHECK_MEM(profiles_machine_key(p)->b, first.b, 32);
		CHECK(profiles_prefs(p)->logged_out);
		CHECK_EQ(profiles_n(p), 0);
	}
}

static void a_login_is_saved_and_found_again(void)
{
	AUTO_FREE char *path = path_of("login");
	AUTO(store_free) struct store *s = NULL;
	AUTO(profiles_free) struct profiles *p = NULL;

	CHECK_OK(store_open(path, &s));
	CHECK_OK(profiles_open(s, &p));
	CHECK_OK(profiles_set_prefs(p, logged_in("x@y"), (wall){ 5000000 }));
	CHECK_EQ(profiles_current(p)->id.n, 4);
	CHECK(span_is(profiles_current(p)->name, "x@y"));
	profiles_free(TAKE(p));
	store_free(TAKE(s));
	CHECK_OK(store_open(path, &s));
	CHECK_OK(profiles_open(s, &p));
	CHECK(profiles_prefs(p)->want_running);
	CHECK(!node_priv_is_zero(&profiles_prefs(p)->persist->node_key));
	CHECK_EQ(profiles_n(p), 1);
}

static void profiles_are_switched_and_removed(void)
{
	AUTO(store_free) struct store *s = NULL;
	AUTO(profiles_free) struct profiles *p = NULL;
	char first[PROFILE_ID_MAX];

	CHECK_OK(store_open(NULL, &s));
	CHECK_OK(profiles_open(s, &p));
	CHECK_OK(profiles_set_prefs(p, logged_in("one"), (wall){ 1 }));
	(void)snprintf(first, sizeof(first), "%.*s", SPAN_FMT(profiles_current(p)->id));
	profiles_new(p);
	CHECK(profiles_prefs(p)->persist == NULL);
	CHECK_OK(profiles_set_prefs(p, logged_in("two"), (wall){ 1 }));
	CHECK_EQ(profiles_n(p), 2);
	CHECK_OK(profiles_switch(p, span_str(first)));
	CHECK(span_is(profiles_current(p)->name, "one"));
	CHECK_EQ(profiles_switch(p, SPAN_LIT("zzzz")), ERR_UNKNOWN);
	CHECK_OK(profiles_remove(p, span_str(first)));
	CHECK_EQ(profiles_current(p)->id.n, 0);
	CHECK(profiles_prefs(p)->logged_out);
	CHECK_EQ(profiles_n(p), 1);
	CHECK_OK(profiles_remove_all(p));
	CHECK_EQ(profiles_n(p), 0);
}

static void a_profile_name_belongs_to_one(void)
{
	AUTO(store_free) struct store *s = NULL;
	AUTO(profiles_free) struct profiles *p = NULL;
	struct prefs *two;

	CHECK_OK(store_open(NULL, &s));
	CHECK_OK(profiles_open(s, &p));
	CHECK_OK(profiles_set_prefs(p, logged_in("one"), (wall){ 1 }));
	profiles_new(p);
	two = logged_in("two");
	two->profile_name = SPAN_LIT("one");
	CHECK_EQ(profiles_set_prefs(p, two, (wall){ 1 }), ERR_EXISTS);
}

int main(void)
{
	if (!mkdtemp(dir))
		return 1;
	RUN(values_survive_and_the_file_is_private);
	RUN(a_file_that_others_may_read_is_refused);
	RUN(the_machine_key_is_made_once);
	RUN(a_login_is_saved_and_found_again);
	RUN(profiles_are_switched_and_removed);
	RUN(a_profile_name_belongs_to_one);

	AUTO_FREE char *clean = str_fmt("rm -r %s", dir);
	return system(clean) ? 1 : check_done();
}
