#include "wireguard/msg.h"

#include "base/own.h"
#include "test/check.h"
#include "wireguard/drops.h"

static int kind(uint32_t type, size_t n)
{
	static uint8_t bytes[70000];

	put_le32(bytes, type);
	return wg_msg_kind(span(bytes, n));
}

static void a_kind_is_its_type_and_its_exact_length(void)
{
	static const struct {
		uint32_t type;
		size_t len;
	} kinds[] = { { 1, 148 }, { 2, 92 }, { 3, 64 } };

	for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
		for (size_t n = 4; n < 200; n++)
			CHECK_EQ(kind(kinds[i].type, n),
			         n == kinds[i].len ? (int)kinds[i].type : ERR_MALFORMED);
	}
	CHECK_EQ(kind(4, 31), ERR_MALFORMED);
	CHECK_EQ(kind(4, 32), WG_MSG_DATA);
	CHECK_EQ(kind(4, 65507), WG_MSG_DATA);
}

static void too_short_unknown_and_reserved_bits_are_refused(void)
{
	for (size_t n = 0; n < 4; n++)
		CHECK_EQ(kind(1, n), ERR_SHORT);
	for (uint32_t type = 5; type < 300; type++)
		CHECK_EQ(kind(type, 148), ERR_VERSION);
	CHECK_EQ(kind(0, 148), ERR_VERSION);
	for (unsigned bit = 8; bit < 32; bit++)
		CHECK_EQ(kind(1 | UINT32_C(1) << bit, 148), ERR_VERSION);
	/* Lengths of an experimental hybrid handshake. */
	CHECK_EQ(kind(5, 1332), ERR_VERSION);
	CHECK_EQ(kind(6, 1180), ERR_VERSION);
}

static void padding_goes_to_sixteen_but_not_beyond_the_mtu(void)
{
	CHECK_EQ(wg_padded_len(0, 1420), 0);
	CHECK_EQ(wg_padded_len(1, 1420), 16);
	CHECK_EQ(wg_padded_len(16, 1420), 16);
	CHECK_EQ(wg_padded_len(29, 1420), 32);
	CHECK_EQ(wg_padded_len(1415, 1420), 1420);
	CHECK_EQ(wg_padded_len(1420, 1420), 1420);
	CHECK_EQ(wg_padded_len(1421, 1420), 1420 + 16);
	CHECK_EQ(wg_padded_len(1415, 0), 1424);
	CHECK_EQ(wg_padded_len(3, 2), 2 + 2);
}

static void every_drop_reason_has_its_own_name(void)
{
	for (enum wg_drop a = 0; a < WG_DROP_MAX; a++) {
		CHECK(wg_drop_text(a)[0]);
		for (enum wg_drop b = 0; b < a; b++)
			CHECK(strcmp(wg_drop_name(a), wg_drop_name(b)) != 0);
	}
}

int main(void)
{
	RUN(a_kind_is_its_type_and_its_exact_length);
	RUN(too_short_unknown_and_reserved_bits_are_refused);
	RUN(padding_goes_to_sixteen_but_not_beyond_the_mtu);
	RUN(every_drop_reason_has_its_own_name);
	return check_done();
}
