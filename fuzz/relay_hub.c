/*
 * The hub under clients that send anything: the first byte of each step picks
 * who does what, the next how many bytes follow.
 */
#include "relay/hub.h"

enum { CLIENTS = 6 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static size_t room;

static ssize_t take_some(struct hub_client *c, const struct iovec *iov, size_t n)
{
	size_t sum = 0;

	(void)c;
	for (size_t i = 0; i < n; i++) {
		size_t k = iov[i].iov_len < room ? iov[i].iov_len : room;

		room -= k;
		sum += k;
	}
	return (ssize_t)sum;
}

static struct node_pub key(unsigned i)
{
	return (struct node_pub){ { (uint8_t)i } };
}

static void close_doomed(struct hub *h)
{
	struct hub_client *c;

	while ((c = hub_next_doomed(h)))
		hub_leave(h, c, h->now);
}

static void step(struct hub *h, struct hub_client *v, uint8_t what, struct span bytes)
{
	struct hub_client *c = &v[what % CLIENTS];
	struct node_pub k = key(bytes.n ? bytes.p[0] % 4 : 0);
	bool in = link_in_list(&c->all);

	switch (what / CLIENTS % 8) {
	case 0:
		hub_leave(h, c, h->now);
		break;
	case 1:
		room = bytes.n * 50;
		if (in)
			hub_writable(h, c);
		hub_flush(h);
		break;
	case 2:
		if (in && c->role == HUB_LINK)
			hub_link_present(h, c, &k);
		break;
	case 3:
		if (in && c->role == HUB_LINK)
			hub_link_gone(h, c, &k);
		break;
	default:
		if (in && c->role != HUB_LINK && hub_recv(h, c, bytes, h->now) < 0)
			hub_leave(h, c, h->now);
	}
	close_doomed(h);
	if (!link_in_list(&c->all)) {
		*c = (struct hub_client){ 0 };
		k = key(what % 4);
		hub_join(h, c, (enum hub_role)(what % 3), &k, h->now);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static struct hub_client v[CLIENTS];
	struct hub_cfg cfg = { 1 << 20, 4096, 8192, take_some };
	struct node_pub self = key(99);
	struct hub h;

	memset(v, 0, sizeof(v));
	room = 0;
	hub_init(&h, &cfg, &self);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct node_pub k = key(i % 4);

		hub_join(&h, &v[i], (enum hub_role)(i % 3), &k, (mono){ 1 });
	}
	for (size_t at = 0; at + 2 <= n;) {
		size_t len = data[at + 1] < n - at - 2 ? data[at + 1] : n - at - 2;

		h.now = mono_after(h.now, 100000);
		step(&h, v, data[at], span(data + at + 2, len));
		at += 2 + len;
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		hub_leave(&h, &v[i], h.now);
	hub_done(&h);
	return 0;
}
