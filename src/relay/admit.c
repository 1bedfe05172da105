#include "relay/admit.h"

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "base/mem.h"
#include "platform/http_client.h"

/* A key on the list, or one the verifier has judged. */
struct known {
	struct map_node node;
	struct link age; /* of the cache, oldest first */
	struct node_pub key;
	bool allow;
	mono until; /* the answer holds so long; it is remembered after that */
};

struct question {
	struct admit *admit;
	struct link link; /* admit.open or admit.waiting */
	struct relay_ask *ask;
	struct fetch *fetch;
	char *body;
};

struct admit {
	struct admit_cfg cfg;
	struct http_client http;
	struct admit_counts counts;
	bool has_list;
	struct map list, cache;
	struct link ages;
	struct link open, waiting;
	size_t n_open, n_waiting;
	bool away; /* the last question found nobody */
	struct log_limit log;
};

/* --- keys --- */

static struct known *find(const struct map *m, const struct node_pub *key)
{
	uint64_t hash = map_hash(m, key->b, KEY_LEN);

	for (struct map_node *n = map_find(m, hash); n; n = map_again(n)) {
		struct known *k = CONTAINER_OF(n, struct known, node);

		if (node_pub_eq(&k->key, key))
			return k;
	}
	return NULL;
}

static struct known *add(struct map *m, const struct node_pub *key)
{
	struct known *k = mem_new(struct known);

	k->key = *key;
	map_insert(m, &k->node, map_hash(m, key->b, KEY_LEN));
	return k;
}

static void drop(struct map *m, struct known *k)
{
	list_remove(&k->age);
	map_remove(m, &k->node);
	free(k);
}

static void clear(struct map *m)
{
	struct map_node *n;

	while ((n = map_first(m)))
		drop(m, CONTAINER_OF(n, struct known, node));
	map_done(m);
}

/* --- the list --- */

static int read_line(struct map *m, struct span line)
{
	struct node_pub key;
	struct span word;

	line = span_first(line, span_find(line, '#'));
	line = span_trim(line);
	if (!span_word(&line, &word))
		return 0;

	int r = node_pub_parse(word, &key);

	if (r == 0 && !find(m, &key))
		(void)add(m, &key);
	return r;
}

static int read_list(const char *path, struct map *ret, struct fault *reterr)
{
	AUTO_DONE(buf) struct buf text = { 0 };
	int r = file_read(path, ADMIT_LIST_MAX, &text);
	struct span rest = buf_span(&text), line;

	if (r < 0)
		return fault_set(reterr, r, 0, 0, "%s: %s", path, err_text(r));
	map_init(ret);
	for (unsigned n = 1; span_cut(&rest, '\n', &line); n++) {
		r = read_line(ret, line);
		if (r < 0) {
			clear(ret);
			return fault_set(reterr, r, n, 0, "%s: this is no node key", path);
		}
	}
	return 0;
}

int admit_reload(struct admit *a, struct fault *reterr)
{
	struct map list;

	if (a->cfg.allowed_path[0]) {
		int r = read_list(a->cfg.allowed_path, &list, reterr);

		if (r < 0)
			return r;
		if (a->has_list)
			clear(&a->list);
		a->list = list;
		a->has_list = true;
	}
	clear(&a->cache);
	map_init(&a->cache);
	return 0;
}

bool admit_is_listed(void *arg, const struct node_pub *key)
{
	const struct admit *a = arg;

	return !a->has_list || find(&a->list, key);
}

/* --- the verifier --- */

static void question_free(struct question *q)
{
	list_remove(&q->link);
	free(q->body);
	free(q);
}

static void remember(struct admit *a, const struct node_pub *key, bool allow)
{
	struct known *k = find(&a->cache, key);

	if (!k) {
		struct known *oldest = list_first(&a->ages, struct known, age);

		if (oldest && a->cache.n >= ADMIT_CACHE_MAX)
			drop(&a->cache, oldest);
		k = add(&a->cache, key);
	}
	list_remove(&k->age);
	list_append(&a->ages, &k->age);
	k->allow = allow;
	k->until = mono_after(ev_now(a->cfg.ev), a->cfg.cache_us);
}

static bool says_allow(const struct fetched *found)
{
	AUTO_DONE(arena) struct arena arena = { 0 };
	struct js *j;

	return found->status == 200 && js_parse(&arena, found->body, false, &j, NULL) == 0 &&
	       js_truth(js_get(j, "Allow"), false);
}

/* Nobody there to ask: what was said before counts, else what the operator chose. */
static bool when_away(struct admit *a, const struct relay_ask *ask, int r)
{
	const struct known *k = find(&a->cache, &ask->key);
	bool allow = k ? k->allow : a->cfg.fail_open;

	log_limited(&a->log, ev_now(a->cfg.ev), LOG_WARN,
	            "verifier cannot be reached (%s): clients it has not judged are %s",
	            err_text(r), a->cfg.fail_open ? "let in" : "refused");
	a->counts.away_open += allow;
	a->counts.away_closed += !allow;
	return allow;
}

static void ask_next(struct admit *a);

static void on_answer(void *owner, int r, const struct fetched *found)
{
	struct question *q = owner;
	struct admit *a = q->admit;
	struct relay_ask *ask = q->ask;
	bool allow;

	a->away = r < 0;
	if (r < 0) {
		allow = when_away(a, ask, r);
	} else {
		allow = says_allow(found);
		a->counts.allowed += allow;
		a->counts.refused += !allow;
		remember(a, &ask->key, allow);
	}
	a->n_open--;
	question_free(q);
	relay_answer(ask, allow);
	ask_next(a);
}

static void send_question(struct question *q)
{
	struct admit *a = q->admit;
	char key[KEY_TEXT_MAX], ip[IP_TEXT_MAX];

	q->body = str_fmt("{\"NodePublic\":\"%s\",\"Source\":\"%s\"}",
	                  node_pub_text(&q->ask->key, key), ip_text(&q->ask->from.ip, ip));

	struct fetch_cfg cfg = {
		.method = "POST",
		.url = a->cfg.url,
		.type = "application/json",
		.body = span_str(q->body),
		.body_max = ADMIT_ANSWER_MAX,
		.timeout_us = ADMIT_LIMIT_US,
	};

	a->counts.asked++;
	a->n_open++;
	list_append(&a->open, &q->link);
	q->fetch = http_fetch(&a->http, &cfg, on_answer, q);
}

static void ask_next(struct admit *a)
{
	while (a->n_open < ADMIT_OPEN_MAX && !list_empty(&a->waiting)) {
		struct question *q = list_first(&a->waiting, struct question, link);

		list_remove(&q->link);
		a->n_waiting--;
		send_question(q);
	}
}

static void ask_verifier(struct admit *a, struct relay_ask *ask)
{
	if (a->n_waiting >= ADMIT_WAITING_MAX) {
		a->counts.too_many++;
		relay_answer(ask, false);
		return;
	}

	struct question *q = mem_new(struct question);

	q->admit = a;
	q->ask = ask;
	list_append(&a->waiting, &q->link);
	a->n_waiting++;
	ask_next(a);
}

void admit_ask(void *owner, struct relay_ask *ask)
{
	struct admit *a = owner;
	const struct known *k;

	if (!admit_is_listed(a, &ask->key)) {
		a->counts.unlisted++;
		relay_answer(ask, false);
		return;
	}
	a->counts.listed += a->has_list;
	if (!a->cfg.url[0]) {
		relay_answer(ask, true);
		return;
	}
	k = find(&a->cache, &ask->key);
	if (k && !mono_reached(k->until, ev_now(a->cfg.ev))) {
		a->counts.cached++;
		relay_answer(ask, k->allow);
		return;
	}
	ask_verifier(a, ask);
}

/* --- life --- */

int admit_new(const struct admit_cfg *cfg, struct admit **ret, struct fault *reterr)
{
	struct url url;

	if (cfg->url[0] && url_parse(span_str(cfg->url), &url) < 0)
		return fault_set(reterr, ERR_MALFORMED, 0, 0, "verify-url: \"%s\" is no URL",
		                 cfg->url);

	struct admit *a = mem_new(struct admit);

	a->cfg = *cfg;
	a->http = (struct http_client){ .ev = cfg->ev, .resolver = cfg->resolver, .tls = cfg->tls };
	a->log = (struct log_limit){ .every_us = 60 * US_PER_S, .burst = 1 };
	map_init(&a->cache);
	list_init(&a->ages);
	list_init(&a->open);
	list_init(&a->waiting);

	int r = admit_reload(a, reterr);

	if (r < 0) {
		admit_free(a);
		return r;
	}
	*ret = a;
	return 0;
}

static void drop_questions(struct link *list)
{
	while (!list_empty(list)) {
		struct question *q = list_first(list, struct question, link);
		struct relay_ask *ask = q->ask;

		fetch_cancel(q->fetch);
		question_free(q);
		relay_answer(ask, false);
	}
}

void admit_free(struct admit *a)
{
	if (!a)
		return;
	drop_questions(&a->open);
	drop_questions(&a->waiting);
	if (a->has_list)
		clear(&a->list);
	clear(&a->cache);
	free(a);
}

const struct admit_counts *admit_counts(const struct admit *a)
{
	return &a->counts;
}

void admit_metrics(const struct admit *a, struct buf *out)
{
#define X(name, text)                                                          \
	buf_fmt(out,                                                           \
	        "# HELP fairlead_relay_admit_" #name "_total " text            \
	        "\n# TYPE fairlead_relay_admit_" #name                         \
	        "_total counter\nfairlead_relay_admit_" #name "_total %llu\n", \
	        (unsigned long long)a->counts.name);
	ADMIT_COUNT_LIST(X)
#undef X
}
