#pragma once
/*
 * The settings of the node as a person names them: one table gives the flags of
 * `up`, `login` and `set`, what `get` prints, and what goes to the daemon.
 *
 * Every setting has a text: "true", "10.0.0.0/8,192.168.0.0/24", "auto:any". Texts
 * of now (from the daemon's JSON), of the command line, and of a fresh machine
 * are compared and carried over as such.
 */
#include "base/json.h"
#include "cli/cmd.h"

struct pref_opts {
	bool accept_routes, accept_dns, exit_lan, shields_up, ssh, advertise_exit, report_posture;
	bool snat, stateful, connector, update_check, auto_update, webclient, remote_config, sync;
	const char *exit_node, *advertise_routes, *advertise_tags, *hostname, *operator_user,
		*netfilter, *nickname, *login_server, *relay_port, *relay_endpoints;
	/* no settings: how `up` and `login` go about it */
	const char *auth_key, *qr_format;
	int64_t timeout_us;
	bool reset, force_reauth, json, qr, host_routes;
	const char *accept_risk;
};

/* X(flag, kind, member, placeholder, help, how, field, standard) */
/* clang-format off */
#define PREFS_EVERYWHERE(X) \
	X("accept-routes",              FLAG,   accept_routes,    NULL,      "use subnets that other nodes share",                      BOOL,    "RouteAll",               "false") \
	X("accept-dns",                 FLAG,   accept_dns,       NULL,      "use the tailnet's names and resolvers",                   BOOL,    "CorpDNS",                "true")  \
	X("exit-node",                  STRING, exit_node,        "NODE",    "send all traffic through this node; empty: none",         EXIT,    "ExitNodeID",             "")      \
	X("exit-node-allow-lan-access", FLAG,   exit_lan,         NULL,      "keep the local network reachable beside an exit node",    BOOL,    "ExitNodeAllowLANAccess", "false") \
	X("shields-up",                 FLAG,   shields_up,       NULL,      "let nobody connect to this machine",                      BOOL,    "ShieldsUp",              "false") \
	X("ssh",                        FLAG,   ssh,              NULL,      "let the policy's SSH rules in",                           BOOL,    "RunSSH",                 "false") \
	X("hostname",                   STRING, hostname,         "NAME",    "in place of the machine's own",                           TEXT,    "Hostname",               "")      \
	X("advertise-routes",           STRING, advertise_routes, "SUBNETS", "share these subnets, separated by commas",                ROUTES,  "AdvertiseRoutes",        "")      \
	X("advertise-exit-node",        FLAG,   advertise_exit,   NULL,      "offer to be an exit node",                                OFFER,   "AdvertiseRoutes",        "false") \
	X("advertise-connector",        FLAG,   connector,        NULL,      NULL,                                                      INNER,   "AppConnector.Advertise", "false") \
	X("report-posture",             FLAG,   report_posture,   NULL,      "tell serial numbers when the coordinator asks",           BOOL,    "PostureChecking",        "false") \
	X("operator",                   STRING, operator_user,    "USER",    "a user who may change settings without root",             TEXT,    "OperatorUser",           "")      \
	X("snat-subnet-routes",         FLAG,   snat,             NULL,      "forward to shared subnets under this machine's address",  NOT,     "NoSNAT",                 "true")  \
	X("stateful-filtering",         FLAG,   stateful,         NULL,      "let nothing new from shared subnets into the tailnet",    NOT,     "NoStatefulFiltering",    "false") \
	X("netfilter-mode",             STRING, netfilter,        "MODE",    "on, nodivert, off",                                       MODE,    "NetfilterMode",          "on")
#define PREFS_OF_UP(X) \
	X("advertise-tags",             STRING, advertise_tags,   "TAGS",    "ask to be tagged, as eng,server",                         TAGS,    "AdvertiseTags",          "")      \
	X("login-server",               STRING, login_server,     "URL",     "the coordinator",                                         SERVER,  "ControlURL",             "https://controlplane.tailscale.com")
#define PREFS_OF_LOGIN(X) \
	X("nickname",                   STRING, nickname,         "NAME",    "of this login, for `switch`",                             TEXT,    "ProfileName",            "")
#define PREFS_OF_SET(X) \
	X("update-check",               FLAG,   update_check,     NULL,      "tell of new versions",                                    INNER,   "AutoUpdate.Check",       "true")  \
	X("auto-update",                FLAG,   auto_update,      NULL,      NULL,                                                      INNER,   "AutoUpdate.Apply",       "false") \
	X("webclient",                  FLAG,   webclient,        NULL,      NULL,                                                      BOOL,    "RunWebClient",           "false") \
	X("remote-config",              FLAG,   remote_config,    NULL,      NULL,                                                      BOOL,    "RemoteConfig",           "false") \
	X("sync",                       FLAG,   sync,             NULL,      NULL,                                                      BOOL,    "Sync",                   "false") \
	X("relay-server-port",          STRING, relay_port,       "PORT",    "relay for other nodes on this UDP port; empty: do not",   NUMBER,  "RelayServerPort",        "")      \
	X("relay-server-static-endpoints", STRING, relay_endpoints, "ADDRS", "where that relay is reached, as 192.0.2.1:40000",         LIST,    "RelayServerStaticEndpoints", "")
/* clang-format on */

enum pref_how {
	PREF_BOOL,
	PREF_NOT,   /* the daemon's is the opposite */
	PREF_INNER, /* a member of an object: "AutoUpdate.Check" */
	PREF_TEXT,
	PREF_SERVER,
	PREF_TAGS,
	PREF_LIST,
	PREF_NUMBER, /* may be absent */
	PREF_ROUTES, /* of AdvertiseRoutes: all but the default routes ... */
	PREF_OFFER,  /* ... and whether those are there */
	PREF_EXIT,
	PREF_MODE,
};

struct pref {
	const char *flag;
	enum cmd_kind kind;
	size_t at; /* in struct pref_opts */
	enum pref_how how;
	const char *field, *standard;
	bool hidden;
	unsigned of; /* enum pref_of */
};

enum pref_of { PREF_OF_UP = 1, PREF_OF_LOGIN = 2, PREF_OF_SET = 4 };

/* Ends with a NULL flag; in the order of the alphabet. */
extern const struct pref prefs_table[];

const struct pref *pref_find(const char *flag);
/* The text of now; the caller's to free. */
char *pref_now(const struct pref *p, const struct js *prefs, const struct js *status);
/* The text after the command: what was given, else that of a fresh machine, or of now. */
char *pref_after(const struct cli *cli, const struct pref *p, const struct pref_opts *o,
                 const struct js *prefs, const struct js *status);

/*
 * The settings (of `of`) that are not standard, were not given, and would be
 * gone if what is not given became standard: as flags, "--accept-routes
 * --hostname=x", what was given first. NULL: none would be lost.
 */
char *prefs_lost(const struct cli *cli, unsigned of, const struct pref_opts *o,
                 const struct js *prefs, const struct js *status);

/*
 * Members of a MaskedPrefs object, for all of `of` that were given (all: the
 * others too, as standard). 0, or an exit status: a text is no such thing.
 */
NODISCARD int prefs_patch(struct cli *cli, unsigned of, bool all, const struct pref_opts *o,
                          const struct js *prefs, const struct js *status, struct js_wr *w);
