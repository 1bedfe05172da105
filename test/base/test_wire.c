#include "base/wire.h"

#include "test/check.h"

static void what_is_written_is_read_back(void)
{
	uint8_t bytes[64];
	struct wr w = wr_of(bytes, sizeof(bytes));
	size_t n = 0;

	wr_u8(&w, 1);
	wr_be16(&w, 0x0203);
	wr_be32(&w, 0x04050607);
	wr_be64(&w, 0x08090a0b0c0d0e0f);
	wr_le16(&w, 0x0203);
	wr_le32(&w, 0x04050607);
	wr_le64(&w, 0x08090a0b0c0d0e0f);
	wr_bytes(&w, "xyz", 3);
	CHECK_OK(wr_end(&w, &n));
	CHECK_EQ(n, 32);

	struct rd r = rd_of(bytes, n);

	CHECK_EQ(rd_u8(&r), 1);
	CHECK_EQ(rd_be16(&r), 0x0203);
	CHECK_EQ(rd_be32(&r), 0x04050607);
	CHECK(rd_be64(&r) == 0x08090a0b0c0d0e0f);
	CHECK_EQ(rd_le16(&r), 0x0203);
	CHECK_EQ(rd_le32(&r), 0x04050607);
	CHECK(rd_le64(&r) == 0x08090a0b0c0d0e0f);
	CHECK_EQ(rd_end(&r), ERR_TRAILING);
	CHECK(span_is(rd_rest(&r), "xyz"));
	CHECK_OK(rd_end(&r));
}

static void the_first_failure_stays(void)
{
	uint8_t bytes[3] = { 1, 2, 3 };
	struct rd r = rd_of(bytes, 3);

	CHECK_EQ(rd_be32(&r), 0);
	CHECK_EQ(rd_u8(&r), 0);
	CHECK_EQ(rd_left(&r), 0);
	CHECK_EQ(rd_end(&r), ERR_SHORT);

	struct wr w = wr_of(bytes, 3);
	size_t n;

	wr_be32(&w, 1);
	wr_u8(&w, 9);
	CHECK_EQ(wr_end(&w, &n), ERR_LIMIT);
	CHECK_EQ(bytes[0], 1);
}

static void a_child_cannot_see_past_its_end(void)
{
	uint8_t bytes[4] = { 1, 2, 3, 4 };
	struct rd r = rd_of(bytes, 4);
	struct rd child = rd_sub(&r, 2);

	CHECK_EQ(rd_be16(&child), 0x0102);
	CHECK_EQ(rd_u8(&child), 0);
	CHECK_EQ(rd_ok(&child), ERR_SHORT);
	CHECK_EQ(rd_be16(&r), 0x0304);
	CHECK_OK(rd_end(&r));
}

int main(void)
{
	RUN(what_is_written_is_read_back);
	RUN(the_first_failure_stays);
	RUN(a_child_cannot_see_past_its_end);
	return check_done();
}
