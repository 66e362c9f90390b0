-- How pieces were made that do not travel plain; a plain piece has both lengths and digests the same.
ALTER TABLE pieces ADD COLUMN zstd_level INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pieces ADD COLUMN plain_length INTEGER NOT NULL DEFAULT 0;
ALTER TABLE pieces ADD COLUMN nonce BLOB;
ALTER TABLE pieces ADD COLUMN tag BLOB;
UPDATE pieces SET plain_length = wire_length;
