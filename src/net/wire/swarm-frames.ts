// The hot frames of the swarm channel, binary and little-endian. A frame that does not parse to
// its last byte is refused whole. The decisions behind them are the engine's; sockets are net/swarm's.
//
//   pull    01 | handle u32 | slots u16 | reports u16 | overdue u16
//              | reports × { piece u32, parent u32, outcome u8, elapsedMs u32 }
//              | overdue × { piece u32 }
//   assign  02 | handle u32 | assignments u16
//              | assignments × { piece u32, count u16, parent u32, addressLength u8, address }
//   rows    03 | handle u32 | rows u16
//              | rows × { piece u32, form u8, wireLength u32, wireSha256 32 bytes }
//                plain pieces (form 0) carry one digest

import type { ReceivedAssignment } from "../../engine/core/download-events.ts";
import type { PieceRow } from "../../engine/core/manifest.ts";
import type { PieceOutcome, Pull } from "../../engine/core/scheduler-events.ts";

export const FRAME_PULL = 1;
export const FRAME_ASSIGN = 2;
export const FRAME_ROWS = 3;

/** A pull lists at most this many reports and this many overdue pieces: some 20 KiB. */
export const PULL_ENTRIES_MAX = 1024;
/** An assign frame names at most this many assignments: 16 KiB with short addresses. */
export const ASSIGNMENTS_MAX = 512;
/** Rows in one frame: 41 bytes each, 21 KiB. More rows go in more frames. */
export const ROWS_MAX = 512;

const PULL_HEAD = 11;
const REPORT_BYTES = 13;
const ASSIGN_HEAD = 7;
const ASSIGNMENT_HEAD = 11;
const ROWS_HEAD = 7;
const ROW_BYTES = 41;
const OUTCOME_MAX = 5;
const ADDRESS_BYTES_MAX = 255;

/** A manifest row and the piece it describes. */
export interface NumberedRow {
  piece: number;
  row: PieceRow;
}

/** What one frame says; `handle` names the content on its channel. */
export type SwarmFrame =
  | { kind: "pull"; handle: number; pull: Pull }
  | { kind: "assign"; handle: number; assignments: ReceivedAssignment[] }
  | { kind: "rows"; handle: number; rows: NumberedRow[] };

/** Reads any of the frames; null when it is not exactly one well-formed frame. */
export function decodeFrame(bytes: Uint8Array): SwarmFrame | null {
  switch (bytes[0]) {
    case FRAME_PULL:
      return decodePull(bytes);
    case FRAME_ASSIGN:
      return decodeAssign(bytes);
    case FRAME_ROWS:
      return decodeRows(bytes);
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
    const length = ROWS_HEAD + rows.length * ROW_BYTES;
    const view = this.#reserve(length, FRAME_ROWS, handle);
    view.setUint16(5, rows.length, true);
    let at = ROWS_HEAD;
    for (const { piece, row } of rows) {
      view.setUint32(at, piece, true);
      view.setUint8(at + 4, 0);
      view.setUint32(at + 5, row.wireLength, true);
      this.#bytes.set(row.wireSha256, at + 9);
      at += ROW_BYTES;
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
  if (rowCount > ROWS_MAX || bytes.length !== ROWS_HEAD + rowCount * ROW_BYTES) return null;
  const rows: NumberedRow[] = [];
  for (let at = ROWS_HEAD; at < bytes.length; at += ROW_BYTES) {
    if (bytes[at + 4] !== 0) return null;
    const digest = bytes.slice(at + 9, at + ROW_BYTES);
    const row: PieceRow = {
      form: "plain",
      wireLength: uint32(bytes, at + 5),
      wireSha256: digest,
      plainSha256: digest,
    };
    rows.push({ piece: uint32(bytes, at), row });
  }
  return { kind: "rows", handle: uint32(bytes, 1), rows };
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
