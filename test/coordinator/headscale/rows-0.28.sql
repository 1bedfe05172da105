-- A row of each kind, for the tables of 0.28 and 0.29.
INSERT INTO migrations VALUES ('202505141324');
INSERT INTO users (id, name, display_name, email, created_at, deleted_at) VALUES
  (3, 'ann', 'Ann', 'ann@x.test', '2026-01-02 03:04:05.123456789+00:00', NULL),
  (4, 'gone', '', '', NULL, '2026-01-01 00:00:00+00:00');
-- Key 5 is used; 6 is of before prefixes; 7 is hskey-auth-unusedunused- and 64 times S.
INSERT INTO pre_auth_keys (id, key, prefix, hash, user_id, reusable, ephemeral, used, tags) VALUES
  (5, '', 'abcdefghijkl', CAST('$2a$10$x' AS blob), 3, 1, 0, 1, NULL),
  (6, '0123456789abcdef0123456789abcdef0123456789abcdef', '', NULL, 3, 1, 1, 0, '["tag:a"]'),
  (7, '', 'unusedunused', CAST('$2a$04$aaaaaaaaaaaaaaaaaaaaaOLwiOFON99h8tlJAkRl6FBUQTLONdWuW' AS blob), 3, 0, 0, 0,
   NULL);
-- Key 1 is abcdefg. and 24 times t.
INSERT INTO api_keys (id, prefix, hash, expiration) VALUES
  (1, 'abcdefg', CAST('$2a$04$bbbbbbbbbbbbbbbbbbbbbOy6efc2cHjwA.UD0w91s1TCdb9k08gJa' AS blob),
   '2099-01-01 00:00:00+00:00');
-- 17 is Ann's, 18 is broken, 19 is tagged.
INSERT INTO nodes (id, machine_key, node_key, disco_key, endpoints, host_info, ipv4, ipv6, hostname, given_name,
  user_id, register_method, tags, auth_key_id, expiry, approved_routes, created_at) VALUES
  (17, 'mkey:1111111111111111111111111111111111111111111111111111111111111111',
   'nodekey:2222222222222222222222222222222222222222222222222222222222222222',
   'discokey:3333333333333333333333333333333333333333333333333333333333333333',
   '["192.0.2.1:41641"]', '{"OS":"linux","Hostname":"box","RoutableIPs":["10.0.0.0/8"]}', '100.64.0.9',
   'fd7a:115c:a1e0::9', 'box', 'desk', 3, 'authkey', NULL, 5, '0001-01-01 00:00:00+00:00', '["10.0.0.0/8"]',
   '2026-01-02 03:04:05+00:00'),
  (18, 'mkey:11', 'nodekey:1', '', '', '', '', '', 'bad', 'bad', 3, 'cli', NULL, NULL, NULL, NULL, NULL),
  (19, 'mkey:4444444444444444444444444444444444444444444444444444444444444444',
   'nodekey:5555555555555555555555555555555555555555555555555555555555555555',
   '', '', '', '100.64.0.10', NULL, 'srv', 'srv', NULL, 'authkey', '["tag:web"]', 6, NULL, NULL, NULL);
INSERT INTO policies (id, data) VALUES (1, '{"acls":[]}'), (2, '// mine
{}');
