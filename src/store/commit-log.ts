// What was verified since the journal's last transaction: a row for each committed piece, appended
// without a sync. It outlives the process, not the power: the rows tell the next process where to
// look, and every piece is hashed before it is believed.
//
//   record: content ID 32 bytes | index u32 | wireLength u32 | wireSha256 32 bytes | CRC-32 of these

import { closeSync, constants, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { plainRow, type PieceRow } from "../engine/core/manifest.ts";
import { writeError } from "./file-errors.ts";

const RECORD_BYTES = 76;
const CHECKED_BYTES = RECORD_BYTES - 4;

export interface LoggedRow {
  contentId: string;
  index: number;
  row: PieceRow;
}

export class CommitLog {
  readonly #fd: number;
  readonly #record = Buffer.alloc(RECORD_BYTES);
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
    record.write(contentId, 0, "hex");
    record.writeUInt32LE(index, 32);
    record.writeUInt32LE(row.wireLength, 36);
    record.set(row.wireSha256, 40);
    record.writeUInt32LE(Bun.hash.crc32(record.subarray(0, CHECKED_BYTES)), CHECKED_BYTES);
    try {
      writeSync(this.#fd, record);
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
  for (let at = 0; at + RECORD_BYTES <= bytes.length; at += RECORD_BYTES) {
    const record = bytes.subarray(at, at + RECORD_BYTES);
    const crc = Bun.hash.crc32(record.subarray(0, CHECKED_BYTES));
    if (record.readUInt32LE(CHECKED_BYTES) !== crc) break;
    const digest = new Uint8Array(record.subarray(40, CHECKED_BYTES));
    const wireLength = record.readUInt32LE(36);
    rows.push({
      contentId: record.toString("hex", 0, 32),
      index: record.readUInt32LE(32),
      row: plainRow(wireLength, digest),
    });
  }
  return rows;
}
