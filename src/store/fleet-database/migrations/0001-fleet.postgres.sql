CREATE TABLE fleet (
  id BIGINT PRIMARY KEY NOT NULL CHECK (id = 1),
  routes_version BIGINT NOT NULL,
  key_fingerprint TEXT
);

CREATE TABLE work_leases (
  name TEXT PRIMARY KEY NOT NULL,
  holder TEXT NOT NULL,
  expires_at BIGINT NOT NULL
);

CREATE TABLE clusters (
  name TEXT PRIMARY KEY NOT NULL,
  labels TEXT NOT NULL,
  upstream TEXT,
  created_at BIGINT NOT NULL
);

CREATE TABLE routing_rules (
  id TEXT PRIMARY KEY NOT NULL,
  priority BIGINT NOT NULL,
  conditions TEXT NOT NULL,
  clusters TEXT NOT NULL,
  comment TEXT NOT NULL,
  created_at BIGINT NOT NULL
);

CREATE TABLE supernodes (
  host_id TEXT PRIMARY KEY NOT NULL,
  cluster TEXT NOT NULL,
  hostname TEXT NOT NULL,
  version TEXT NOT NULL,
  addresses TEXT NOT NULL,
  labels TEXT NOT NULL,
  state TEXT NOT NULL,
  lease_expires_at BIGINT NOT NULL,
  heartbeat_at BIGINT,
  report TEXT,
  joined_at BIGINT NOT NULL
);

CREATE TABLE hosts (
  host_id TEXT PRIMARY KEY NOT NULL,
  hostname TEXT NOT NULL,
  addresses TEXT NOT NULL,
  labels TEXT NOT NULL,
  version TEXT NOT NULL,
  cluster TEXT,
  first_seen_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL
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
  uses_max BIGINT,
  use_count BIGINT NOT NULL,
  comment TEXT NOT NULL,
  created_by TEXT,
  created_at BIGINT NOT NULL,
  used_at BIGINT,
  expires_at BIGINT,
  revoked_at BIGINT
);

CREATE TABLE credentials (
  id TEXT PRIMARY KEY NOT NULL,
  host_id TEXT NOT NULL,
  role TEXT NOT NULL,
  cluster TEXT NOT NULL,
  token_id TEXT,
  issued_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  revoked_at BIGINT
);

CREATE INDEX credentials_host_id ON credentials (host_id);
CREATE INDEX credentials_revoked_at ON credentials (revoked_at);

CREATE TABLE settings_versions (
  version BIGINT PRIMARY KEY NOT NULL,
  author TEXT NOT NULL,
  comment TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  layers TEXT NOT NULL
);

CREATE TABLE preheat_jobs (
  id TEXT PRIMARY KEY NOT NULL,
  idempotency_key TEXT UNIQUE,
  request TEXT NOT NULL,
  sealed_headers TEXT,
  state TEXT NOT NULL,
  author TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  updated_at BIGINT NOT NULL,
  expires_at BIGINT NOT NULL,
  round BIGINT NOT NULL,
  next_run_at BIGINT,
  error TEXT
);

CREATE INDEX preheat_jobs_state ON preheat_jobs (state);

CREATE TABLE preheat_targets (
  job_id TEXT NOT NULL,
  item_index BIGINT NOT NULL,
  host_id TEXT NOT NULL,
  role TEXT NOT NULL,
  command_id TEXT NOT NULL,
  supernode_id TEXT,
  state TEXT NOT NULL,
  attempt_count BIGINT NOT NULL,
  done_bytes BIGINT NOT NULL,
  length BIGINT,
  error TEXT,
  updated_at BIGINT NOT NULL,
  PRIMARY KEY (job_id, item_index, host_id)
);

CREATE INDEX preheat_targets_supernode_id ON preheat_targets (supernode_id, state);
CREATE INDEX preheat_targets_command_id ON preheat_targets (command_id, host_id);

-- A restored backup goes on above its own time: a version never comes back with other lists.
INSERT INTO fleet (id, routes_version)
  VALUES (1, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT));

-- Whatever may change a host's list of supernodes is told by the database itself, in the same
-- transaction: no code can forget it. A heartbeat that only renews a lease changes no list.
CREATE FUNCTION routes_changed() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    UPDATE fleet SET routes_version = routes_version + 1;
    RETURN NULL;
  END
$$;

CREATE TRIGGER clusters_changed AFTER INSERT OR UPDATE OR DELETE ON clusters
  FOR EACH ROW EXECUTE FUNCTION routes_changed();
CREATE TRIGGER routing_rules_changed AFTER INSERT OR UPDATE OR DELETE ON routing_rules
  FOR EACH ROW EXECUTE FUNCTION routes_changed();
CREATE TRIGGER supernodes_inserted AFTER INSERT ON supernodes
  FOR EACH ROW WHEN (NEW.state = 'alive') EXECUTE FUNCTION routes_changed();
CREATE TRIGGER supernodes_updated AFTER UPDATE ON supernodes
  FOR EACH ROW WHEN (
    (OLD.state = 'alive') <> (NEW.state = 'alive')
    OR (NEW.state = 'alive' AND (OLD.cluster <> NEW.cluster OR OLD.addresses <> NEW.addresses
      OR OLD.labels <> NEW.labels))
  ) EXECUTE FUNCTION routes_changed();
CREATE TRIGGER supernodes_deleted AFTER DELETE ON supernodes
  FOR EACH ROW WHEN (OLD.state = 'alive') EXECUTE FUNCTION routes_changed();
