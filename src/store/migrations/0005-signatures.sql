CREATE TABLE signatures (
  content_id TEXT NOT NULL REFERENCES contents (content_id) ON DELETE CASCADE,
  group_index INTEGER NOT NULL,
  signature BLOB NOT NULL,
  PRIMARY KEY (content_id, group_index)
) WITHOUT ROWID;

ALTER TABLE contents ADD COLUMN whole_signature BLOB;
