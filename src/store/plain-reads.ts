// Reads one content's plain bytes, whatever form its pieces rest in: those that are plain straight
// from the data file, the others decoded. Holds the key of what is sealed; it is never written down.

import { Secret } from "../engine/bytes/secret.ts";
import { decodePiece } from "../engine/bytes/wire-form.ts";
import type { Manifest, PieceRow } from "../engine/core/manifest.ts";
import { pieceOffset } from "../engine/core/piece-layout.ts";
import { DfError, isDfError } from "../errors.ts";
import type { DataFiles } from "./data-files.ts";
import type { DecodedPieces } from "./decoded-pieces.ts";
import { isRightOnDisk } from "./piece-on-disk.ts";

/**
 * Pieces up to this length are kept for a moment also when they are read at once: readers of the proxy's
 * port take no more in a step. A hundred of them through one sealed content of 32 MiB decoded each piece a
 * hundred times: 23 CPU s and 116 MiB more in memory, now 3.3 s and 30 MiB.
 */
const KEPT_AT_ONCE_BYTES_MAX = 128 << 10;

export interface PlainReadsOptions {
  readonly contentId: string;
  readonly dataPath: string;
  readonly manifest: Manifest;
  readonly files: DataFiles;
  readonly decoded: DecodedPieces;
  /** The piece is not on disk as it was committed. */
  readonly onDamaged: (index: number) => void;
}

export class PlainReads {
  readonly #options: PlainReadsOptions;
  #key: Secret<Uint8Array> | null = null;

  constructor(options: PlainReadsOptions) {
    this.#options = options;
  }

  get key(): Secret<Uint8Array> | null {
    return this.#key;
  }

  unlock(key: Uint8Array): void {
    this.#key = new Secret(key);
  }

  /**
   * @throws {DfError} denied when a piece is sealed and no key was given; checksum when the key is
   *   another content's; file-unreadable when bytes are not there or not what was committed
   */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const { manifest, files, dataPath } = this.#options;
    if (manifest.isPlain) {
      const bytes = await files.read(dataPath, offset, length);
      // Else what was read may be a form that took a piece's place meanwhile.
      if (manifest.isPlain) return bytes;
    }
    const { pieceLength } = manifest.layout;
    const first = Math.floor(offset / pieceLength);
    // Within one piece nothing is put together.
    if (offset + length <= (first + 1) * pieceLength) return this.#readIn(first, offset, length);
    const bytes = new Uint8Array(length);
    for (let at = offset; at < offset + length;) {
      const index = Math.floor(at / pieceLength);
      const end = Math.min(offset + length, (index + 1) * pieceLength);
      bytes.set(await this.#readIn(index, at, end - at), at - offset);
      at = end;
    }
    return bytes;
  }

  /** Bytes of one piece. */
  async #readIn(index: number, offset: number, length: number): Promise<Uint8Array> {
    const { manifest, files, dataPath, decoded, contentId } = this.#options;
    const row = manifest.row(index);
    if (row === undefined || row.form === "plain") {
      const bytes = await files.read(dataPath, offset, length);
      return manifest.row(index) === row ? bytes : this.#readIn(index, offset, length);
    }
    const from = offset - pieceOffset(manifest.layout, index);
    if (from + length > row.plainLength) {
      const message = `read ${length} bytes of content ${contentId} at ${offset}: its piece ends before`;
      throw new DfError("file-unreadable", message);
    }
    const decode = () => this.#decode(index, row);
    // What is long and read at once is not read again soon.
    if (length === row.plainLength && length > KEPT_AT_ONCE_BYTES_MAX) return decode();
    const plain = await decoded.get({ contentId, index }, row, decode);
    // A copy: who is given bytes may give their memory away, as byte streams do.
    return plain.slice(from, from + length);
  }

  async #decode(index: number, row: PieceRow): Promise<Uint8Array> {
    const { contentId, dataPath, files, manifest, onDamaged } = this.#options;
    const offset = pieceOffset(manifest.layout, index);
    const wire = await files.read(dataPath, offset, row.wireLength);
    try {
      return await decodePiece(wire, row, { contentId, index, key: this.#key?.reveal() ?? null });
    } catch (cause) {
      if (!isDfError(cause, "checksum")) throw cause;
      if (await isRightOnDisk(files, { path: dataPath, offset, row })) throw cause;
      onDamaged(index);
      const message = `read piece ${index} of content ${contentId}: it is damaged on disk`;
      throw new DfError("file-unreadable", message, { cause, hint: "get it again" });
    }
  }
}
