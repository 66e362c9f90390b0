// Makes the one-file torrent that the BitTorrent baseline shares (BEP 3), without a tool of its own.

import { createHash } from "node:crypto";
import { open } from "node:fs/promises";

/** What common torrent makers choose for files of tens of megabytes. */
const TORRENT_PIECE_BYTES = 256 << 10;

export interface Torrent {
  bytes: Uint8Array;
  /** Hex SHA-1 of the info dictionary: the name trackers and their allowlists use. */
  infoHash: string;
}

export async function makeTorrent(path: string, name: string, announce: string): Promise<Torrent> {
  const file = await open(path);
  try {
    const { size } = await file.stat();
    const digests: Buffer[] = [];
    for (let offset = 0; offset < size; offset += TORRENT_PIECE_BYTES) {
      const piece = Buffer.alloc(Math.min(TORRENT_PIECE_BYTES, size - offset));
      await file.read(piece, 0, piece.length, offset);
      digests.push(createHash("sha1").update(piece).digest());
    }
    const info = bencode({
      length: size,
      name,
      "piece length": TORRENT_PIECE_BYTES,
      pieces: Buffer.concat(digests),
    });
    const bytes = Buffer.concat([
      Buffer.from("d8:announce"),
      bencode(announce),
      Buffer.from("4:info"),
      info,
      Buffer.from("e"),
    ]);
    return { bytes, infoHash: createHash("sha1").update(info).digest("hex") };
  } finally {
    await file.close();
  }
}

type Bencoded = number | string | Buffer | { [key: string]: Bencoded };

/** Keys must already be in byte order, as BEP 3 asks. */
function bencode(value: Bencoded): Buffer {
  if (typeof value === "number") return Buffer.from(`i${value}e`);
  if (typeof value === "string") return bencode(Buffer.from(value));
  if (Buffer.isBuffer(value)) return Buffer.concat([Buffer.from(`${value.length}:`), value]);
  const entries = Object.entries(value).flatMap(([key, item]) => [bencode(key), bencode(item)]);
  return Buffer.concat([Buffer.from("d"), ...entries, Buffer.from("e")]);
}
