#pragma once
/*
 * The stand-alone relay's settings: one table gives the flags, the file and the
 * help. In the file a line is "name value", "#" begins a comment; a flag is
 * --name=value or --name value. Flags win over the file.
 */
#include "base/buf.h"
#include "base/fault.h"
#include "base/own.h"
#include "base/span.h"

enum { CONFIG_FILE_MAX = 256 << 10 };

struct relay_config {
	char *listen, *http_listen, *plain_listen; /* addresses, comma-separated; "": none */
	char *hostname;
	char *key_file;
	char *cert_file, *cert_key_file;
	bool self_signed;
	char *acme, *acme_folder, *acme_contact, *acme_challenge;
	bool stun;
	uint64_t stun_port, stun_rate;
	char *mesh_key_file, *mesh_with;
	char *verify_url;
	bool verify_fail_open;
	int64_t verify_cache_us;
	char *allowed_keys;
	uint64_t client_rate, client_burst;
	uint64_t accept_rate, accept_burst;
	uint64_t max_clients, max_pending;
	uint64_t packet_memory, client_queue;
	int64_t write_timeout_us, tcp_keepalive_us, tcp_user_timeout_us;
	char *home, *bootstrap_names, *unpublished_names;
	bool public_metrics;
	char *user;
	bool sandbox;
	char *log_level;
};

void relay_config_init(struct relay_config *c); /* the defaults */
void relay_config_done(struct relay_config *c);

/* ERR_UNKNOWN: no such setting; ERR_MALFORMED: not a value of its kind */
NODISCARD int relay_config_set(struct relay_config *c, struct span name, struct span value,
                               struct fault *reterr);
/* A whole file. */
NODISCARD int relay_config_read(struct relay_config *c, struct span text, struct fault *reterr);
/*
 * The command line, and first the file that --config names. 1: --help or
 * --version was asked for and *ret_text is the answer.
 */
NODISCARD int relay_config_args(struct relay_config *c, int argc, char *const *argv,
                                struct buf *ret_text, struct fault *reterr);
void relay_config_help(struct buf *out);
