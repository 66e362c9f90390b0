CREATE TABLE contents (
  content_id TEXT PRIMARY KEY NOT NULL,
  task_id TEXT NOT NULL,
  url TEXT NOT NULL,
  length INTEGER,
  piece_length INTEGER NOT NULL,
  validator TEXT,
  last_modified TEXT,
  md5 TEXT,
  sha256 TEXT,
  have BLOB NOT NULL,
  data_stamp TEXT,
  created_at INTEGER NOT NULL,
  used_at INTEGER NOT NULL
);

CREATE TABLE pieces (
  content_id TEXT NOT NULL REFERENCES contents (content_id) ON DELETE CASCADE,
  piece_index INTEGER NOT NULL,
  wire_length INTEGER NOT NULL,
  wire_sha256 BLOB NOT NULL,
  plain_sha256 BLOB NOT NULL,
  PRIMARY KEY (content_id, piece_index)
) WITHOUT ROWID;

CREATE TABLE stops (
  id INTEGER PRIMARY KEY NOT NULL CHECK (id = 1),
  was_clean INTEGER NOT NULL
);

INSERT INTO stops (id, was_clean) VALUES (1, 1);
