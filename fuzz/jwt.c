/* Any bytes as a key set, and as a token under a fixed set: nothing unsigned is ever accepted. */
#include <assert.h>

#include "coordinator/oidc/jwt.h"
#include "coordinator/oidc/oidc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	static const char fixed[] =
		"{\"keys\":[{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"kid\":\"a\",\"x\":"
		"\"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo\"}]}";
	static const struct oidc_cfg cfg = { .issuer = "https://i",
		                             .client_id = "c",
		                             .client_secret = "",
		                             .redirect_uri = "https://r" };
	AUTO_DONE(arena) struct arena a = { 0 };
	AUTO(oidc_free) struct oidc *o = oidc_new(&cfg);
	struct jwks any = { 0 }, set = { 0 };
	struct span payload;

	(void)!jwks_parse(span(data, n), &any);
	(void)!oidc_discovered(o, span(data, n), NULL);
	if (jwks_parse(SPAN_LIT(fixed), &set) == 0)
		assert(jwt_verify(&set, span(data, n), &a, &payload) < 0);
	jwks_done(&any);
	jwks_done(&set);
	return 0;
}
