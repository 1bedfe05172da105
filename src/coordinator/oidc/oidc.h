#pragma once
/*
 * Login by an OpenID Connect provider: authorisation code flow with PKCE.
 *
 * A core: it makes the URLs and bodies, reads the answers and judges them. Who
 * fetches and serves is oidc_client.h. The steps of one login:
 *
 *	oidc_begin	a flow with state, nonce, verifier -> the URL to send the
 *			browser to, and a cookie that ties the flow to this browser
 *	oidc_returned	the browser is back with a code -> the body for the token
 *			endpoint. State and cookie must be those of one flow, once
 *	oidc_token	its answer -> who it is; ERR_NOKEY asks for the keys anew
 *	oidc_userinfo	optional: claims that the token left out
 *	oidc_admit	may this identity in?
 *
 * An identity is issuer and subject. Name and e-mail may change and belong to
 * someone else tomorrow; they are shown, and never matched.
 *
 * Source: OpenID Connect Core 1.0, Discovery 1.0; RFC 6749, 7636, 9207.
 */
#include <stdbool.h>

#include "base/buf.h"
#include "base/fault.h"
#include "base/map.h"
#include "base/mem.h"
#include "base/own.h"
#include "base/rand.h"
#include "base/span.h"
#include "base/time.h"
#include "coordinator/oidc/jwt.h"

enum {
	OIDC_FLOWS_MAX = 4096,
	OIDC_FLOW_LIFE_S = 15 * 60,
	OIDC_ANSWER_MAX = 256 << 10, /* of the provider */
	OIDC_SKEW_S = 60,            /* how far its clock may be off */
	OIDC_GROUPS_MAX = 1000,
	OIDC_TOKEN_LEN = 43, /* state, nonce, verifier, cookie: 32 random bytes as base64url */
};

enum oidc_pkce { OIDC_PKCE_S256, OIDC_PKCE_PLAIN, OIDC_PKCE_NONE };

struct oidc_param {
	const char *name, *value;
};

/* Texts must outlive the core. */
struct oidc_cfg {
	const char *issuer, *client_id, *client_secret;
	const char *redirect_uri; /* https://SERVER/oidc/callback */
	const char *const *scopes;
	size_t n_scopes;                 /* 0: openid profile email */
	const struct oidc_param *params; /* added to the authorisation URL */
	size_t n_params;
	const char *const *domains, *const *users, *const *groups; /* who may in; all empty: all */
	size_t n_domains, n_users, n_groups;
	bool email_verified_required;
	bool use_token_expiry;
	enum oidc_pkce pkce;
};

struct oidc;

struct oidc *oidc_new(const struct oidc_cfg *cfg);
void oidc_free(struct oidc *o);
DEFINE_AUTO(oidc_free, struct oidc *)

const struct oidc_cfg *oidc_config(const struct oidc *o);
const struct jwks *oidc_key_set(const struct oidc *o);

/* ---- the provider ---- */

/* ISSUER/.well-known/openid-configuration */
void oidc_discovery_url(const struct oidc *o, struct buf *url);
/*
 * Its answer. The issuer inside must be the one asked, endpoints must be https unless
 * the issuer is not.  ERR_MALFORMED, ERR_AUTH; reterr says more
 */
NODISCARD int oidc_discovered(struct oidc *o, struct span json, struct fault *reterr);
bool oidc_is_ready(const struct oidc *o);
/* Good until the next discovery; "" if the provider has none. */
const char *oidc_jwks_url(const struct oidc *o);
const char *oidc_token_url(const struct oidc *o);
const char *oidc_userinfo_url(const struct oidc *o);
NODISCARD int oidc_keys(struct oidc *o, struct span json);

/* ---- one login ---- */

struct oidc_flow {
	struct map_node by_state;
	struct oidc_flow *older, *newer;
	char state[OIDC_TOKEN_LEN + 1], nonce[OIDC_TOKEN_LEN + 1];
	char verifier[OIDC_TOKEN_LEN + 1], cookie[OIDC_TOKEN_LEN + 1];
	char *subject; /* what the login is for: the caller's text */
	wall deadline;
};

/*
 * Starts a login. At OIDC_FLOWS_MAX the oldest is forgotten. The flow's cookie is to be set
 * on the browser; its name is oidc_cookie_name(flow->state).  ERR_BADSTATE: not ready
 */
NODISCARD int oidc_begin(struct oidc *o, const char *subject, struct rand_src *rand, wall now,
                         struct buf *url, const struct oidc_flow **ret);
/* "fl_login_" and the beginning of the state, so that two tabs do not disturb each other. */
enum { OIDC_COOKIE_NAME_MAX = 32 };
const char *oidc_cookie_name(const char *state, char dst[static OIDC_COOKIE_NAME_MAX]);

/* What the browser brought to the redirect URI; NULL: not there. */
struct oidc_return {
	const char *state, *code, *error, *error_description, *issuer;
	struct span cookie;
};

/*
 * The flow is taken out: it serves once. The caller frees it with oidc_flow_free.
 *   ERR_UNKNOWN	no such flow: too old, or used before
 *   ERR_AUTH		another browser's, or another provider's
 *   ERR_DENIED		the provider says no; reterr holds its words
 */
NODISCARD int oidc_returned(struct oidc *o, const struct oidc_return *back, wall now,
                            struct buf *token_body, struct oidc_flow **ret, struct fault *reterr);
void oidc_flow_free(struct oidc_flow *f);
DEFINE_AUTO(oidc_flow_free, struct oidc_flow *)
/* The value for the Authorization field of the token request; empty: the body has the secret. */
void oidc_token_authorization(const struct oidc *o, struct buf *value);

/* Who logged in. Texts are the arena's; "" where the provider says nothing. */
struct oidc_identity {
	const char *provider_id; /* issuer/subject */
	const char *subject, *name, *username, *email, *picture;
	bool email_verified;
	const char **groups;
	size_t n_groups;
	wall expiry; /* of the token */
	const char *access_token;
};

/*
 * The token endpoint's answer.
 *   ERR_NOKEY		signed by a key we do not have: fetch the keys, then once more
 *   ERR_MALFORMED, ERR_AUTH, ERR_DENIED	refused; reterr says why
 */
NODISCARD int oidc_token(const struct oidc *o, const struct oidc_flow *f, unsigned status,
                         struct span json, wall now, struct arena *a, struct oidc_identity *ret,
                         struct fault *reterr);
/* Fills in what is missing. ERR_AUTH: it speaks of somebody else */
NODISCARD int oidc_userinfo(struct span json, struct arena *a, struct oidc_identity *io);
/* ERR_DENIED and why. */
NODISCARD int oidc_admit(const struct oidc *o, const struct oidc_identity *who,
                         struct fault *reterr);
/* Issuer and subject as they are kept: one slash between, no blanks. */
void oidc_provider_id(const char *issuer, struct span subject, struct buf *ret);
