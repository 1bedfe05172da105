/*
 * What is written is read again: the kernel's set and get messages have the same
 * attributes, so the reader judges the writer.
 */
#include "cli/wgnl.h"

#include "base/err.h"
#include "platform/genl.h"
#include "test/check.h"

#define AUTO_INFO __attribute__((cleanup(wg_info_done))) struct wg_info
#define AUTO_CHANGE __attribute__((cleanup(wg_change_done))) struct wg_change

struct sink {
	struct wg_info info;
	int messages;
	size_t largest;
};

static int take(void *arg, struct nlmsghdr *msg)
{
	struct sink *s = arg;

	s->messages++;
	if (msg->nlmsg_len > s->largest)
		s->largest = msg->nlmsg_len;
	return wgnl_read(msg, &s->info);
}

static struct wg_peer_change *add_peer(struct wg_change *c, uint8_t id)
{
	struct node_pub key = { { id, 1, 2 } };

	return wg_change_add_peer(c, &key);
}

static void a_change_reads_back_as_it_was_written(void)
{
	AUTO_CHANGE c = { .set = WG_SET_PRIVATE_KEY | WG_SET_LISTEN_PORT | WG_SET_FWMARK,
		          .private_key = { { 9 } },
		          .listen_port = 51820,
		          .fwmark = 0xca6c };
	struct sink s = { 0 };
	struct wg_peer_change *p = add_peer(&c, 1);

	p->set = WG_PEER_SET_PSK | WG_PEER_SET_ENDPOINT | WG_PEER_SET_KEEPALIVE;
	p->psk.b[5] = 7;
	p->endpoint = (struct addr){ .ip = ip4(192, 0, 2, 7), .port = 4000 };
	p->keepalive_s = 25;
	wg_peer_change_add_ip(p, (struct prefix){ ip4(10, 0, 0, 0), 8 }, false);
	wg_peer_change_add_ip(p, (struct prefix){ { { 0xfd } }, 64 }, false);
	p = add_peer(&c, 2);
	p->set = WG_PEER_SET_ENDPOINT;
	p->endpoint = (struct addr){ .ip = { { 0xfd, [15] = 1 } }, .port = 5 };

	CHECK_OK(wgnl_write(&c, "wg0", 20, take, &s));
	CHECK_EQ(s.messages, 1);
	CHECK_EQ(s.info.private_key.b[0], 9);
	CHECK_EQ(s.info.listen_port, 51820);
	CHECK_EQ(s.info.fwmark, 0xca6c);
	CHECK_EQ(s.info.peers.n, 2);
	CHECK_EQ(s.info.peers.v[0].psk.b[5], 7);
	CHECK(addr_eq(&s.info.peers.v[0].endpoint, &c.peers.v[0].endpoint));
	CHECK_EQ(s.info.peers.v[0].keepalive_s, 25);
	CHECK_EQ(s.info.peers.v[0].ips.n, 2);
	CHECK(prefix_eq(&s.info.peers.v[0].ips.v[1], &c.peers.v[0].ips.v[1].prefix));
	CHECK(addr_eq(&s.info.peers.v[1].endpoint, &c.peers.v[1].endpoint));
	wg_info_done(&s.info);
}

static void a_large_change_is_split_and_whole_again(void)
{
	AUTO_CHANGE c = { 0 };
	struct sink s = { 0 };
	enum { PEERS = 40, EACH = 2000 };

	for (int k = 0; k < PEERS; k++) {
		struct wg_peer_change *p = add_peer(&c, (uint8_t)k);

		p->set = WG_PEER_REPLACE_IPS;
		for (int i = 0; i < EACH; i++)
			wg_peer_change_add_ip(
				p,
				(struct prefix){ ip4(10, (uint8_t)k, (uint8_t)(i >> 8), (uint8_t)i),
			                         32 },
				false);
	}
	CHECK_OK(wgnl_write(&c, "wg0", 20, take, &s));
	CHECK(s.messages > 10);
	CHECK(s.largest <= NETLINK_SEND_MAX);
	CHECK_EQ(s.info.peers.n, PEERS);
	for (size_t k = 0; k < s.info.peers.n; k++) {
		CHECK_EQ(s.info.peers.v[k].ips.n, EACH);
		CHECK(prefix_eq(&s.info.peers.v[k].ips.v[EACH - 1],
		                &c.peers.v[k].ips.v[EACH - 1].prefix));
	}
	wg_info_done(&s.info);
}

/* Keeps a copy of the last message, in aligned memory. */
struct kept {
	union {
		struct nlmsghdr head;
		uint8_t bytes[NETLINK_SEND_MAX];
	};
};

static int keep(void *arg, struct nlmsghdr *msg)
{
	memcpy(((struct kept *)arg)->bytes, msg, msg->nlmsg_len);
	return 0;
}

static void every_truncation_of_a_reply_ends_well(void)
{
	AUTO_CHANGE c = { .set = WG_SET_FWMARK, .fwmark = 1 };
	struct kept whole, cut;
	struct wg_peer_change *p = add_peer(&c, 1);

	p->set = WG_PEER_SET_PSK | WG_PEER_SET_ENDPOINT;
	wg_peer_change_add_ip(p, (struct prefix){ ip4(10, 0, 0, 0), 8 }, false);
	CHECK_OK(wgnl_write(&c, "wg0", 20, keep, &whole));
	for (uint32_t n = sizeof(struct nlmsghdr); n < whole.head.nlmsg_len; n++) {
		AUTO_INFO i = { 0 };

		memcpy(cut.bytes, whole.bytes, n);
		cut.head.nlmsg_len = n;
		(void)!wgnl_read(&cut.head, &i);
	}
}

static void the_sender_s_failure_ends_it(void)
{
	AUTO_CHANGE c = { .set = WG_SET_FWMARK };

	CHECK_EQ(wgnl_write(&c, "a-name-that-is-too-long", 20, keep, NULL), ERR_LIMIT);
}

int main(void)
{
	RUN(a_change_reads_back_as_it_was_written);
	RUN(a_large_change_is_split_and_whole_again);
	RUN(every_truncation_of_a_reply_ends_well);
	RUN(the_sender_s_failure_ends_it);
	return check_done();
}
