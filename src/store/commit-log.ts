// What was verified since the journal's last transaction: a row for each committed piece, appended
// without a sync. It outlives the process, not the power: the rows tell the next process where to
// look, and every piece is hashed before it is believed.
//
//   record: content ID 32 bytes | index u32 | wireLength u32 | wireSha256 32 bytes | more | CRC-32 of these
//     more: nothing for a plain piece; for others the index has its highest bit set, and follow
//           zstdLevel u8 | plainLength u32 | plainSha256 32 bytes | nonce 12 bytes | tag 16 bytes
//           (nonce and tag are zeros when the piece is not sealed)

import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { plainRow, type PieceRow, type PieceSeal, wireFormOf } from "../engine/core/manifest.ts";
import { writeError } from "./file-errors.ts";

const PLAIN_BYTES = 72;
const FORMED_BYTES = PLAIN_BYTES + 65;
const CRC_BYTES = 4;
const FORMED_BIT = 0x8000_0000;

export interface LoggedRow {
  contentId: string;
  index: number;
  row: PieceRow;
}

export class CommitLog {
  readonly #fd: number;
  readonly #record = Buffer.alloc(FORMED_BYTES + CRC_BYTES);
  #isEmpty = false;
  /** What the process before left; a damaged record and all after it are ignored. */
  readonly found: readonly LoggedRow[];

  /** @throws {DfError} file-unwritable */
  constructor(path: string) {
    try {
      const flags = constants.O_RDWR | constants.O_CREAT | constants.O_APPEND;
      this.#fd = openSync(path, flags | constants.O_NOFOLLOW, 0o600);
      this.found = recordsOf(readFileSync(this.#fd));
    } catch (error) {
      throw writeError(`open ${path}`, error);
    }
  }

  /** Costs some 2 µs. A full disk refuses it: then a kill costs these pieces, and nothing else. */
  add(contentId: string, index: number, row: PieceRow): void {
    const record = this.#record;
    const isPlain = row.form === "plain";
    record.write(contentId, 0, "hex");
    record.writeUInt32LE(isPlain ? index : index + FORMED_BIT, 32);
    record.writeUInt32LE(row.wireLength, 36);
    record.set(row.wireSha256, 40);
    if (!isPlain) writeForm(record, row);
    const end = isPlain ? PLAIN_BYTES : FORMED_BYTES;
    record.writeUInt32LE(Bun.hash.crc32(record.subarray(0, end)), end);
    try {
      writeSync(this.#fd, record, 0, end + CRC_BYTES);
      this.#isEmpty = false;
    } catch {
      // The transaction that follows tells the user.
    }
  }

  /** The journal has everything now. */
  clear(): void {
    if (this.#isEmpty) return;
    ftruncateSync(this.#fd, 0);
    this.#isEmpty = true;
  }

  close(): void {
    closeSync(this.#fd);
  }
}

function recordsOf(bytes: Buffer): LoggedRow[] {
  const rows: LoggedRow[] = [];
  for (let at = 0; at + PLAIN_BYTES + CRC_BYTES <= bytes.length;) {
    const numbered = bytes.readUInt32LE(at + 32);
    const isPlain = numbered < FORMED_BIT;
    const end = isPlain ? PLAIN_BYTES : FORMED_BYTES;
    if (at + end + CRC_BYTES > bytes.length) break;
    const record = bytes.subarray(at, at + end);
    if (bytes.readUInt32LE(at + end) !== Bun.hash.crc32(record)) break;
    rows.push({
      contentId: record.toString("hex", 0, 32),
      index: isPlain ? numbered : numbered - FORMED_BIT,
      row: isPlain ? plainRowIn(record) : formedRowIn(record),
    });
    at += end + CRC_BYTES;
  }
  return rows;
}

function writeForm(record: Buffer, { zstdLevel, plainLength, plainSha256, seal }: PieceRow): void {
  record.writeUInt8(zstdLevel, 72);
  record.writeUInt32LE(plainLength, 73);
  record.set(plainSha256, 77);
  record.fill(0, 109, FORMED_BYTES);
  if (seal === null) return;
  record.set(seal.nonce, 109);
  record.set(seal.tag, 121);
}

function plainRowIn(record: Buffer): PieceRow {
  return plainRow(record.readUInt32LE(36), new Uint8Array(record.subarray(40, 72)));
}

function formedRowIn(record: Buffer): PieceRow {
  const zstdLevel = record.readUInt8(72);
  const isSealed = record.subarray(109).some((byte) => byte !== 0);
  const seal: PieceSeal | null = isSealed
    ? {
        nonce: new Uint8Array(record.subarray(109, 121)),
        tag: new Uint8Array(record.subarray(121)),
      }
    : null;
  return {
    form: wireFormOf({ zstdLevel, seal }),
    zstdLevel,
    wireLength: record.readUInt32LE(36),
    plainLength: record.readUInt32LE(73),
    wireSha256: new Uint8Array(record.subarray(40, 72)),
    plainSha256: new Uint8Array(record.subarray(77, 109)),
    seal,
  };
}
