#pragma once
/*
 * The configuration: one YAML file with Headscale 0.29's keys, environment
 * variables HEADSCALE_<KEY> (upper case, dots as underscores), sound defaults
 * for all of it. Keys nobody knows are named with their line; those that were
 * removed from Headscale stop the start with what to use instead.
 */
#include <stdbool.h>
#include <stdint.h>

#include "base/fault.h"
#include "base/ip.h"
#include "base/mem.h"
#include "base/own.h"
#include "base/span.h"
#include "coordinator/ipam.h"
#include "coordinator/model.h"

enum { CONFIG_FILE_MAX = 4 << 20, CONFIG_KEYS_MAX = 128 };

struct config_split {
	const char *domain;
	struct texts servers;
};

struct config_record {
	const char *name, *type, *value;
};

struct config_pair {
	const char *name, *value;
};

struct config {
	struct arena arena; /* the texts */
	const char *path;   /* of the file; NULL: none. The caller's */

	const char *server_url, *listen_addr, *metrics_listen_addr;
	struct texts trusted_proxies;
	const char *noise_key_path;

	const char *prefix_v4, *prefix_v6, *allocation;
	struct prefix v4, v6; /* of the above; zero bits: none */

	bool derp_enabled, derp_auto_region, derp_verify;
	int64_t derp_region_id;
	const char *derp_region_code, *derp_region_name, *derp_stun_addr, *derp_key_path;
	const char *derp_ipv4, *derp_ipv6;
	struct texts derp_urls, derp_paths;
	bool derp_auto_update;
	int64_t derp_update_us;

	int64_t node_expiry_us, ephemeral_us;
	int64_t ha_interval_us, ha_timeout_us;
	bool device_approval;

	const char *db_type, *db_path;

	const char *acme_url, *acme_email, *le_hostname, *le_cache_dir, *le_challenge, *le_listen;
	const char *tls_cert_path, *tls_key_path;
	const char *log_level, *log_format;
	const char *policy_mode, *policy_path;

	bool magic_dns, override_local_dns;
	const char *base_domain;
	struct texts nameservers, search_domains;
	VEC(struct config_split) split_dns;
	VEC(struct config_record) extra_records;
	const char *extra_records_path;
	const char *acme_hook; /* URL: who writes TXT records for nodes' certificates */
	int64_t acme_cleanup_us;

	const char *unix_socket;
	int64_t unix_socket_mode;
	bool logtail, taildrop, auto_update;

	const char *oidc_issuer, *oidc_client_id, *oidc_client_secret, *oidc_client_secret_path;
	struct texts oidc_scope, oidc_domains, oidc_users, oidc_groups;
	VEC(struct config_pair) oidc_params;
	bool oidc_email_verified, oidc_token_expiry, oidc_pkce;
	const char *oidc_pkce_method;

	int64_t login_timeout_us, login_max;

	unsigned lines[CONFIG_KEYS_MAX]; /* where keys stand; 0: not in the file. config_refuse's */
	/* Keys nobody knows, "line 12: foo.bar"; the caller prints them. */
	struct texts unknown;
	/* Headscale's keys that mean nothing here, "line 3: grpc_listen_addr: why". */
	struct texts unused;
};

void config_init(struct config *c);
void config_done(struct config *c);

/*
 * Over what is there. ERR_MALFORMED and where: no YAML, a value of the wrong
 * kind, a removed key.
 */
NODISCARD int config_parse(struct config *c, struct span yaml, struct fault *reterr);
/* HEADSCALE_* over the file. env as environ. */
NODISCARD int config_environment(struct config *c, char *const *env, struct fault *reterr);
/*
 * What has to fit together, and what follows from other values (prefixes, paths
 * below state_dir that were not given).  ERR_MALFORMED
 */
NODISCARD int config_finish(struct config *c, const char *state_dir, struct fault *reterr);

/* What is wrong with a key's value, and its line if it stands in the file. ERR_MALFORMED */
int config_refuse(const struct config *c, struct fault *reterr, const char *key, const char *fmt,
                  ...) PRINTF(4, 5);

/* Host of server_url. */
const char *config_host(const struct config *c, char dst[static 256]);
