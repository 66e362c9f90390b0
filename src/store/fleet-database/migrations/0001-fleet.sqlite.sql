CREATE TABLE fleet (
  id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
  routes_version INTEGER NOT NULL,
  key_fingerprint TEXT
);

CREATE TABLE work_leases (
  name TEXT PRIMARY KEY NOT NULL,
  holder TEXT NOT NULL,
  expires_at INTEGER NOT NULL
);

CREATE TABLE clusters (
  name TEXT PRIMARY KEY NOT NULL,
  labels TEXT NOT NULL,
  upstream TEXT,
  created_at INTEGER NOT NULL
);

CREATE TABLE routing_rules (
  id TEXT PRIMARY KEY NOT NULL,
  priority INTEGER NOT NULL,
  conditions TEXT NOT NULL,
  clusters TEXT NOT NULL,
  comment TEXT NOT NULL,
  created_at INTEGER NOT NULL
);

CREATE TABLE supernodes (
  host_id TEXT PRIMARY KEY NOT NULL,
  cluster TEXT NOT NULL,
  hostname TEXT NOT NULL,
  version TEXT NOT NULL,
  addresses TEXT NOT NULL,
  labels TEXT NOT NULL,
  state TEXT NOT NULL,
  lease_expires_at INTEGER NOT NULL,
  heartbeat_at INTEGER,
  report TEXT,
  joined_at INTEGER NOT NULL
);

CREATE TABLE hosts (
  host_id TEXT PRIMARY KEY NOT NULL,
  hostname TEXT NOT NULL,
  addresses TEXT NOT NULL,
  labels TEXT NOT NULL,
  version TEXT NOT NULL,
  cluster TEXT,
  first_seen_at INTEGER NOT NULL,
  seen_at INTEGER NOT NULL
);

CREATE INDEX hosts_seen_at ON hosts (seen_at);

CREATE TABLE host_channels (
  host_id TEXT NOT NULL,
  supernode_id TEXT NOT NULL,
  PRIMARY KEY (host_id, supernode_id)
);

CREATE INDEX host_channels_supernode_id ON host_channels (supernode_id);

CREATE TABLE tokens (
  id TEXT PRIMARY KEY NOT NULL,
  kind TEXT NOT NULL,
  secret_sha256 TEXT NOT NULL,
  role TEXT,
  cluster TEXT,
  uses_max INTEGER,
  use_count INTEGER NOT NULL,
  comment TEXT NOT NULL,
  created_by TEXT,
  created_at INTEGER NOT NULL,
  used_at INTEGER,
  expires_at INTEGER,
  revoked_at INTEGER
);

CREATE TABLE credentials (
  id TEXT PRIMARY KEY NOT NULL,
  host_id TEXT NOT NULL,
  role TEXT NOT NULL,
  cluster TEXT NOT NULL,
  token_id TEXT,
  issued_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  revoked_at INTEGER
);

CREATE INDEX credentials_host_id ON credentials (host_id);
CREATE INDEX credentials_revoked_at ON credentials (revoked_at);

CREATE TABLE settings_versions (
  version INTEGER PRIMARY KEY NOT NULL,
  author TEXT NOT NULL,
  comment TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  layers TEXT NOT NULL
);

CREATE TABLE preheat_jobs (
  id TEXT PRIMARY KEY NOT NULL,
  idempotency_key TEXT UNIQUE,
  request TEXT NOT NULL,
  sealed_headers TEXT,
  state TEXT NOT NULL,
  author TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  expires_at INTEGER NOT NULL,
  round INTEGER NOT NULL,
  next_run_at INTEGER,
  error TEXT
);

CREATE INDEX preheat_jobs_state ON preheat_jobs (state);

CREATE TABLE preheat_targets (
  job_id TEXT NOT NULL,
  item_index INTEGER NOT NULL,
  host_id TEXT NOT NULL,
  role TEXT NOT NULL,
  command_id TEXT NOT NULL,
  supernode_id TEXT,
  state TEXT NOT NULL,
  attempt_count INTEGER NOT NULL,
  done_bytes INTEGER NOT NULL,
  length INTEGER,
  error TEXT,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (job_id, item_index, host_id)
);

CREATE INDEX preheat_targets_supernode_id ON preheat_targets (supernode_id, state);
CREATE INDEX preheat_targets_command_id ON preheat_targets (command_id, host_id);

-- A restored backup goes on above its own time: a version never comes back with other lists.
INSERT INTO fleet (id, routes_version) VALUES (1, CAST(unixepoch('subsec') * 1000 AS INTEGER));

-- Whatever may change a host's list of supernodes is told by the database itself, in the same
-- transaction: no code can forget it. A heartbeat that only renews a lease changes no list.
CREATE TRIGGER clusters_inserted AFTER INSERT ON clusters
  BEGIN UPDATE fleet SET routes_version = routes_version + 1; END;
CREATE TRIGGER clusters_updated AFTER UPDATE ON clusters
  BEGIN UPDATE fleet SET routes_version = routes_version + 1; END;
CREATE TRIGGER clusters_deleted AFTER DELETE ON clusters
  BEGIN UPDATE fleet SET routes_version = routes_version + 1; END;
CREATE TRIGGER routing_rules_inserted AFTER INSERT ON routing_rules
  BEGIN UPDATE fleet SET routes_version = routes_version + 1; END;
CREATE TRIGGER routing_rules_updated AFTER UPDATE ON routing_rules
  BEGIN UPDATE fleet SET routes_version = routes_version + 1; END;
CREATE TRIGGER routing_rules_deleted AFTER DELETE ON routing_rules
  BEGIN UPDATE fleet SET routes_version = routes_version + 1; END;
CREATE TRIGGER supernodes_inserted AFTER INSERT ON supernodes
  WHEN NEW.state = 'alive'
  BEGIN UPDATE fleet SET routes_version = routes_version + 1; END;
CREATE TRIGGER supernodes_updated AFTER UPDATE ON supernodes
  WHEN (OLD.state = 'alive') <> (NEW.state = 'alive')
    OR (NEW.state = 'alive' AND (OLD.cluster <> NEW.cluster OR OLD.addresses <> NEW.addresses
      OR OLD.labels <> NEW.labels))
  BEGIN UPDATE fleet SET routes_version = routes_version + 1; END;
CREATE TRIGGER supernodes_deleted AFTER DELETE ON supernodes
  WHEN OLD.state = 'alive'
  BEGIN UPDATE fleet SET routes_version = routes_version + 1; END;
