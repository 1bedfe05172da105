#include "coordinator/cmd_priv.h"

/* clang-format off */
static const struct cmd_flag no_flags[] = { { 0 } };
static const struct cmd_flag serve_flags[] = {
	{ "domain",     0, FLAG_TEXT, NULL, NULL, "without a configuration: serve this name, behind a proxy" },
	{ "user",       0, FLAG_TEXT, NULL, NULL, "started as root: become this user" },
	{ "no-sandbox", 0, FLAG_TRUE, NULL, NULL, "without Landlock and the filter of system calls" },
	{ 0 },
};

static const struct cmd_flag user_create[] = {
	{ "display-name", 'd', FLAG_TEXT, "display_name", NULL, "display name" },
	{ "email",        'e', FLAG_TEXT, "email",        NULL, "e-mail" },
	{ "picture-url",  'p', FLAG_TEXT, "picture_url",  NULL, "URL of a picture" },
	{ 0 },
};
static const struct cmd_flag user_which[] = {
	{ "identifier", 'i', FLAG_NUMBER, "id",       NULL, "user's id" },
	{ "name",       'n', FLAG_TEXT,   "name",     NULL, "user's name" },
	{ "email",      'e', FLAG_TEXT,   "email",    NULL, "user's e-mail" },
	{ 0 },
};
static const struct cmd_flag key_create[] = {
	{ "user",       'u', FLAG_NUMBER,   "user",       NULL, "id of the user it belongs to" },
	{ "reusable",   0,   FLAG_TRUE,     "reusable",   NULL, "may be used more than once" },
	{ "ephemeral",  0,   FLAG_TRUE,     "ephemeral",  NULL, "its nodes vanish when they go offline" },
	{ "expiration", 'e', FLAG_DURATION, "expiration", "1h", "how long it is good (30m, 24h, 90d)" },
	{ "tags",       0,   FLAG_LIST,     "acl_tags",   NULL, "tags of its nodes" },
	{ 0 },
};
static const struct cmd_flag by_id[] = {
	{ "id",         'i', FLAG_NUMBER, "id", NULL, "id" },
	{ "identifier", 0,   FLAG_NUMBER, "id", NULL, "id" },
	{ 0 },
};
static const struct cmd_flag api_create[] = {
	{ "expiration", 'e', FLAG_DURATION, "expiration", "90d", "how long it is good" },
	{ 0 },
};
static const struct cmd_flag api_which[] = {
	{ "prefix", 'p', FLAG_TEXT,   "prefix", NULL, "the key's prefix" },
	{ "id",     'i', FLAG_NUMBER, "id",     NULL, "the key's id" },
	{ 0 },
};
static const struct cmd_flag node_list[] = {
	{ "user",       'u', FLAG_TEXT,   "user", NULL, "nodes of this user alone" },
	{ "identifier", 'i', FLAG_NUMBER, "id",   NULL, "this node alone" },
	{ "tags",       't', FLAG_LOCAL,  NULL,   NULL, "show tags" },
	{ 0 },
};
static const struct cmd_flag routes_list[] = {
	{ "identifier", 'i', FLAG_NUMBER, "id",   NULL, "this node alone" },
	{ 0 },
};
static const struct cmd_flag node_which[] = {
	{ "identifier", 'i', FLAG_NUMBER, "id", NULL, "node's id", true },
	{ 0 },
};
static const struct cmd_flag node_register[] = {
	{ "key",  'k', FLAG_TEXT, "key",  NULL, "id of the pending login", true },
	{ "user", 'u', FLAG_TEXT, "user", NULL, "user the node shall belong to", true },
	{ 0 },
};
static const struct cmd_flag auth_register[] = {
	{ "auth-id", 0,   FLAG_TEXT, "key",  NULL, "id of the pending login", true },
	{ "user",    'u', FLAG_TEXT, "user", NULL, "user the node shall belong to", true },
	{ 0 },
};
static const struct cmd_flag debug_node[] = {
	{ "key",   'k', FLAG_TEXT, "key",    NULL, "id of the login to make", true },
	{ "name",  0,   FLAG_TEXT, "name",   NULL, "host name", true },
	{ "user",  'u', FLAG_TEXT, "user",   NULL, "user", true },
	{ "route", 'r', FLAG_LIST, "routes", NULL, "routes to advertise" },
	{ 0 },
};
static const struct cmd_flag user_rename[] = {
	{ "identifier", 'i', FLAG_NUMBER, "id",       NULL, "user's id" },
	{ "name",       'n', FLAG_TEXT,   "name",     NULL, "user's name" },
	{ "new-name",   'r', FLAG_TEXT,   "new_name", NULL, "the new name", true },
	{ 0 },
};
static const struct cmd_flag auth_which[] = {
	{ "auth-id", 0, FLAG_TEXT, "key", NULL, "id of the pending request", true },
	{ 0 },
};
static const struct cmd_flag node_expire[] = {
	{ "identifier", 'i', FLAG_NUMBER, "id",      NULL, "node's id", true },
	{ "expiry",     'e', FLAG_TEXT,   "expiry",  NULL, "when (RFC 3339); now if not given" },
	{ "disable",    'd', FLAG_TRUE,   "disable", NULL, "never" },
	{ 0 },
};
static const struct cmd_flag node_tag[] = {
	{ "identifier", 'i', FLAG_NUMBER, "id",   NULL, "node's id", true },
	{ "tags",       't', FLAG_LIST,   "tags", NULL, "the tags, in place of those before" },
	{ 0 },
};
static const struct cmd_flag node_routes[] = {
	{ "identifier", 'i', FLAG_NUMBER, "id",     NULL, "node's id", true },
	{ "routes",     'r', FLAG_LIST,   "routes", NULL, "the routes, in place of those before" },
	{ 0 },
};
static const struct cmd_flag node_attribute[] = {
	{ "identifier", 'i', FLAG_NUMBER, "id",     NULL, "node's id", true },
	{ "name",       'n', FLAG_TEXT,   "name",   NULL, "custom:NAME" },
	{ "value",      0,   FLAG_TEXT,   "value",  NULL, "its value; without one it is taken away" },
	{ "expiry",     'e', FLAG_TEXT,   "expiry", NULL, "when it ends (RFC 3339)" },
	{ 0 },
};
static const struct cmd_flag node_ask[] = {
	{ "identifier", 'i', FLAG_NUMBER, "id",     NULL, "node's id", true },
	{ "method",     0,   FLAG_TEXT,   "method", NULL, "GET, or POST with --data, unless given" },
	{ "data",       0,   FLAG_TEXT,   "body",   NULL, "what to send" },
	{ 0 },
};
static const struct cmd_flag user_role[] = {
	{ "identifier", 'i', FLAG_NUMBER, "id",   NULL, "user's id" },
	{ "name",       'n', FLAG_TEXT,   "name", NULL, "user's name" },
	{ "role",       'r', FLAG_TEXT,   "role", NULL, "owner, admin, network-admin, it-admin, billing-admin, auditor, member" },
	{ 0 },
};
static const struct cmd_flag audit_flags[] = {
	{ "limit",  'l', FLAG_NUMBER, "limit",  NULL, "how many entries" },
	{ "before", 0,   FLAG_NUMBER, "before", NULL, "older than this entry" },
	{ 0 },
};

#define BYPASS { "bypass-grpc-and-access-database-directly", 0, FLAG_LOCAL, NULL, NULL, "without the server" }
static const struct cmd_flag policy_file[] = {
	{ "file", 'f', FLAG_FILE, "policy", NULL, "the policy's file", true },
	BYPASS,
	{ 0 },
};
static const struct cmd_flag policy_get[] = { BYPASS, { 0 } };

static const struct cmd_column user_columns[] = {
	{ "ID", "id" }, { "Name", "display_name" }, { "Username", "name" }, { "Email", "email" },
	{ "Created", "created_at", CELL_TIME }, { 0 },
};
static const struct cmd_column key_columns[] = {
	{ "ID", "id" }, { "Key/Prefix", "key" }, { "Reusable", "reusable", CELL_BOOL },
	{ "Ephemeral", "ephemeral", CELL_BOOL }, { "Used", "used", CELL_BOOL },
	{ "Expiration", "expiration", CELL_TIME, "-" }, { "Created", "created_at", CELL_TIME },
	{ "Owner", "user.name", CELL_OWNER }, { 0 },
};
static const struct cmd_column api_columns[] = {
	{ "ID", "id" }, { "Prefix", "prefix" }, { "Expiration", "expiration", CELL_TIME, "-" },
	{ "Created", "created_at", CELL_TIME }, { 0 },
};
static const struct cmd_column node_columns[] = {
	{ "ID", "id" }, { "Hostname", "name" }, { "Name", "given_name" },
	{ "MachineKey", "machine_key", CELL_KEY }, { "NodeKey", "node_key", CELL_KEY },
	{ "User", "user.name" }, { "Tags", "tags", CELL_LINES },
	{ "IP addresses", "ip_addresses", CELL_LINES },
	{ "Ephemeral", "pre_auth_key.ephemeral", CELL_BOOL }, { "Last seen", "last_seen", CELL_TIME },
	{ "Expiration", "expiry", CELL_TIME, "N/A" }, { "Connected", "online", CELL_ONLINE },
	{ "Expired", "expiry", CELL_PAST }, { 0 },
};
static const struct cmd_column route_columns[] = {
	{ "ID", "id" }, { "Hostname", "given_name" }, { "Approved", "approved_routes", CELL_LINES },
	{ "Available", "available_routes", CELL_LINES },
	{ "Serving (Primary)", "subnet_routes", CELL_LINES }, { 0 },
};
static const struct cmd_column key_member[] = { { "Key", "key" }, { 0 } };
static const struct cmd_column answer_member[] = { { "Answer", "body" }, { 0 } };
static const struct cmd_column policy_member[] = { { "Policy", "policy" }, { 0 } };
static const struct cmd_column audit_columns[] = {
	{ "ID", "id" }, { "Time", "at" }, { "Actor", "actor" }, { "Action", "action" }, { "Target", "target" }, { 0 },
};

#define LIST "ls show"
#define CREATE "c new"
#define EXPIRE "revoke exp e"
#define DELETE "del remove rm d"
#define USERS "users", "user"
#define NODES "nodes", "node machines machine"
#define KEYS "preauthkeys", "preauthkey authkey pre"
#define APIKEYS "apikeys", "apikey api"

static const struct cmd_confirm confirm_user = {
	"users.list", "Do you want to remove the user \"{name}\" ({id}) and any associated preauthkeys?",
	"User not destroyed",
};
static const struct cmd_confirm confirm_node = {
	"nodes.list", "Do you want to remove the node {name}?", "Node not deleted",
};
static const struct cmd_confirm confirm_addresses = {
	NULL, "Are you sure that you want to assign/remove IPs to/from nodes?", NULL,
};

const struct cmd cmd_table[] = {
	{ NULL, NULL, "serve", "server", NULL, NULL, serve_flags, NULL, SHAPE_DONE, NULL, "Run the coordinator", cmd_serve },
	{ NULL, NULL, "configtest", "", NULL, NULL, no_flags, NULL, SHAPE_DONE, NULL, "Check the configuration", cmd_configtest },
	{ NULL, NULL, "import", "", NULL, NULL, no_flags, NULL, SHAPE_DONE, NULL, "import headscale [--dry-run]: take over a Headscale installation", cmd_import },
	{ NULL, NULL, "version", "", NULL, NULL, no_flags, NULL, SHAPE_DONE, NULL, "Print the version", cmd_version, true },
	{ NULL, NULL, "generate", "gen", NULL, NULL, no_flags, NULL, SHAPE_DONE, NULL, "generate private-key: print a fresh key", cmd_generate, true },
	{ NULL, NULL, "health", "", "health", NULL, no_flags, NULL, SHAPE_DONE, "", "Ask whether the server works", NULL },
	{ USERS, "create", CREATE, "users.create", "name", user_create, user_columns, SHAPE_DONE, "User created", "Create a user", NULL },
	{ USERS, "list", LIST, "users.list", NULL, user_which, user_columns, SHAPE_TABLE, NULL, "List users", NULL },
	{ USERS, "rename", "mv", "users.rename", NULL, user_rename, user_columns, SHAPE_DONE, "User renamed", "Rename a user", NULL },
	{ USERS, "destroy", "delete", "users.delete", NULL, user_which, NULL, SHAPE_DONE, "User destroyed", "Delete a user without nodes", NULL, false, &confirm_user },
	{ USERS, "role", "", "users.role", NULL, user_role, NULL, SHAPE_DONE, "Role set", "Give a user a role that the policy knows (autogroup:ROLE)", NULL },
	{ NODES, "list", LIST, "nodes.list", NULL, node_list, node_columns, SHAPE_TABLE, NULL, "List nodes", NULL },
	{ NODES, "list-routes", "lsr routes", "nodes.routes", NULL, routes_list, route_columns, SHAPE_TABLE, NULL, "List routes of nodes", NULL },
	{ NODES, "register", "", "nodes.register", NULL, node_register, node_columns, SHAPE_DONE, "Node {} registered", "Let a waiting node in", NULL },
	{ NODES, "approve", "", "nodes.approve", NULL, node_which, node_columns, SHAPE_DONE, "Node approved", "Approve a device", NULL },
	{ NODES, "expire", "logout exp e", "nodes.expire", NULL, node_expire, node_columns, SHAPE_EXPIRY, NULL, "End a node's key", NULL },
	{ NODES, "rename", "", "nodes.rename", "new_name", node_which, node_columns, SHAPE_DONE, "Node renamed", "Give a node a name", NULL },
	{ NODES, "delete", "del", "nodes.delete", NULL, node_which, NULL, SHAPE_DONE, "Node deleted", "Delete a node", NULL, false, &confirm_node },
	{ NODES, "tag", "tags t", "nodes.tag", NULL, node_tag, node_columns, SHAPE_DONE, "Node updated", "Set a node's tags", NULL },
	{ NODES, "approve-routes", "", "nodes.approve-routes", NULL, node_routes, route_columns, SHAPE_DONE, "Node updated", "Approve a node's routes", NULL },
	{ NODES, "attribute", "", "nodes.attribute", NULL, node_attribute, NULL, SHAPE_DONE, "Attribute set", "Set an attribute for the policy's postures", NULL },
	{ NODES, "ask", "", "nodes.ask", "path", node_ask, answer_member, SHAPE_MEMBER, NULL, "ask PATH: ask a node, such as /debug/health", NULL },
	{ NODES, "backfillips", "", "nodes.backfillips", NULL, no_flags, NULL, SHAPE_DONE, "Node IPs backfilled successfully", "Give missing addresses", NULL, false, &confirm_addresses },
	{ "auth", "", "register", "", "nodes.register", NULL, auth_register, node_columns, SHAPE_DONE, "Node {} registered", "Let a waiting node in", NULL },
	{ "auth", "", "approve", "", "auth.approve", NULL, auth_which, NULL, SHAPE_DONE, "Auth request approved", "Let an SSH session that is checked go on", NULL },
	{ "auth", "", "reject", "", "auth.reject", NULL, auth_which, NULL, SHAPE_DONE, "Auth request rejected", "Reject a pending login", NULL },
	{ "debug", "", "create-node", "", "debug.create-node", NULL, debug_node, node_columns, SHAPE_DONE, "Node created", "Make a login that waits, without a device", NULL },
	{ KEYS, "create", CREATE, "preauthkeys.create", NULL, key_create, key_member, SHAPE_MEMBER, NULL, "Create a pre-auth key", NULL },
	{ KEYS, "list", LIST, "preauthkeys.list", NULL, no_flags, key_columns, SHAPE_TABLE, NULL, "List pre-auth keys", NULL },
	{ KEYS, "expire", EXPIRE, "preauthkeys.expire", NULL, by_id, NULL, SHAPE_DONE, "Key expired", "End a pre-auth key", NULL },
	{ KEYS, "delete", DELETE, "preauthkeys.delete", NULL, by_id, NULL, SHAPE_DONE, "Key deleted", "Delete a pre-auth key", NULL },
	{ APIKEYS, "create", CREATE, "apikeys.create", NULL, api_create, NULL, SHAPE_TEXT, NULL, "Create an API key", NULL },
	{ APIKEYS, "list", LIST, "apikeys.list", NULL, no_flags, api_columns, SHAPE_TABLE, NULL, "List API keys", NULL },
	{ APIKEYS, "expire", EXPIRE, "apikeys.expire", NULL, api_which, NULL, SHAPE_DONE, "Key expired", "End an API key", NULL },
	{ APIKEYS, "delete", DELETE, "apikeys.delete", NULL, api_which, NULL, SHAPE_DONE, "Key deleted", "Delete an API key", NULL },
	{ "policy", "", "get", "show view fetch", "policy.get", NULL, policy_get, policy_member, SHAPE_MEMBER, NULL, "Print the stored policy", NULL },
	{ "policy", "", "set", "put update", "policy.set", NULL, policy_file, NULL, SHAPE_ALWAYS_DONE, "Policy updated.", "Store a policy and put it in force", NULL },
	{ "policy", "", "check", "", NULL, NULL, policy_file, NULL, SHAPE_DONE, NULL, "check FILE: say what is wrong with a policy", cmd_policy, true },
	{ "policy", "", "compile", "", NULL, NULL, no_flags, NULL, SHAPE_DONE, NULL, "compile --case FILE: what policies do, as JSON", cmd_policy, true },
	{ "audit", "", "list", LIST, "audit.list", NULL, audit_flags, audit_columns, SHAPE_TABLE, NULL, "List administrative changes", NULL },
	{ "audit", "", "verify", "", "audit.verify", NULL, no_flags, NULL, SHAPE_DONE, "the audit log is whole", "Check the chain of the audit log", NULL },
	{ NULL, NULL, "backup", "", NULL, NULL, no_flags, NULL, SHAPE_DONE, NULL, "backup FILE: copy the database while it is in use", cmd_backup },
	{ NULL, NULL, "restore", "", NULL, NULL, no_flags, NULL, SHAPE_DONE, NULL, "restore FILE: put a copy in the database's place, with no server running", cmd_restore },
	{ 0 },
};
/* clang-format on */
