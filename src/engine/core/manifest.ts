// A content's layout and piece rows: append-only, made once at the seed, adopted and never remade.

import { assert } from "./machine.ts";
import { pieceLengthAt, type PieceLayout } from "./piece-layout.ts";

/** How a piece travels and rests: decided once at the seed. What is sealed may have been compressed before. */
export type WireForm = "plain" | "compressed" | "sealed" | "compressed-sealed";

/** What opens a sealed piece besides its key (AES-256-GCM, NIST SP 800-38D). */
export interface PieceSeal {
  /** 12 bytes, random, used for this piece alone. */
  readonly nonce: Uint8Array;
  /** 16 bytes. */
  readonly tag: Uint8Array;
}

/** What is known of one verified piece. For plain pieces both lengths and both digests are the same. */
export interface PieceRow {
  readonly form: WireForm;
  /**
   * At which it was compressed (zstd, 1 to 22), 0: not at all. Who has the plain piece and the row can
   * make the same bytes again, and sees by `wireSha256` whether they are.
   */
  readonly zstdLevel: number;
  /** Bytes of the wire form; never more than `plainLength`. */
  readonly wireLength: number;
  /** Bytes of the piece itself: bounds what decompression may give. */
  readonly plainLength: number;
  /** SHA-256 of the wire form, 32 bytes: what relays check. */
  readonly wireSha256: Uint8Array;
  /** SHA-256 of the plain piece, 32 bytes: what resume, adoption and outputs check. */
  readonly plainSha256: Uint8Array;
  /** Null: not sealed. */
  readonly seal: PieceSeal | null;
}

/** Bytes of some pieces, and of their wire forms. */
export interface PieceBytes {
  readonly plainBytes: number;
  readonly wireBytes: number;
}

/** The row of a piece that travels as it is. @param sha256 32 bytes, kept */
export function plainRow(length: number, sha256: Uint8Array): PieceRow {
  return {
    form: "plain",
    zstdLevel: 0,
    wireLength: length,
    plainLength: length,
    wireSha256: sha256,
    plainSha256: sha256,
    seal: null,
  };
}

/** The form that goes with what was done to a piece. */
export function wireFormOf({ zstdLevel, seal }: Pick<PieceRow, "zstdLevel" | "seal">): WireForm {
  if (zstdLevel === 0) return seal === null ? "plain" : "sealed";
  return seal === null ? "compressed" : "compressed-sealed";
}

/** The first four bytes of its digest, as a number: what tells two wire forms of one piece apart. */
export function wireMarkOf({ wireSha256 }: PieceRow): number {
  const [a = 0, b = 0, c = 0, d = 0] = wireSha256;
  return ((a << 24) | (b << 16) | (c << 8) | d) >>> 0;
}

/** Whether a row's lengths are those of piece `index`: only what was compressed is shorter than plain. */
export function isRowOf(layout: PieceLayout, index: number, row: PieceRow): boolean {
  const { wireLength, plainLength, zstdLevel } = row;
  const isWireLengthRight =
    zstdLevel === 0 ? wireLength === plainLength : wireLength > 0 && wireLength <= plainLength;
  if (!isWireLengthRight || plainLength === 0) return false;
  if (layout.length === null) return plainLength <= layout.pieceLength;
  return plainLength === pieceLengthAt(layout, index);
}

/**
 * The rows of one content. Rows may be learned in any order (several range connections read a
 * source), but a row once set never changes, except for the owner's `replace`.
 */
export class Manifest {
  readonly #rows: (PieceRow | undefined)[] = [];
  #layout: PieceLayout;
  readonly #learned: number[] = [];
  #formedCount = 0;
  #plainBytes = 0;
  #wireBytes = 0;
  readonly #signatures = new Map<number, Uint8Array>();
  readonly #signedGroups: number[] = [];

  constructor(layout: PieceLayout) {
    this.#layout = layout;
  }

  get layout(): PieceLayout {
    return this.#layout;
  }

  /** Piece indices in the order their rows were learned: a cursor into it says what a peer was sent. */
  get learned(): readonly number[] {
    return this.#learned;
  }

  /** Whether every piece that is known so far travels as it is. */
  get isPlain(): boolean {
    return this.#formedCount === 0;
  }

  /** Bytes of all pieces whose rows are known, and of their wire forms. */
  get plainBytes(): number {
    return this.#plainBytes;
  }

  get wireBytes(): number {
    return this.#wireBytes;
  }

  /** Bytes of these pieces; one whose row is not known counts nothing. */
  bytesOf(pieces: Iterable<number>): PieceBytes {
    const sums = { plainBytes: 0, wireBytes: 0 };
    for (const index of pieces) {
      sums.plainBytes += this.#rows[index]?.plainLength ?? 0;
      sums.wireBytes += this.#rows[index]?.wireLength ?? 0;
    }
    return sums;
  }

  row(index: number): PieceRow | undefined {
    return this.#rows[index];
  }

  /** Sets a row. Invariant: a second row for a piece equals the first. */
  append(index: number, row: PieceRow): void {
    const known = this.#rows[index];
    if (known === undefined) {
      this.#rows[index] = row;
      this.#learned.push(index);
      if (row.form !== "plain") this.#formedCount++;
      this.#plainBytes += row.plainLength;
      this.#wireBytes += row.wireLength;
      return;
    }
    assert(sameBytes(known.wireSha256, row.wireSha256), "a manifest row never changes");
  }

  /**
   * Sets the owner's row in place of one for the same bytes in another form, which was made without
   * it. What lies on disk under the former row must be gone before.
   */
  replace(index: number, row: PieceRow): void {
    const known = this.#rows[index];
    assert(
      known !== undefined && sameBytes(known.plainSha256, row.plainSha256),
      "a row is replaced by one of the same plain bytes",
    );
    this.#rows[index] = row;
    this.#formedCount += Number(row.form !== "plain") - Number(known.form !== "plain");
    this.#wireBytes += row.wireLength - known.wireLength;
  }

  /** Groups of rows that the fleet vouches for, in the order their signatures were learned. */
  get signedGroups(): readonly number[] {
    return this.#signedGroups;
  }

  /** The fleet's signature over a group of rows. */
  signature(group: number): Uint8Array | undefined {
    return this.#signatures.get(group);
  }

  /** Notes a signature that was checked; where rows were replaced it replaces the former one. */
  addSignature(group: number, signature: Uint8Array): void {
    if (!this.#signatures.has(group)) this.#signedGroups.push(group);
    this.#signatures.set(group, signature);
  }

  /** Fixes the length of a content that was read without knowing it. */
  close(length: number): void {
    assert(
      this.#layout.length === null || this.#layout.length === length,
      "a content's length never changes",
    );
    this.#layout = { length, pieceLength: this.#layout.pieceLength };
  }
}

/** Whether two rows say the same, to the last field. */
export function isSameRow(a: PieceRow, b: PieceRow): boolean {
  const isSameSeal =
    a.seal === null || b.seal === null
      ? a.seal === b.seal
      : sameBytes(a.seal.nonce, b.seal.nonce) && sameBytes(a.seal.tag, b.seal.tag);
  return (
    a.zstdLevel === b.zstdLevel &&
    a.wireLength === b.wireLength &&
    a.plainLength === b.plainLength &&
    sameBytes(a.wireSha256, b.wireSha256) &&
    sameBytes(a.plainSha256, b.plainSha256) &&
    isSameSeal
  );
}

/** Whether two digests are the same bytes. */
export function sameBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}
