/*
 * A course of events for the resolver's asking side: clients ask, upstreams answer
 * (truly, cut, changed by the input's bytes) or fail, time goes by. Every question
 * that is taken gets exactly one answer.
 */
#include <assert.h>
#include <string.h>

#include "base/json.h"
#include "dns/forward.h"
#include "dns/plan.h"
#include "dns/show.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { CLIENTS = 256, SENT_MAX = 64 };

struct world {
	struct dns_forward *f;
	mono now;
	uint8_t waiting[CLIENTS]; /* 1: asked, 0: not or answered */
	uint8_t next_client;
	struct {
		uint32_t attempt;
		uint8_t msg[512];
		size_t n;
	} sent[SENT_MAX];
	size_t n_sent;
};

static const char *const names[] = { "a.corp.test", "b.corp.test", "www.example.com", "x.own.test",
	                             "c.twin.test" };

static struct dns_config *make_config(void)
{
	static const char *const routes[][3] = { { ".", "192.0.2.1", "9.9.9.9" },
		                                 { "corp.test", "192.0.2.2", NULL },
		                                 { "twin.test", "192.0.2.3:5353",
		                                   "http://100.64.0.9:80/q" } };
	struct dns_config *c = dns_config_new();
	struct dns_name suffix;

	for (size_t i = 0; i < ARRAY_LEN(routes); i++) {
		struct dns_upstream v[2];
		size_t count = 0;

		for (size_t k = 1; k < 3 && routes[i][k]; k++)
			count += dns_upstream_parse(span_str(routes[i][k]), &v[count]) == 0;
		if (dns_name_of(span_str(routes[i][0]), &suffix) == 0)
			(void)!dns_config_route(c, &suffix, v, count);
	}
	if (dns_name_of(SPAN_LIT("own.test"), &suffix) == 0)
		(void)!dns_config_route(c, &suffix, NULL, 0);
	dns_config_seal(c);
	return c;
}

static void drain(struct world *w)
{
	struct dns_forward_out out;

	while (dns_forward_next(w->f, &out)) {
		if (out.act == DNS_ANSWER) {
			assert(w->waiting[out.client & 255] == 1);
			w->waiting[out.client & 255] = 0;
		} else if (out.act != DNS_GIVE_UP && out.msg.n <= 512) {
			size_t at = w->n_sent++ % SENT_MAX;

			w->sent[at].attempt = out.attempt;
			w->sent[at].n = out.msg.n;
			memcpy(w->sent[at].msg, out.msg.p, out.msg.n);
		}
	}
}

static void ask(struct world *w, uint8_t how)
{
	uint8_t msg[DNS_QUERY_MAX];
	struct dns_name name;
	uint8_t client = w->next_client;

	if (w->waiting[client] || dns_name_of(span_str(names[how % ARRAY_LEN(names)]), &name) < 0)
		return;

	size_t n = dns_query_make(msg, how, &name, how & 64 ? DNS_AAAA : DNS_A);

	if (dns_forward_query(w->f, w->now, client, how & 128, span(msg, n)) == 0) {
		w->waiting[client] = 1;
		w->next_client++;
	}
}

/* The question that was sent, turned into an answer with the input's bytes behind it. */
static void reply(struct world *w, uint8_t which, struct span tail)
{
	size_t at = which % SENT_MAX;
	uint8_t msg[1024];
	size_t n = w->sent[at].n;

	if (n < DNS_HEADER)
		return;
	memcpy(msg, w->sent[at].msg, n);
	msg[2] |= 0x80;
	if (tail.n > 2) {
		msg[2] |= tail.p[0] & 2;   /* cut */
		msg[3] = tail.p[1] & 0x0f; /* the code */
		msg[7] = tail.p[2] & 3;    /* records that are claimed */
		tail = span_first(span_from(tail, 3), sizeof(msg) - n);
		memcpy(msg + n, tail.p, tail.n);
		n += tail.n;
	}
	dns_forward_reply(w->f, w->now, w->sent[at].attempt, span(msg, n));
}

static void step(struct world *w, struct rd *in)
{
	uint8_t op = rd_u8(in), arg = rd_u8(in);

	switch (op % 5) {
	case 0:
		ask(w, arg);
		break;
	case 1: {
		size_t len = op / 5u < rd_left(in) ? op / 5u : rd_left(in);
		const uint8_t *p = rd_view(in, len);

		reply(w, arg, p ? span(p, len) : span(NULL, 0));
		break;
	}
	case 2:
		dns_forward_failed(w->f, w->now, w->sent[arg % SENT_MAX].attempt);
		break;
	case 3:
		w->now = mono_after(w->now, (int64_t)arg * 50000);
		dns_forward_timeout(w->f, w->now);
		break;
	default:
		dns_forward_flush(w->f);
	}
	drain(w);
}

static void show(struct span msg)
{
	struct buf out = { 0 };
	struct js_wr w = js_wr_of(&out);
	struct dns_resolv file = { 0 };

	js_wr_open(&w, JS_OBJECT);
	dns_show_answer(&w, msg);
	js_wr_close(&w, JS_OBJECT);
	buf_done(&out);
	dns_resolv_parse(msg, &file);
	(void)dns_resolv_kept(msg);
	dns_resolv_done(&file);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct dns_forward_env env = { .upgrade_https = true };
	struct dns_config *config = make_config();
	struct world *w = mem_new(struct world);
	struct rd in = rd_of(data, n);

	show(span(data, n));
	rand_seeded(&env.rand, 1);
	w->f = dns_forward_new(&env);
	dns_forward_config(w->f, config);
	for (int i = 0; i < 2000 && rd_left(&in); i++)
		step(w, &in);
	w->now = mono_after(w->now, 11 * US_PER_S);
	dns_forward_timeout(w->f, w->now);
	drain(w);
	for (size_t i = 0; i < CLIENTS; i++)
		assert(!w->waiting[i]);
	dns_forward_free(w->f);
	dns_config_free(config);
	free(w);
	return 0;
}
