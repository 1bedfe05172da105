/* What has to fit together in a configuration, and what follows from other values. */
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "base/time.h"
#include "coordinator/config.h"
#include "coordinator/ipam.h"

const char *config_host(const struct config *c, char dst[static 256])
{
	struct span url = span_str(c->server_url);
	size_t at = 0;

	if (span_starts(url, "https://"))
		url = span_from(url, 8);
	else if (span_starts(url, "http://"))
		url = span_from(url, 7);
	url = span_first(url, span_find(url, '/'));
	if (url.n && url.p[0] == '[') {
		url = span_from(url, 1);
		at = span_find(url, ']');
	} else {
		at = span_find(url, ':');
	}
	(void)snprintf(dst, 256, "%.*s", SPAN_FMT(span_first(url, at)));
	return dst;
}

static int check_prefix(const struct config *c, const char *key, const char *text,
                        struct prefix *ret, struct fault *reterr)
{
	*ret = (struct prefix){ 0 };
	if (!*text)
		return 0;
	if (prefix_parse(span_str(text), ret) < 0)
		return config_refuse(c, reterr, key, "\"%.60s\" is no prefix", text);
	*ret = prefix_masked(*ret);
	if (ipam_check(ret) < 0)
		return config_refuse(c, reterr, key,
		                     "%.60s must lie within 100.64.0.0/10 or fd7a:115c:a1e0::/48 "
		                     "and hold addresses",
		                     text);
	return 0;
}

static int check_prefixes(struct config *c, struct fault *reterr)
{
	int r = check_prefix(c, "prefixes.v4", c->prefix_v4, &c->v4, reterr);

	if (r >= 0)
		r = check_prefix(c, "prefixes.v6", c->prefix_v6, &c->v6, reterr);
	if (r >= 0 && !*c->prefix_v4 && !*c->prefix_v6)
		r = config_refuse(c, reterr, "prefixes.v4", "one of v4 and v6 is needed");
	return r;
}

/* Names of nodes must not shadow the server's own. */
static int check_domain(const struct config *c, struct fault *reterr)
{
	char host[256];
	AUTO_FREE char *below = str_fmt(".%s", c->base_domain);

	config_host(c, host);
	if (!*c->base_domain)
		return 0;
	if (span_is_nocase(span_str(host), c->base_domain) || span_ends(span_str(host), below))
		return config_refuse(c, reterr, "server_url",
		                     "its host %.80s must not be dns.base_domain or below it",
		                     host);
	return 0;
}

static bool is_url(const char *text)
{
	struct span s = span_str(text);

	return (span_starts(s, "https://") && s.n > 8) || (span_starts(s, "http://") && s.n > 7);
}

static bool one_of(const char *text, const char *words)
{
	struct span rest = span_str(words), word;

	while (span_word(&rest, &word))
		if (span_is(word, text))
			return true;
	return false;
}

static int check_words(const struct config *c, struct fault *reterr)
{
	const struct {
		const char *key, *value, *words;
	} choices[] = {
		{ "prefixes.allocation", c->allocation, "sequential random" },
		{ "database.type", c->db_type, "sqlite sqlite3" },
		{ "policy.mode", c->policy_mode, "file database" },
		{ "tls_letsencrypt_challenge_type", c->le_challenge, "HTTP-01 TLS-ALPN-01" },
		{ "oidc.pkce.method", c->oidc_pkce_method, "S256 plain" },
	};

	for (size_t i = 0; i < ARRAY_LEN(choices); i++)
		if (!one_of(choices[i].value, choices[i].words))
			return config_refuse(c, reterr, choices[i].key, "\"%.40s\" is none of: %s",
			                     choices[i].value, choices[i].words);
	return 0;
}

static int check_times(const struct config *c, struct fault *reterr)
{
	if (c->ephemeral_us && c->ephemeral_us <= 65 * US_PER_S)
		return config_refuse(c, reterr, "node.ephemeral.inactivity_timeout",
		                     "it must be more than 65s");
	if (!c->ha_interval_us)
		return 0;
	if (c->ha_interval_us < 2 * US_PER_S)
		return config_refuse(c, reterr, "node.routes.ha.probe_interval",
		                     "it must be 2s or more, or 0");
	if (c->ha_timeout_us < US_PER_S || c->ha_timeout_us >= c->ha_interval_us)
		return config_refuse(c, reterr, "node.routes.ha.probe_timeout",
		                     "it must be 1s or more, and below probe_interval");
	return 0;
}

static int check_proxies(const struct config *c, struct fault *reterr)
{
	struct prefix p;

	for (size_t i = 0; i < c->trusted_proxies.n; i++)
		if (prefix_parse(span_str(c->trusted_proxies.v[i]), &p) < 0)
			return config_refuse(c, reterr, "trusted_proxies", "\"%.60s\" is no prefix",
			                     c->trusted_proxies.v[i]);
	return 0;
}

static int check_oidc(const struct config *c, struct fault *reterr)
{
	if (!*c->oidc_issuer)
		return 0;
	if (!is_url(c->oidc_issuer))
		return config_refuse(c, reterr, "oidc.issuer", "it must begin with https://");
	if (!*c->oidc_client_id)
		return config_refuse(c, reterr, "oidc.client_id", "it is needed with oidc.issuer");
	if (*c->oidc_client_secret && *c->oidc_client_secret_path)
		return config_refuse(c, reterr, "oidc.client_secret",
		                     "it and oidc.client_secret_path exclude each other");
	return 0;
}

static int check_values(const struct config *c, struct fault *reterr)
{
	int r = check_words(c, reterr);

	if (r >= 0)
		r = check_times(c, reterr);
	if (r >= 0)
		r = check_proxies(c, reterr);
	if (r >= 0)
		r = check_oidc(c, reterr);
	if (r < 0)
		return r;
	if (*c->server_url && !is_url(c->server_url))
		return config_refuse(c, reterr, "server_url",
		                     "it must begin with https:// or http://");
	if (!*c->tls_cert_path != !*c->tls_key_path)
		return config_refuse(c, reterr,
		                     *c->tls_cert_path ? "tls_cert_path" : "tls_key_path",
		                     "tls_cert_path and tls_key_path go together");
	if (c->derp_enabled && (c->derp_region_id < 1 || c->derp_region_id > UINT16_MAX))
		return config_refuse(c, reterr, "derp.server.region_id", "it must be 1 to 65535");
	return 0;
}

static void default_path(struct config *c, const char **slot, const char *dir, const char *name)
{
	if (!**slot)
		*slot = arena_fmt(&c->arena, "%s/%s", dir, name);
}

static void set_defaults(struct config *c, const char *state_dir)
{
	default_path(c, &c->noise_key_path, state_dir, "noise_private.key");
	default_path(c, &c->derp_key_path, state_dir, "derp_server_private.key");
	default_path(c, &c->db_path, state_dir, "db.sqlite");
	default_path(c, &c->unix_socket, "/var/run/headscale", "headscale.sock");
	if (!*c->server_url)
		c->server_url = arena_fmt(&c->arena, "http://%s", c->listen_addr);
	while (span_ends(span_str(c->server_url), "/"))
		c->server_url = arena_str(&c->arena,
		                          span(c->server_url, strlen(c->server_url) - 1));
}

int config_finish(struct config *c, const char *state_dir, struct fault *reterr)
{
	int r = check_values(c, reterr);

	if (r >= 0)
		r = check_prefixes(c, reterr);
	set_defaults(c, state_dir);
	return r < 0 ? r : check_domain(c, reterr);
}
