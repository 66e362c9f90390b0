CREATE TABLE pins (
  content_id TEXT NOT NULL REFERENCES contents (content_id) ON DELETE CASCADE,
  reason TEXT NOT NULL,
  expires_at INTEGER NOT NULL,
  PRIMARY KEY (content_id, reason)
) WITHOUT ROWID;
