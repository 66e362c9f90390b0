-- Whether a supernode speaks TLS. Hosts hear of a change, as of other addresses.
ALTER TABLE supernodes ADD COLUMN is_tls BOOLEAN NOT NULL DEFAULT FALSE;

DROP TRIGGER supernodes_updated ON supernodes;
CREATE TRIGGER supernodes_updated AFTER UPDATE ON supernodes
  FOR EACH ROW WHEN (
    (OLD.state = 'alive') <> (NEW.state = 'alive')
    OR (NEW.state = 'alive' AND (OLD.cluster <> NEW.cluster OR OLD.addresses <> NEW.addresses
      OR OLD.is_tls <> NEW.is_tls OR OLD.labels <> NEW.labels))
  ) EXECUTE FUNCTION routes_changed();
