#include "crypto/box.h"

#include "crypto/init.h"
#include "crypto/keys.h"
#include "test/check.h"

static void either_side_opens_what_the_other_sealed(void)
{
	struct disco_priv a, b;
	struct disco_pub pa, pb;
	struct box_shared sa, sb;
	struct rand_src rand;
	uint8_t sealed[5 + BOX_OVERHEAD], back[5];

	rand_system(&rand);
	disco_priv_new(&a);
	disco_priv_new(&b);
	disco_priv_public(&a, &pa);
	disco_priv_public(&b, &pb);
	CHECK_OK(box_shared_init(&sa, a.b, pb.b));
	CHECK_OK(box_shared_init(&sb, b.b, pa.b));
	box_seal(sealed, &sa, &rand, SPAN_LIT("hello"));
	CHECK_OK(box_open(back, &sb, SPAN_OF(sealed)));
	CHECK_MEM(back, "hello", 5);
	for (size_t i = 0; i < sizeof(sealed); i++) {
		sealed[i] ^= 0x40;
		CHECK_EQ(box_open(back, &sb, SPAN_OF(sealed)), ERR_AUTH);
		sealed[i] ^= 0x40;
	}
	CHECK_EQ(box_open(back, &sb, span(sealed, BOX_OVERHEAD - 1)), ERR_SHORT);
}

static void a_key_of_small_order_is_refused(void)
{
	struct disco_priv a;
	struct box_shared s;
	uint8_t zero[32] = { 0 };

	disco_priv_new(&a);
	CHECK_EQ(box_shared_init(&s, a.b, zero), ERR_MALFORMED);
}

int main(void)
{
	crypto_start();
	RUN(either_side_opens_what_the_other_sealed);
	RUN(a_key_of_small_order_is_refused);
	return check_done();
}
