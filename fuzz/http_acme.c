/* An ACME server's answers, one after the other, each a status byte, a length of two bytes, a body.
 */
#include "base/wire.h"
#include "http/acme.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void answer(struct acme *a, mono now, struct rd *r)
{
	static const unsigned statuses[] = { 200, 201, 400, 429 };
	struct http_head head = { .status = statuses[rd_u8(r) & 3] };
	struct rd body = rd_sub(r, rd_be16(r));
	struct span text = rd_rest(&body);

	http_put(&head, "Replay-Nonce", "n");
	(void)!http_add(&head, SPAN_LIT("Location"), span_first(text, 40));
	acme_answer(a, now, &head, text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char *const names[] = { "a.test" };
	static struct acme_key *key;
	struct acme_order order = {
		.directory = "http://a/d", .names = names, .n_names = 1, .challenges = 3
	};
	struct rd r = rd_of(data, n);
	struct acme_out out;
	mono now = { 0 };

	if (!key)
		key = acme_key_new();
	order.account = order.key = key;

	struct acme *a = acme_new(&order);

	for (unsigned i = 0; i < 40; i++) {
		while (acme_next(a, now, &out)) {
			if (out.act == ACME_REQUEST && rd_left(&r) == 0)
				acme_no_answer(a, "the end");
			else if (out.act == ACME_REQUEST)
				answer(a, now, &r);
		}
		now = mono_after(acme_deadline(a), 1);
	}
	acme_free(a);
	return 0;
}
