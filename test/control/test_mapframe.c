#include "control/mapframe.h"

#include <stdlib.h>
#include <zstd.h>

#include "base/rand.h"
#include "base/wire.h"
#include "test/check.h"

static void read_all(struct mapframe_rd *m, struct span wire, size_t step, struct buf *texts)
{
	struct span json;

	for (size_t at = 0; at < wire.n; at += step) {
		struct span part = span_first(span_from(wire, at), step);
		int r;

		while ((r = mapframe_read(m, &part, &json)) > 0) {
			buf_add_span(texts, json);
			buf_add_u8(texts, '\n');
		}
		CHECK_OK(r);
		CHECK_EQ(part.n, 0);
	}
}

static void messages_arrive_whole_at_any_cut(void)
{
	for (int zstd = 0; zstd < 2; zstd++)
		for (size_t step = 1; step < 70; step++) {
			AUTO_DONE(buf) struct buf wire = { 0 };
			AUTO_DONE(buf) struct buf texts = { 0 };
			AUTO_DONE(mapframe_rd) struct mapframe_rd m = { .zstd = zstd };

			CHECK_OK(mapframe_write(&wire, SPAN_LIT("{\"a\":1}"), zstd, 1));
			CHECK_OK(mapframe_write_keepalive(&wire, zstd));
			CHECK_OK(mapframe_write(&wire, SPAN_LIT("{}"), zstd, 3));
			read_all(&m, buf_span(&wire), step, &texts);
			CHECK_STR(buf_text(&texts), "{\"a\":1}\n{\"KeepAlive\":true}\n{}\n");
		}
}

static void the_keepalive_has_its_known_bytes(void)
{
	AUTO_DONE(buf) struct buf wire = { 0 };
	uint8_t want[64];
	size_t n = check_hex(want, sizeof(want),
	                     "1b00000028b52ffd20129100007b224b656570416c697665223a747275657d");

	CHECK_OK(mapframe_write_keepalive(&wire, true));
	CHECK_EQ(wire.n, n);
	CHECK_MEM(wire.p, want, n);
}

static void lengths_beyond_the_bounds_are_refused_at_once(void)
{
	static const char *const bad[] = { "00000000ff", "01000004ff", "ffffffffff" };

	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		AUTO_DONE(mapframe_rd) struct mapframe_rd m = { 0 };
		uint8_t bytes[8];
		struct span in = span(bytes, check_hex(bytes, sizeof(bytes), bad[i])), json;

		CHECK(mapframe_read(&m, &in, &json) < 0);
	}
}

static void a_long_text_of_unknown_size_is_read(void)
{
	AUTO_DONE(buf) struct buf wire = { 0 };
	AUTO_DONE(buf) struct buf plain = { 0 };
	AUTO_DONE(mapframe_rd) struct mapframe_rd m = { .zstd = true };
	ZSTD_CCtx *z = ZSTD_createCCtx();
	uint8_t *out = buf_room(&wire, 1 << 20);
	struct span in, json;

	while (plain.n < 300000)
		buf_fmt(&plain, "%zu,", plain.n);
	ZSTD_CCtx_setParameter(z, ZSTD_c_contentSizeFlag, 0);

	size_t n = ZSTD_compress2(z, out + 4, (1 << 20) - 4, plain.p, plain.n);

	ZSTD_freeCCtx(z);
	put_le32(out, (uint32_t)n);
	in = span(out, n + 4);
	CHECK_EQ(mapframe_read(&m, &in, &json), 1);
	CHECK(span_eq(json, buf_span(&plain)));
	/* And cut short it is refused. */
	put_le32(out, (uint32_t)(n - 5));
	in = span(out, n - 1);
	CHECK(mapframe_read(&m, &in, &json) < 0);
}

static void several_frames_in_a_row_are_one_text(void)
{
	static const char *const parts[] = { "{\"a\":[1", ",2,3", "]}" };
	AUTO_DONE(buf) struct buf wire = { 0 };
	AUTO_DONE(buf) struct buf texts = { 0 };
	AUTO_DONE(mapframe_rd) struct mapframe_rd m = { .zstd = true };
	uint8_t head[4];

	buf_add(&wire, (uint8_t[4]){ 0 }, 4);
	for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
		uint8_t frame[64];
		size_t n = ZSTD_compress(frame, sizeof(frame), parts[i], strlen(parts[i]), 1);

		buf_add(&wire, frame, n);
	}
	put_le32(head, (uint32_t)wire.n - 4);
	memcpy(wire.p, head, 4);
	read_all(&m, buf_span(&wire), 5, &texts);
	CHECK_STR(buf_text(&texts), "{\"a\":[1,2,3]}\n");
}

static void any_flipped_bit_is_refused_or_harmless(void)
{
	AUTO_DONE(buf) struct buf wire = { 0 };

	CHECK_OK(mapframe_write(&wire, SPAN_LIT("{\"Peers\":[1,2,3,4,5,6,7,8,9]}"), true, 1));
	for (size_t bit = 0; bit < wire.n * 8; bit++) {
		AUTO_DONE(mapframe_rd) struct mapframe_rd m = { .zstd = true };
		struct span in = buf_span(&wire), json;

		wire.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
		while (mapframe_read(&m, &in, &json) > 0)
			;
		wire.p[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
}

int main(void)
{
	RUN(messages_arrive_whole_at_any_cut);
	RUN(the_keepalive_has_its_known_bytes);
	RUN(lengths_beyond_the_bounds_are_refused_at_once);
	RUN(a_long_text_of_unknown_size_is_read);
	RUN(several_frames_in_a_row_are_one_text);
	RUN(any_flipped_bit_is_refused_or_harmless);
	return check_done();
}
