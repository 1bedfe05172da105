-- For the tables of 0.26 and 0.27: keys as they are typed, tags of an administrator apart from those asked for.
INSERT INTO users (id, name) VALUES (1, 'ann'), (2, 'bob');
INSERT INTO pre_auth_keys (id, key, user_id, reusable) VALUES
  (4, '0123456789abcdef0123456789abcdef0123456789abcdef', 2, 1);
INSERT INTO policies (id, data) VALUES
  (1, '{"groups": {"group:ops": ["bob@"]},
        "tagOwners": {"tag:srv": ["ann@"], "tag:web": ["ann@", "group:ops"], "tag:ops": ["group:ops"], "tag:old": []},
        "acls": [{"action": "accept", "src": ["*"], "dst": ["*:*"]}]}');
-- 2 lost its user; 3 to 7 asked for tags: its user's, nobody's, another's, one of two, one it has.
INSERT INTO nodes (id, machine_key, node_key, host_info, ipv4, hostname, given_name, user_id, forced_tags,
  auth_key_id) VALUES
  (1, 'mkey:1111111111111111111111111111111111111111111111111111111111111111',
   'nodekey:1111111111111111111111111111111111111111111111111111111111111111',
   '{}', '100.64.0.1', 'h1', 'h1', 1, '["tag:srv"]', NULL),
  (2, 'mkey:2222222222222222222222222222222222222222222222222222222222222222',
   'nodekey:2222222222222222222222222222222222222222222222222222222222222222',
   '{}', '100.64.0.2', 'h2', 'h2', NULL, 'null', 4),
  (3, 'mkey:3333333333333333333333333333333333333333333333333333333333333333',
   'nodekey:3333333333333333333333333333333333333333333333333333333333333333',
   '{"RequestTags":["tag:web"]}', '100.64.0.3', 'h3', 'h3', 1, '[]', NULL),
  (4, 'mkey:4444444444444444444444444444444444444444444444444444444444444444',
   'nodekey:4444444444444444444444444444444444444444444444444444444444444444',
   '{"RequestTags":["tag:none"]}', '100.64.0.4', 'h4', 'h4', 1, '[]', NULL),
  (5, 'mkey:5555555555555555555555555555555555555555555555555555555555555555',
   'nodekey:5555555555555555555555555555555555555555555555555555555555555555',
   '{"RequestTags":["tag:ops"]}', '100.64.0.5', 'h5', 'h5', 1, '[]', NULL),
  (6, 'mkey:6666666666666666666666666666666666666666666666666666666666666666',
   'nodekey:6666666666666666666666666666666666666666666666666666666666666666',
   '{"RequestTags":["tag:ops","tag:none"]}', '100.64.0.6', 'h6', 'h6', 2, '["tag:old"]', NULL),
  (7, 'mkey:7777777777777777777777777777777777777777777777777777777777777777',
   'nodekey:7777777777777777777777777777777777777777777777777777777777777777',
   '{"RequestTags":["tag:srv"]}', '100.64.0.7', 'h7', 'h7', 1, '["tag:srv"]', NULL);
