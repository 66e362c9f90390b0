// Between a piece and its wire form: made once at the seed, made again where the plain piece is
// known already, taken apart at the edge. Whether compression is worth it is decided elsewhere.
//
//   plain ── zstd ──▶ compressed ── AES-256-GCM ──▶ sealed      wire: the last of them that was made
//         ◀── bounded ──         ◀── tag checked ──             row: what it takes to go back

import {
  plainRow,
  type PieceRow,
  type PieceSeal,
  sameBytes,
  wireFormOf,
} from "../core/manifest.ts";
import { assert } from "../core/machine.ts";
import { DfError, messageOf } from "../../errors.ts";
import { compress, decompress } from "./compression.ts";
import { digestNow, RunningDigest, sha256 } from "./digest.ts";
import { freshNonce, RunningSeal, seal, unseal } from "./sealing.ts";

/** Up to this length a digest is computed on the calling thread: 256 KiB take 0.15 ms there, the way to the pool half of it. */
const DIGEST_ON_THREAD_BYTES_MAX = 256 << 10;

/** Which piece it is: sealed bytes are bound to it. */
export interface PiecePlace {
  contentId: string;
  index: number;
  /** 32 bytes, the content's; null: none is known, nothing is sealed. */
  key: Uint8Array | null;
}

export interface EncodeOptions extends PiecePlace {
  /** 1 to 22; 0: not compressed. */
  zstdLevel: number;
  /** Longest compressed form that is kept. @defaultValue one byte less than the piece */
  packedLengthMax?: number;
  /** Of the plain piece, where it is known already. */
  plainSha256?: Uint8Array;
}

/** A piece as it travels, and the row that says so. */
export interface EncodedPiece {
  /** The plain piece's own memory when it travels plain. */
  wire: Uint8Array;
  row: PieceRow;
}

/**
 * Makes a piece's wire form; sealed when there is a key, each time under a fresh nonce. What
 * compression does not make shorter stays as it is, so `wire` is never longer than `plain`.
 * @param plain not empty; must not change until this resolves
 */
export async function encodePiece(
  plain: Uint8Array,
  options: EncodeOptions,
): Promise<EncodedPiece> {
  const { zstdLevel: level, key } = options;
  const [plainSha256, packed] = await Promise.all([
    options.plainSha256 ?? digestOf(plain),
    level === 0 ? plain : compress(plain, level),
  ]);
  const isShorter = packed.length <= (options.packedLengthMax ?? plain.length - 1);
  const zstdLevel = isShorter ? level : 0;
  const bytes = isShorter ? packed : plain;
  if (zstdLevel === 0 && key === null)
    return { wire: plain, row: plainRow(plain.length, plainSha256) };
  const sealing = sealed(bytes, options, { plainLength: plain.length, nonce: freshNonce() });
  const { wire, seal: pieceSeal } = sealing;
  const row: PieceRow = {
    form: wireFormOf({ zstdLevel, seal: pieceSeal }),
    zstdLevel,
    wireLength: wire.length,
    plainLength: plain.length,
    wireSha256: await digestOf(wire),
    plainSha256,
    seal: pieceSeal,
  };
  return { wire: bytesOf(wire), row };
}

/**
 * Makes the wire form of a piece that is sealed and not compressed while its bytes come, under a fresh
 * nonce: none of them stays in memory. For pieces whose length is known before.
 */
export class PassingSeal {
  readonly #seal: RunningSeal;
  readonly #plainLength: number;
  readonly #digest = new RunningDigest("sha256");
  #length = 0;

  constructor({ contentId, index, key }: PiecePlace & { key: Uint8Array }, plainLength: number) {
    const bound = boundTo({ contentId, index }, plainLength);
    this.#seal = new RunningSeal({ key, nonce: freshNonce(), bound });
    this.#plainLength = plainLength;
  }

  /** Takes the next bytes. @returns the wire bytes that stand in their place */
  take(plain: Uint8Array): Uint8Array {
    const wire = this.#seal.update(plain);
    this.#digest.update(wire);
    this.#length += wire.length;
    return wire;
  }

  /** The row of what was taken. Use it once. */
  finish(plainSha256: Uint8Array): PieceRow {
    assert(this.#length === this.#plainLength, "a piece is as long as was bound to its seal");
    return {
      form: "sealed",
      zstdLevel: 0,
      wireLength: this.#length,
      plainLength: this.#length,
      wireSha256: this.#digest.finish(),
      plainSha256,
      seal: this.#seal.finish(),
    };
  }
}

/**
 * Makes the wire form that `row` describes from the plain piece. Null when that cannot be done here:
 * these are other bytes, the key is missing, or this build compresses otherwise.
 *
 * Invariant: the row's nonce seals only what it sealed before; a differing result never leaves here.
 */
export async function remakePiece(
  plain: Uint8Array,
  row: PieceRow,
  place: PiecePlace,
): Promise<Uint8Array | null> {
  if (!sameBytes(await digestOf(plain), row.plainSha256)) return null;
  const bytes = row.zstdLevel === 0 ? plain : await compress(plain, row.zstdLevel);
  if (bytes.length !== row.wireLength) return null;
  if (row.seal === null) return wireIfRight(row, bytes);
  if (place.key === null) return null;
  const {
    plainLength,
    seal: { nonce },
  } = row;
  const { wire } = sealed(bytes, place, { plainLength, nonce });
  return wireIfRight(row, wire);
}

/**
 * Gives the plain piece back. Allocates no more than twice `row.plainLength`.
 * @param wire as long as `row` says; what relays checked is not checked again, the plain digest is
 * @returns `wire`'s own memory when the piece is plain
 * @throws {DfError} denied when it is sealed and no key is given; checksum when the seal does not hold
 *   or what comes out is not the piece
 */
export async function decodePiece(
  wire: Uint8Array,
  row: PieceRow,
  place: PiecePlace,
): Promise<Uint8Array> {
  const plain = await openPiece(wire, row, place);
  if (row.form !== "plain" && !sameBytes(await digestOf(plain), row.plainSha256))
    throw new DfError("checksum", `${triedOn(place)}: the plain bytes have another digest`);
  return plain;
}

/**
 * As `decodePiece`, for who made the piece: the word of its seal, where it has one, is taken for the
 * bytes in it, and no digest is made of them once more.
 */
export function decodeOwnPiece(
  wire: Uint8Array,
  row: PieceRow,
  place: PiecePlace,
): Promise<Uint8Array> {
  return row.seal === null ? decodePiece(wire, row, place) : openPiece(wire, row, place);
}

async function openPiece(wire: Uint8Array, row: PieceRow, place: PiecePlace): Promise<Uint8Array> {
  const what = triedOn(place);
  if (wire.length !== row.wireLength) throw new DfError("checksum", `${what}: it is cut short`);
  if (row.form === "plain") return wire;
  const packed = opened(wire, row, place, what);
  const plain = row.zstdLevel === 0 ? packed : await unpacked(packed, row, what);
  if (plain.length !== row.plainLength)
    throw new DfError("checksum", `${what}: the plain bytes are more or fewer`);
  return bytesOf(plain);
}

function triedOn({ contentId, index }: PiecePlace): string {
  return `decode piece ${index} of content ${contentId}`;
}

function opened(
  wire: Uint8Array,
  { seal: pieceSeal, plainLength }: PieceRow,
  place: PiecePlace,
  what: string,
): Uint8Array {
  if (pieceSeal === null) return wire;
  if (place.key === null) {
    throw new DfError("denied", `${what}: it is sealed, and its key is not here`, {
      hint: "get it with the credentials that its source asks for",
    });
  }
  const bound = boundTo(place, plainLength);
  try {
    return unseal(wire, { key: place.key, seal: pieceSeal, bound });
  } catch (cause) {
    throw new DfError("checksum", `${what}: its seal does not hold`, { cause });
  }
}

async function unpacked(bytes: Uint8Array, row: PieceRow, what: string): Promise<Uint8Array> {
  try {
    return await decompress(bytes, row.plainLength);
  } catch (cause) {
    throw new DfError("checksum", `${what}: ${messageOf(cause)}`, { cause });
  }
}

function sealed(
  bytes: Uint8Array,
  place: PiecePlace,
  { plainLength, nonce }: { plainLength: number; nonce: Uint8Array },
): { wire: Uint8Array; seal: PieceSeal | null } {
  if (place.key === null) return { wire: bytes, seal: null };
  const bound = boundTo(place, plainLength);
  const result = seal(bytes, { key: place.key, nonce, bound });
  return { wire: result.sealed, seal: result.seal };
}

/** What a sealed piece cannot be moved away from: its content, its place in it, its length. */
function boundTo(
  { contentId, index }: Pick<PiecePlace, "contentId" | "index">,
  plainLength: number,
): Uint8Array {
  return new TextEncoder().encode(`df piece 1\n${contentId}\n${index}\n${plainLength}`);
}

async function wireIfRight(row: PieceRow, wire: Uint8Array): Promise<Uint8Array | null> {
  return sameBytes(await digestOf(wire), row.wireSha256) ? bytesOf(wire) : null;
}

async function digestOf(bytes: Uint8Array): Promise<Uint8Array> {
  return bytes.length <= DIGEST_ON_THREAD_BYTES_MAX ? digestNow("sha256", bytes) : sha256(bytes);
}

/** Not a Buffer, whose `slice` shares memory. */
function bytesOf(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}
