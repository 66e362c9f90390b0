// The hot frames of the swarm channel, binary and little-endian. A frame that does not parse to
// its last byte is refused whole. The decisions behind them are the engine's; sockets are net/swarm's.
//
//   pull    01 | handle u32 | slots u16 | reports u16 | overdue u16
//              | reports × { piece u32, parent u32, outcome u8, elapsedMs u32 }
//              | overdue × { piece u32 }
//   assign  02 | handle u32 | assignments u16
//              | assignments × { piece u32, count u16, parent u32, addressLength u8, address }
//   rows    03 | handle u32 | rows u16
//              | rows × { piece u32, form u8, wireLength u32, wireSha256 32 bytes, more }
//                form: zstd level, +128 when sealed; 0 is plain, and has nothing more
//                more: plainLength u32, plainSha256 32 bytes, and when sealed nonce 12, tag 16 bytes
//   signed  04 | handle u32 | groups u16 | groups × { group u32, signature 64 bytes }
//                the fleet's word on SIGNED_ROWS rows at a time: see signed-rows.ts

import type { ReceivedAssignment } from "../../engine/core/download-events.ts";
import { plainRow, wireFormOf, type PieceRow } from "../../engine/core/manifest.ts";
import type { PieceOutcome, Pull } from "../../engine/core/scheduler-events.ts";

export const FRAME_PULL = 1;
export const FRAME_ASSIGN = 2;
export const FRAME_ROWS = 3;
export const FRAME_SIGNED = 4;

/** A pull lists at most this many reports and this many overdue pieces: some 20 KiB. */
export const PULL_ENTRIES_MAX = 1024;
/** An assign frame names at most this many assignments: 16 KiB with short addresses. */
export const ASSIGNMENTS_MAX = 512;
/** Rows in one frame: 41 to 105 bytes each, 54 KiB at most. More rows go in more frames. */
export const ROWS_MAX = 512;
/** Signatures in one frame: 17 KiB, enough for 16,384 pieces. */
export const SIGNED_GROUPS_MAX = 256;

const PULL_HEAD = 11;
const REPORT_BYTES = 13;
const ASSIGN_HEAD = 7;
const ASSIGNMENT_HEAD = 11;
const ROWS_HEAD = 7;
const PLAIN_ROW_BYTES = 41;
const FORMED_ROW_BYTES = 77;
const SEALED_ROW_BYTES = 105;
const SEALED_BIT = 128;
const ZSTD_LEVEL_MAX = 22;
const SIGNED_HEAD = 7;
const SIGNED_GROUP_BYTES = 68;
const OUTCOME_MAX = 5;
const ADDRESS_BYTES_MAX = 255;

/** A manifest row and the piece it describes. */
export interface NumberedRow {
  piece: number;
  row: PieceRow;
}

/** The fleet's signature over one group of rows. */
export interface SignedGroup {
  /** The rows of pieces `group × SIGNED_ROWS` onwards. */
  group: number;
  /** Ed25519, 64 bytes. */
  signature: Uint8Array;
}

/** What one frame says; `handle` names the content on its channel. */
export type SwarmFrame =
  | { kind: "pull"; handle: number; pull: Pull }
  | { kind: "assign"; handle: number; assignments: ReceivedAssignment[] }
  | { kind: "rows"; handle: number; rows: NumberedRow[] }
  | { kind: "signed"; handle: number; groups: SignedGroup[] };

/** Reads any of the frames; null when it is not exactly one well-formed frame. */
export function decodeFrame(bytes: Uint8Array): SwarmFrame | null {
  switch (bytes[0]) {
    case FRAME_PULL:
      return decodePull(bytes);
    case FRAME_ASSIGN:
      return decodeAssign(bytes);
    case FRAME_ROWS:
      return decodeRows(bytes);
    case FRAME_SIGNED:
      return decodeSigned(bytes);
    default:
      return null;
  }
}

/**
 * Writes frames into one buffer that is used again: what an encode method returns is valid until
 * the next call, which a WebSocket's `send` does not outlast.
 */
export class FrameEncoder {
  #bytes = new Uint8Array(64 << 10);
  #view = new DataView(this.#bytes.buffer);

  /** @throws {RangeError} more than PULL_ENTRIES_MAX reports or overdue pieces */
  pull(handle: number, pull: Pull): Uint8Array {
    const { reports, overdue } = pull;
    bound(Math.max(reports.length, overdue.length), PULL_ENTRIES_MAX);
    const length = PULL_HEAD + reports.length * REPORT_BYTES + overdue.length * 4;
    const view = this.#reserve(length, FRAME_PULL, handle);
    view.setUint16(5, Math.min(pull.slots, 0xffff), true);
    view.setUint16(7, reports.length, true);
    view.setUint16(9, overdue.length, true);
    let at = PULL_HEAD;
    for (const report of reports) {
      view.setUint32(at, report.piece, true);
      view.setUint32(at + 4, report.parent, true);
      view.setUint8(at + 8, report.outcome);
      view.setUint32(at + 9, Math.min(Math.round(report.elapsedMs), 0xffff_ffff), true);
      at += REPORT_BYTES;
    }
    for (const piece of overdue) {
      view.setUint32(at, piece, true);
      at += 4;
    }
    return this.#bytes.subarray(0, length);
  }

  /** @throws {RangeError} more than ASSIGNMENTS_MAX assignments, or an address beyond 255 bytes */
  assign(handle: number, assignments: readonly ReceivedAssignment[]): Uint8Array {
    bound(assignments.length, ASSIGNMENTS_MAX);
    const view = this.#reserve(
      ASSIGN_HEAD + assignments.length * (ASSIGNMENT_HEAD + ADDRESS_BYTES_MAX),
      FRAME_ASSIGN,
      handle,
    );
    const bytes = this.#bytes;
    view.setUint16(5, assignments.length, true);
    let at = ASSIGN_HEAD;
    for (const { piece, count, parent, address } of assignments) {
      bound(address.length, ADDRESS_BYTES_MAX);
      view.setUint32(at, piece, true);
      view.setUint16(at + 4, count, true);
      view.setUint32(at + 6, parent, true);
      view.setUint8(at + 10, address.length);
      at += ASSIGNMENT_HEAD;
      for (let i = 0; i < address.length; i++) bytes[at++] = address.charCodeAt(i);
    }
    return bytes.subarray(0, at);
  }

  /** @throws {RangeError} more than ROWS_MAX rows */
  rows(handle: number, rows: readonly NumberedRow[]): Uint8Array {
    bound(rows.length, ROWS_MAX);
    const view = this.#reserve(ROWS_HEAD + rows.length * SEALED_ROW_BYTES, FRAME_ROWS, handle);
    view.setUint16(5, rows.length, true);
    let at = ROWS_HEAD;
    for (const numbered of rows) at = writeRow(this.#bytes, view, at, numbered);
    return this.#bytes.subarray(0, at);
  }

  /** @throws {RangeError} more than SIGNED_GROUPS_MAX groups */
  signed(handle: number, groups: readonly SignedGroup[]): Uint8Array {
    bound(groups.length, SIGNED_GROUPS_MAX);
    const length = SIGNED_HEAD + groups.length * SIGNED_GROUP_BYTES;
    const view = this.#reserve(length, FRAME_SIGNED, handle);
    view.setUint16(5, groups.length, true);
    let at = SIGNED_HEAD;
    for (const { group, signature } of groups) {
      view.setUint32(at, group, true);
      this.#bytes.set(signature, at + 4);
      at += SIGNED_GROUP_BYTES;
    }
    return this.#bytes.subarray(0, length);
  }

  #reserve(length: number, kind: number, handle: number): DataView {
    if (length > this.#bytes.length) {
      this.#bytes = new Uint8Array(length * 2);
      this.#view = new DataView(this.#bytes.buffer);
    }
    this.#bytes[0] = kind;
    this.#view.setUint32(1, handle, true);
    return this.#view;
  }
}

/** Reads a pull; null when a byte is missing, left over or out of range. */
export function decodePull(bytes: Uint8Array): (SwarmFrame & { kind: "pull" }) | null {
  if (bytes.length < PULL_HEAD || bytes[0] !== FRAME_PULL) return null;
  const reportCount = uint16(bytes, 7);
  const overdueCount = uint16(bytes, 9);
  if (reportCount > PULL_ENTRIES_MAX || overdueCount > PULL_ENTRIES_MAX) return null;
  if (bytes.length !== PULL_HEAD + reportCount * REPORT_BYTES + overdueCount * 4) return null;
  const pull: Pull = { slots: uint16(bytes, 5), reports: [], overdue: [] };
  let at = PULL_HEAD;
  for (let i = 0; i < reportCount; i++, at += REPORT_BYTES) {
    const outcome = bytes[at + 8]!;
    if (outcome > OUTCOME_MAX) return null;
    pull.reports.push({
      piece: uint32(bytes, at),
      parent: uint32(bytes, at + 4),
      outcome: outcome as PieceOutcome,
      elapsedMs: uint32(bytes, at + 9),
    });
  }
  for (let i = 0; i < overdueCount; i++, at += 4) pull.overdue.push(uint32(bytes, at));
  return { kind: "pull", handle: uint32(bytes, 1), pull };
}

/** Reads an assign frame; addresses are printable ASCII, not empty. */
export function decodeAssign(bytes: Uint8Array): (SwarmFrame & { kind: "assign" }) | null {
  if (bytes.length < ASSIGN_HEAD || bytes[0] !== FRAME_ASSIGN) return null;
  const assignmentCount = uint16(bytes, 5);
  if (assignmentCount > ASSIGNMENTS_MAX) return null;
  const assignments: ReceivedAssignment[] = [];
  let at = ASSIGN_HEAD;
  for (let i = 0; i < assignmentCount; i++) {
    if (bytes.length < at + ASSIGNMENT_HEAD) return null;
    const addressAt = at + ASSIGNMENT_HEAD;
    const end = addressAt + bytes[at + 10]!;
    const count = uint16(bytes, at + 4);
    if (end > bytes.length || end === addressAt || count === 0) return null;
    const address = asciiText(bytes, addressAt, end);
    if (address === null) return null;
    assignments.push({
      piece: uint32(bytes, at),
      count,
      parent: uint32(bytes, at + 6),
      address,
    });
    at = end;
  }
  if (at !== bytes.length) return null;
  return { kind: "assign", handle: uint32(bytes, 1), assignments };
}

/** Reads a rows frame; digests are copies, so the frame's buffer may be reused. */
export function decodeRows(bytes: Uint8Array): (SwarmFrame & { kind: "rows" }) | null {
  if (bytes.length < ROWS_HEAD || bytes[0] !== FRAME_ROWS) return null;
  const rowCount = uint16(bytes, 5);
  if (rowCount > ROWS_MAX) return null;
  const rows: NumberedRow[] = [];
  let at = ROWS_HEAD;
  for (let i = 0; i < rowCount; i++) {
    if (bytes.length < at + PLAIN_ROW_BYTES) return null;
    const end = at + rowBytes(bytes[at + 4]!);
    const row = end > bytes.length ? null : readRow(bytes, at);
    if (row === null) return null;
    rows.push({ piece: uint32(bytes, at), row });
    at = end;
  }
  if (at !== bytes.length) return null;
  return { kind: "rows", handle: uint32(bytes, 1), rows };
}

/** Reads a frame of signatures; they are copies. */
export function decodeSigned(bytes: Uint8Array): (SwarmFrame & { kind: "signed" }) | null {
  if (bytes.length < SIGNED_HEAD || bytes[0] !== FRAME_SIGNED) return null;
  const count = uint16(bytes, 5);
  if (count > SIGNED_GROUPS_MAX) return null;
  if (bytes.length !== SIGNED_HEAD + count * SIGNED_GROUP_BYTES) return null;
  const groups: SignedGroup[] = [];
  for (let at = SIGNED_HEAD; at < bytes.length; at += SIGNED_GROUP_BYTES) {
    groups.push({
      group: uint32(bytes, at),
      signature: bytes.slice(at + 4, at + SIGNED_GROUP_BYTES),
    });
  }
  return { kind: "signed", handle: uint32(bytes, 1), groups };
}

/** One row as it stands in a frame, alone: what signatures are over. */
export function encodeRow(numbered: NumberedRow): Uint8Array {
  const bytes = new Uint8Array(SEALED_ROW_BYTES);
  const end = writeRow(bytes, new DataView(bytes.buffer), 0, numbered);
  return bytes.subarray(0, end);
}

/** Writes a row at `at`; returns where it ends. */
function writeRow(
  bytes: Uint8Array,
  view: DataView,
  at: number,
  { piece, row }: NumberedRow,
): number {
  const form = row.zstdLevel + (row.seal === null ? 0 : SEALED_BIT);
  view.setUint32(at, piece, true);
  view.setUint8(at + 4, form);
  view.setUint32(at + 5, row.wireLength, true);
  bytes.set(row.wireSha256, at + 9);
  if (form === 0) return at + PLAIN_ROW_BYTES;
  view.setUint32(at + PLAIN_ROW_BYTES, row.plainLength, true);
  bytes.set(row.plainSha256, at + PLAIN_ROW_BYTES + 4);
  if (row.seal === null) return at + FORMED_ROW_BYTES;
  bytes.set(row.seal.nonce, at + FORMED_ROW_BYTES);
  bytes.set(row.seal.tag, at + FORMED_ROW_BYTES + 12);
  return at + SEALED_ROW_BYTES;
}

/** Reads the row at `at`, all of whose bytes are there; null for a form that nobody makes. */
function readRow(bytes: Uint8Array, at: number): PieceRow | null {
  const form = bytes[at + 4]!;
  const wireLength = uint32(bytes, at + 5);
  const wireSha256 = bytes.slice(at + 9, at + PLAIN_ROW_BYTES);
  if (form === 0) return plainRow(wireLength, wireSha256);
  const zstdLevel = form & ~SEALED_BIT;
  const plainLength = uint32(bytes, at + PLAIN_ROW_BYTES);
  if (zstdLevel > ZSTD_LEVEL_MAX || wireLength > plainLength) return null;
  const plainSha256 = bytes.slice(at + PLAIN_ROW_BYTES + 4, at + FORMED_ROW_BYTES);
  const sealAt = at + FORMED_ROW_BYTES;
  const seal =
    form < SEALED_BIT
      ? null
      : {
          nonce: bytes.slice(sealAt, sealAt + 12),
          tag: bytes.slice(sealAt + 12, at + SEALED_ROW_BYTES),
        };
  const formName = wireFormOf({ zstdLevel, seal });
  return { form: formName, zstdLevel, wireLength, plainLength, wireSha256, plainSha256, seal };
}

function rowBytes(form: number): number {
  if (form === 0) return PLAIN_ROW_BYTES;
  return form < SEALED_BIT ? FORMED_ROW_BYTES : SEALED_ROW_BYTES;
}

// Not a DataView: making one for each small frame costs more than all its reads.
function uint16(bytes: Uint8Array, at: number): number {
  return bytes[at]! | (bytes[at + 1]! << 8);
}

function uint32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  );
}

function asciiText(bytes: Uint8Array, from: number, to: number): string | null {
  let text = "";
  for (let at = from; at < to; at++) {
    const code = bytes[at]!;
    if (code <= 0x20 || code >= 0x7f) return null;
    text += String.fromCharCode(code);
  }
  return text;
}

function bound(count: number, max: number): void {
  if (count > max) throw new RangeError(`encode swarm frame: ${count} entries, at most ${max}`);
}
