// Believes a manifest row without a supernode's word when two hosts tell the same one. Each of them
// must know it at first hand: from a supernode, or because it read the piece from the source.

import { isSameRow, type PieceRow } from "./manifest.ts";

/** Hosts that must agree. What one host says may be a lie, and proves nothing. */
const WITNESSES_NEEDED = 2;

/** Statements kept for a piece: more hosts that disagree than this are no help. */
const STATEMENTS_MAX = 8;

export class RowWitnesses {
  readonly #statements = new Map<number, { host: number; row: PieceRow }[]>();

  /**
   * Notes what a host says of a piece. Only its first word on a piece counts.
   * @returns whether the row is proven by it
   */
  told(host: number, piece: number, row: PieceRow): boolean {
    const statements = this.#statements.get(piece) ?? [];
    this.#statements.set(piece, statements);
    if (statements.length >= STATEMENTS_MAX) return false;
    if (statements.some((statement) => statement.host === host)) return false;
    statements.push({ host, row });
    const agreeing = statements.filter((statement) => isSameRow(statement.row, row));
    return agreeing.length >= WITNESSES_NEEDED;
  }
}
