#include "relay/config.h"

#include <stddef.h>

#include "base/err.h"
#include "base/file.h"
#include "base/mem.h"
#include "base/time.h"

enum kind { TEXT, TRUTH, NUMBER, SIZE, DURATION };

struct setting {
	const char *name;
	enum kind kind;
	size_t at;
	const char *preset;
	const char *value; /* placeholder */
	const char *help;
};

#define AT(field) offsetof(struct relay_config, field)

/* clang-format off */
static const struct setting settings[] = {
	{ "listen",            TEXT,     AT(listen),              "[::]:443", "ADDRS", "serve TLS here" },
	{ "http-listen",       TEXT,     AT(http_listen),         "[::]:80",  "ADDRS", "answer captive-portal probes and redirect to TLS here" },
	{ "plain-listen",      TEXT,     AT(plain_listen),        "",         "ADDRS", "serve everything without TLS here: behind a proxy, or for tests" },
	{ "hostname",          TEXT,     AT(hostname),            "",         "NAME",  "the name clients know us by" },
	{ "key-file",          TEXT,     AT(key_file),            "/var/lib/fairlead-relay/relay.key", "FILE", "our private key; made if it is not there" },
	{ "cert-file",         TEXT,     AT(cert_file),           "",         "FILE",  "certificate chain, PEM; read again when it changes and on SIGHUP" },
	{ "cert-key-file",     TEXT,     AT(cert_key_file),       "",         "FILE",  "its private key" },
	{ "self-signed",       TRUTH,    AT(self_signed),         "no",       "YES",   "make a certificate of our own, kept beside the key; clients are given its hash" },
	{ "acme",              TEXT,     AT(acme),                "",         "WHO",   "get the certificate for our hostname by ACME: \"letsencrypt\", or a directory's URL" },
	{ "acme-folder",       TEXT,     AT(acme_folder),         "/var/lib/fairlead-relay/acme", "DIR", "where the account's key and the certificate are kept" },
	{ "acme-contact",      TEXT,     AT(acme_contact),        "",         "URL",   "\"mailto:...\", for the CA to reach us" },
	{ "acme-challenge",    TEXT,     AT(acme_challenge),      "",         "KIND",  "\"http\" (port 80) or \"tls\" (port 443), where the CA reaches only one" },
	{ "stun",              TRUTH,    AT(stun),                "yes",      "YES",   "answer STUN" },
	{ "stun-port",         NUMBER,   AT(stun_port),           "3478",     "PORT",  "UDP port of STUN" },
	{ "stun-rate",         NUMBER,   AT(stun_rate),           "20",       "N",     "STUN answers a second for one source" },
	{ "mesh-key-file",     TEXT,     AT(mesh_key_file),       "",         "FILE",  "64 hex digits that the relays of our region share" },
	{ "mesh-with",         TEXT,     AT(mesh_with),           "",         "HOSTS", "the other relays: host, host:port, host/address-to-dial, http://host" },
	{ "verify-url",        TEXT,     AT(verify_url),          "",         "URL",   "ask here whether a client may come in" },
	{ "verify-fail-open",  TRUTH,    AT(verify_fail_open),    "yes",      "YES",   "let clients in while the verifier cannot be reached" },
	{ "verify-cache",      DURATION, AT(verify_cache_us),     "1m",       "TIME",  "how long an answer of the verifier holds" },
	{ "allowed-keys",      TEXT,     AT(allowed_keys),        "",         "FILE",  "let in only these: a line a node key; read again on SIGHUP" },
	{ "client-rate",       SIZE,     AT(client_rate),         "0",        "BYTES", "what one client may send in a second; 0: no limit" },
	{ "client-burst",      SIZE,     AT(client_burst),        "1M",       "BYTES", "and at once" },
	{ "accept-rate",       NUMBER,   AT(accept_rate),         "0",        "N",     "new connections in a second; 0: no limit" },
	{ "accept-burst",      NUMBER,   AT(accept_burst),        "1000",     "N",     "and at once" },
	{ "max-clients",       NUMBER,   AT(max_clients),         "0",        "N",     "clients in all; 0: as many as there are descriptors" },
	{ "max-pending",       NUMBER,   AT(max_pending),         "20000",    "N",     "connections that have not asked for anything yet" },
	{ "packet-memory",     SIZE,     AT(packet_memory),       "64M",      "BYTES", "memory for packets that wait" },
	{ "client-queue",      SIZE,     AT(client_queue),        "192K",     "BYTES", "what may wait for one client" },
	{ "write-timeout",     DURATION, AT(write_timeout_us),    "2s",       "TIME",  "close a client that takes nothing for so long; 0s: never" },
	{ "tcp-keepalive",     DURATION, AT(tcp_keepalive_us),    "10m",      "TIME",  "idle time before TCP probes" },
	{ "tcp-user-timeout",  DURATION, AT(tcp_user_timeout_us), "15s",      "TIME",  "give up on unacknowledged data after so long" },
	{ "home",              TEXT,     AT(home),                "",         "WHAT",  "front page: empty for ours, \"blank\", or a URL to redirect to" },
	{ "bootstrap-names",   TEXT,     AT(bootstrap_names),     "",         "NAMES", "host names whose addresses /bootstrap-dns tells everybody" },
	{ "unpublished-names", TEXT,     AT(unpublished_names),   "",         "NAMES", "the same, for those who ask for one by name" },
	{ "public-metrics",    TRUTH,    AT(public_metrics),      "no",       "YES",   "show /metrics to everybody, not to this machine alone" },
	{ "user",              TEXT,     AT(user),                "",         "NAME",  "become this user once the ports are bound" },
	{ "sandbox",           TRUTH,    AT(sandbox),             "yes",      "YES",   "system-call filter and Landlock, where the kernel has them" },
	{ "log-level",         TEXT,     AT(log_level),           "info",     "LEVEL", "error, warn, info or debug" },
};
/* clang-format on */

static const struct setting *find(struct span name)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		if (span_is(name, settings[i].name))
			return &settings[i];
	}
	return NULL;
}

static void *slot(struct relay_config *c, const struct setting *s)
{
	return (char *)c + s->at;
}

static int parse_truth(struct span v, bool *ret)
{
	if (span_is(v, "yes") || span_is(v, "true") || span_is(v, "1"))
		*ret = true;
	else if (span_is(v, "no") || span_is(v, "false") || span_is(v, "0"))
		*ret = false;
	else
		return ERR_MALFORMED;
	return 0;
}

/* "65536", "64K", "1M", "2G" */
static int parse_size(struct span v, uint64_t *ret)
{
	static const char units[] = "KMG";
	const char *unit = v.n ? strchr(units, v.p[v.n - 1]) : NULL;
	unsigned shift = unit && *unit ? 10 * (unsigned)(unit - units + 1) : 0;
	uint64_t n;
	int r = span_u64(shift ? span_first(v, v.n - 1) : v, UINT64_C(1) << 30, &n);

	if (r == 0)
		*ret = n << shift;
	return r;
}

static int set(struct relay_config *c, const struct setting *s, struct span value)
{
	char **text = slot(c, s);

	switch (s->kind) {
	case TEXT:
		free(*text);
		*text = span_dup(value);
		return 0;
	case TRUTH:
		return parse_truth(value, slot(c, s));
	case NUMBER:
		return span_u64(value, UINT32_MAX, slot(c, s));
	case SIZE:
		return parse_size(value, slot(c, s));
	case DURATION:
		return duration_parse(value, slot(c, s));
	}
	return ERR_UNKNOWN;
}

int relay_config_set(struct relay_config *c, struct span name, struct span value,
                     struct fault *reterr)
{
	const struct setting *s = find(name);

	if (!s)
		return fault_set(reterr, ERR_UNKNOWN, 0, 0, "no setting \"%.*s\"", SPAN_FMT(name));

	int r = set(c, s, value);

	if (r < 0)
		return fault_set(reterr, r, 0, 0, "%s: \"%.*s\" is no %s", s->name, SPAN_FMT(value),
		                 s->value);
	return 0;
}

void relay_config_init(struct relay_config *c)
{
	*c = (struct relay_config){ 0 };
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		if (set(c, &settings[i], span_str(settings[i].preset)) < 0)
			abort(); /* our own table */
	}
}

void relay_config_done(struct relay_config *c)
{
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		if (settings[i].kind == TEXT) {
			char **text = slot(c, &settings[i]);

			free(TAKE(*text));
		}
	}
}

static int read_line(struct relay_config *c, struct span line, struct fault *reterr)
{
	struct span name;

	line = span_trim(span_first(line, span_find(line, '#')));
	if (!span_word(&line, &name))
		return 0;
	line = span_trim(line);
	if (span_starts(line, "="))
		line = span_trim(span_from(line, 1));
	return relay_config_set(c, name, line, reterr);
}

int relay_config_read(struct relay_config *c, struct span text, struct fault *reterr)
{
	struct span line;

	for (unsigned n = 1; span_cut(&text, '\n', &line); n++) {
		int r = read_line(c, line, reterr);

		if (r < 0) {
			if (reterr)
				reterr->line = n;
			return r;
		}
	}
	return 0;
}

static int read_file(struct relay_config *c, const char *path, struct fault *reterr)
{
	AUTO_DONE(buf) struct buf text = { 0 };
	int r = file_read(path, CONFIG_FILE_MAX, &text);

	if (r < 0)
		return fault_set(reterr, r, 0, 0, "%s: %s", path, err_text(r));
	return relay_config_read(c, buf_span(&text), reterr);
}

void relay_config_help(struct buf *out)
{
	buf_add_str(out, "usage: fairlead-relay [--config FILE] [--SETTING VALUE]...\n\n"
	                 "Passes on packets between nodes of a WireGuard mesh (DERP), and tells "
	                 "them how they\nare seen from outside (STUN). The settings, which may "
	                 "also stand in the file:\n\n");
	for (size_t i = 0; i < ARRAY_LEN(settings); i++) {
		const struct setting *s = &settings[i];

		buf_fmt(out, "  --%s %s\n        %s", s->name, s->value, s->help);
		if (s->preset[0])
			buf_fmt(out, " [%s]", s->preset);
		buf_add_str(out, "\n");
	}
}

/* "--name=value" or "--name value"; a truth may stand alone. Returns how many words it took. */
static int take_flag(int argc, char *const *argv, struct span *ret_name, struct span *ret_value,
                     struct fault *reterr)
{
	struct span arg = span_str(argv[0]);
	size_t eq = span_find(arg, '=');
	size_t dashes = span_starts(arg, "--") ? 2 : 1;

	if (!span_starts(arg, "-") || arg.n <= dashes)
		return fault_set(reterr, ERR_MALFORMED, 0, 0, "\"%s\" is no flag", argv[0]);
	*ret_name = span_from(span_first(arg, eq), dashes);
	if (eq < arg.n) {
		*ret_value = span_from(arg, eq + 1);
		return 1;
	}

	const struct setting *s = find(*ret_name);

	if (s && s->kind == TRUTH && (argc < 2 || argv[1][0] == '-')) {
		*ret_value = SPAN_LIT("yes");
		return 1;
	}
	if (argc < 2)
		return fault_set(reterr, ERR_SHORT, 0, 0, "%s needs a value", argv[0]);
	*ret_value = span_str(argv[1]);
	return 2;
}

/* Once for --config alone, then for the rest, which wins. */
static int each_flag(struct relay_config *c, int argc, char *const *argv, bool files,
                     struct fault *reterr)
{
	for (int i = 1, n; i < argc; i += n) {
		struct span name, value;
		int r = 0;

		n = take_flag(argc - i, argv + i, &name, &value, reterr);
		if (n < 0)
			return n;
		if (span_is(name, "config")) {
			AUTO_FREE char *path = span_dup(value);

			if (files)
				r = read_file(c, path, reterr);
		} else if (!files) {
			r = relay_config_set(c, name, value, reterr);
		}
		if (r < 0)
			return r;
	}
	return 0;
}

int relay_config_args(struct relay_config *c, int argc, char *const *argv, struct buf *ret_text,
                      struct fault *reterr)
{
	if (argc == 2 && strcmp(argv[1], "--help") == 0) {
		relay_config_help(ret_text);
		return 1;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		buf_add_str(ret_text, "fairlead-relay " FAIRLEAD_VERSION "\n");
		return 1;
	}

	int r = each_flag(c, argc, argv, true, reterr);

	return r < 0 ? r : each_flag(c, argc, argv, false, reterr);
}
