-- Contents that are given against tickets alone.
ALTER TABLE contents ADD COLUMN is_private INTEGER NOT NULL DEFAULT 0;
