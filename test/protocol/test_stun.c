#include "protocol/stun.h"

#include "test/check.h"

static const uint8_t txid[STUN_TXID] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 };

static void the_request_is_the_one_clients_send(void)
{
	uint8_t got[STUN_REQUEST_LEN], want[STUN_REQUEST_LEN];

	CHECK_EQ(check_hex(want, sizeof(want),
	                   "000100142112a442000102030405060708090a0b802200087461696c6e6f6465"
	                   "802800048aabad90"),
	         STUN_REQUEST_LEN);
	stun_request(got, txid);
	CHECK_MEM(got, want, STUN_REQUEST_LEN);
}

static void a_request_gives_its_transaction(void)
{
	uint8_t req[STUN_REQUEST_LEN], got[STUN_TXID];

	stun_request(req, txid);
	CHECK(stun_is(SPAN_OF(req)));
	CHECK_OK(stun_request_parse(SPAN_OF(req), got));
	CHECK_MEM(got, txid, STUN_TXID);
}

static void every_truncation_of_a_request_is_refused(void)
{
	uint8_t req[STUN_REQUEST_LEN], got[STUN_TXID];

	stun_request(req, txid);
	for (size_t n = 0; n < sizeof(req); n++)
		CHECK(stun_request_parse(span(req, n), got) < 0);
}

/* The length field is not looked at; derper does not either. */
static void every_bit_flip_of_a_request_is_refused(void)
{
	for (size_t bit = 0; bit < STUN_REQUEST_LEN * 8; bit++) {
		uint8_t req[STUN_REQUEST_LEN], got[STUN_TXID];

		stun_request(req, txid);
		req[bit / 8] ^= (uint8_t)(1u << bit % 8);
		CHECK(stun_request_parse(SPAN_OF(req), got) < 0);
	}
}

static void other_software_gets_no_answer(void)
{
	/* a plain RFC 8489 binding request */
	static const uint8_t bare[] = { 0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1,  2,
		                        3, 4, 5, 6, 7,    8,    9,    10,   11, 12 };
	uint8_t got[STUN_TXID];

	CHECK_EQ(stun_request_parse(SPAN_OF(bare), got), ERR_DENIED);
}

static void an_answer_is_never_longer_than_the_request_for_ipv4(void)
{
	uint8_t res[STUN_RESPONSE_MAX];
	struct addr from = { ip4(203, 0, 113, 9), 4660, 0 };

	CHECK_EQ(stun_response(res, txid, &from), 32);
	CHECK_EQ(STUN_RESPONSE_MAX, 44);
}

static void an_answer_tells_the_address_in_both_families(void)
{
	struct addr froms[2] = { { ip4(203, 0, 113, 9), 4660, 0 }, { .port = 65535 } };

	CHECK_OK(ip_parse(SPAN_LIT("2001:db8::1:2"), &froms[1].ip));
	for (size_t i = 0; i < 2; i++) {
		uint8_t res[STUN_RESPONSE_MAX], got_txid[STUN_TXID];
		size_t n = stun_response(res, txid, &froms[i]);
		struct addr got;

		CHECK_OK(stun_response_parse(span(res, n), got_txid, &got));
		CHECK_MEM(got_txid, txid, STUN_TXID);
		CHECK(addr_eq(&got, &froms[i]));
		for (size_t cut = 0; cut < n; cut++)
			CHECK(stun_response_parse(span(res, cut), got_txid, &got) < 0);
	}
}

/* RFC 5769 s.2.2: 192.0.2.1 port 32853 */
static void a_foreign_servers_answer_is_understood(void)
{
	uint8_t res[128], got_txid[STUN_TXID];
	struct addr got;
	char text[ADDR_TEXT_MAX];
	size_t n = check_hex(res, sizeof(res),
	                     "0101003c2112a442b7e7a701bc34d686fa87dfae8022000b7465737420766563"
	                     "746f7220002000080001a147e112a643000800142b91f599fd9e90c38c7489f9"
	                     "2af9ba53f06be7d780280004c07d4c96");

	CHECK_OK(stun_response_parse(span(res, n), got_txid, &got));
	CHECK_STR(addr_text(&got, text), "192.0.2.1:32853");
}

static void an_old_servers_plain_address_is_the_fallback(void)
{
	uint8_t res[64], got_txid[STUN_TXID];
	struct addr got;
	char text[ADDR_TEXT_MAX];
	size_t n = check_hex(res, sizeof(res),
	                     "0101000c2112a442000102030405060708090a0b0001000800011234c0000201");

	CHECK_OK(stun_response_parse(span(res, n), got_txid, &got));
	CHECK_STR(addr_text(&got, text), "192.0.2.1:4660");
	res[n - 7] = 7; /* a family nobody knows */
	CHECK_EQ(stun_response_parse(span(res, n), got_txid, &got), ERR_MALFORMED);
}

static void a_request_is_no_answer_and_noise_is_no_stun(void)
{
	uint8_t req[STUN_REQUEST_LEN], got_txid[STUN_TXID];
	struct addr got;

	stun_request(req, txid);
	CHECK_EQ(stun_response_parse(SPAN_OF(req), got_txid, &got), ERR_BADSTATE);
	req[0] = 0x80;
	CHECK(!stun_is(SPAN_OF(req)));
	CHECK(!stun_is(span(req, 19)));
}

int main(void)
{
	RUN(the_request_is_the_one_clients_send);
	RUN(a_request_gives_its_transaction);
	RUN(every_truncation_of_a_request_is_refused);
	RUN(every_bit_flip_of_a_request_is_refused);
	RUN(other_software_gets_no_answer);
	RUN(an_answer_is_never_longer_than_the_request_for_ipv4);
	RUN(an_answer_tells_the_address_in_both_families);
	RUN(a_foreign_servers_answer_is_understood);
	RUN(an_old_servers_plain_address_is_the_fallback);
	RUN(a_request_is_no_answer_and_noise_is_no_stun);
	return check_done();
}
