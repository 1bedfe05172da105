#include "crypto/keys.h"

#include "crypto/init.h"
#include "test/check.h"

static void both_sides_agree(void)
{
	uint8_t a[32], b[32], pa[32], pb[32], want[32], got[32];

	key_generate(a);
	key_generate(b);
	key_public(pa, a);
	key_public(pb, b);
	CHECK_OK(x25519(want, a, pb));
	CHECK_OK(x25519(got, b, pa));
	CHECK_MEM(got, want, 32);
}

/* RFC 7748 s.5.2 */
static void multiplies_as_rfc_7748_says(void)
{
	uint8_t k[32], u[32], want[32], got[32];

	(void)check_hex(k, 32, "a546e36bf0527c9d3b16154b82465edd62144c0ac1fc5a18506a2244ba449ac4");
	(void)check_hex(u, 32, "e6db6867583030db3594c1a424b15f7c726624ec26b3353b10a903a6d0ab1c4c");
	(void)check_hex(want, 32,
	                "c3da55379de9c6908e94ea4df28d084f32eccf03491c71f754b4075577a28552");
	CHECK_OK(x25519(got, k, u));
	CHECK_MEM(got, want, 32);
}

static void points_of_small_order_are_refused(void)
{
	static const char *const points[] = {
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
		"5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	};
	uint8_t priv[32], pub[32], out[32];

	key_generate(priv);
	for (size_t i = 0; i < ARRAY_LEN(points); i++) {
		(void)check_hex(pub, 32, points[i]);
		CHECK_EQ(x25519(out, priv, pub), ERR_MALFORMED);
		CHECK(ct_is_zero(out, 32));
	}
}

static void text_forms_carry_their_kind(void)
{
	struct node_priv priv;
	struct node_pub pub, back;
	struct machine_pub other;
	char text[KEY_TEXT_MAX];

	node_priv_new(&priv);
	node_priv_public(&priv, &pub);
	(void)node_pub_text(&pub, text);
	CHECK(strncmp(text, "nodekey:", 8) == 0 && strlen(text) == 72);
	CHECK_OK(node_pub_parse(span_str(text), &back));
	CHECK(node_pub_eq(&pub, &back));
	CHECK_EQ(machine_pub_parse(span_str(text), &other), ERR_MALFORMED);
	CHECK_EQ(node_pub_parse(span_first(span_str(text), 71), &back), ERR_MALFORMED);
	node_priv_wipe(&priv);
}

static void generated_keys_are_clamped(void)
{
	for (int i = 0; i < 50; i++) {
		uint8_t k[32];

		key_generate(k);
		CHECK((k[0] & 7) == 0 && (k[31] & 0xc0) == 0x40);
	}
}

int main(void)
{
	crypto_start();
	RUN(both_sides_agree);
	RUN(multiplies_as_rfc_7748_says);
	RUN(points_of_small_order_are_refused);
	RUN(text_forms_carry_their_kind);
	RUN(generated_keys_are_clamped);
	return check_done();
}
