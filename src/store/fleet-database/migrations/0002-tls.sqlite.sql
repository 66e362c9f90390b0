-- Whether a supernode speaks TLS. Hosts hear of a change, as of other addresses.
ALTER TABLE supernodes ADD COLUMN is_tls INTEGER NOT NULL DEFAULT 0;

DROP TRIGGER supernodes_updated;
CREATE TRIGGER supernodes_updated AFTER UPDATE ON supernodes
  WHEN (OLD.state = 'alive') <> (NEW.state = 'alive')
    OR (NEW.state = 'alive' AND (OLD.cluster <> NEW.cluster OR OLD.addresses <> NEW.addresses
      OR OLD.is_tls <> NEW.is_tls OR OLD.labels <> NEW.labels))
  BEGIN UPDATE fleet SET routes_version = routes_version + 1; END;
