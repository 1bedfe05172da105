/* What a stranger may say to a relay before it logs in: a request, then frames or a WebSocket. */
#include "http/h1.h"
#include "relay/pages.h"
#include "relay/websock.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void websocket(struct span in)
{
	struct websock *w = websock_new();
	struct span part;

	while (websock_read(w, NULL, &in, &part) > 0)
		websock_used(w, part.n / 2 + 1);
	websock_free(w);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct span in = { data, n };
	struct relay_upgrade up;
	struct page_env env = { 0 };
	struct h1_reader r;
	struct http_head head;
	struct h1_step step;

	h1_reader_init(&r, H1_REQUEST);
	while (h1_read(&r, in, &head, &step) == 0 && step.event != H1_MORE) {
		AUTO_DONE(buf) struct buf out = { 0 };
		struct page p;

		in = span_from(in, step.used);
		if (step.event == H1_RAW)
			break;
		if (step.event != H1_HEAD)
			continue;
		relay_upgrade_of(&head, &up);
		if (page_is_derp(&head) && up.way == RELAY_WAY_WEBSOCKET) {
			websocket(in);
			return 0;
		}
		(void)page_find(&head, &env, &p);
		page_write(&out, &head, &p, r.keep_alive);
		page_done(&p);
	}
	websocket(span(data, n));
	return 0;
}
