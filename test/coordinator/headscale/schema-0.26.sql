-- The tables of Headscale 0.26.
CREATE TABLE migrations (
  id text PRIMARY KEY);
CREATE TABLE users (
  id integer PRIMARY KEY AUTOINCREMENT, created_at datetime, updated_at datetime, deleted_at datetime, name text,
  display_name text, email text, provider_identifier text, provider text, profile_pic_url text);
CREATE TABLE pre_auth_keys (
  id integer PRIMARY KEY AUTOINCREMENT, key text, user_id integer, reusable numeric,
  ephemeral numeric DEFAULT false, used numeric DEFAULT false, tags text, created_at datetime,
  expiration datetime);
CREATE TABLE api_keys (
  id integer PRIMARY KEY AUTOINCREMENT, prefix text, hash blob, created_at datetime, expiration datetime,
  last_seen datetime);
CREATE TABLE nodes (
  id integer PRIMARY KEY AUTOINCREMENT, machine_key text, node_key text, disco_key text, endpoints text,
  host_info text, ipv4 text, ipv6 text, hostname text, given_name varchar(63), user_id integer,
  register_method text, forced_tags text, auth_key_id integer, expiry datetime, last_seen datetime,
  approved_routes text, created_at datetime, updated_at datetime, deleted_at datetime);
CREATE TABLE policies (
  id integer PRIMARY KEY AUTOINCREMENT, created_at datetime, updated_at datetime, deleted_at datetime,
  data text);
