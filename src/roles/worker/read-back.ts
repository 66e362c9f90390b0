// Reads back what one source read has put into its data file, for the digest of the whole: in order,
// each piece decoded once, whatever the steps of who reads.

import type { FileHandle } from "node:fs/promises";
import { decodeOwnPiece } from "../../engine/bytes/wire-form.ts";
import type { Manifest, PieceRow } from "../../engine/core/manifest.ts";
import { pieceOffset } from "../../engine/core/piece-layout.ts";
import { DfError, isDfError } from "../../errors.ts";
import { readError } from "../../store/file-errors.ts";

export interface ReadBackOptions {
  contentId: string;
  dataPath: string;
  /** Open for reading; stays the caller's. */
  file: FileHandle;
  /** Rows of the pieces that are in the data file. */
  manifest: Manifest;
  /** 32 bytes; null: nothing is sealed. */
  key: Uint8Array | null;
}

export class ReadBack {
  readonly #options: ReadBackOptions;
  /** Where bytes of the file go, one read after the other: new memory for each costs as much as the read. */
  #buffer = new Uint8Array(0);
  /** The piece that was decoded last. */
  #decoded: { row: PieceRow; plain: Uint8Array } | null = null;

  constructor(options: ReadBackOptions) {
    this.#options = options;
  }

  /**
   * Plain bytes that lie within one piece. One call at a time.
   * @returns memory that the next call uses again
   * @throws {DfError} file-unreadable, also when a piece is not what its row says; denied when one is
   *   sealed and there is no key
   */
  async read(offset: number, length: number): Promise<Uint8Array> {
    const { manifest } = this.#options;
    const { layout } = manifest;
    const index = Math.floor(offset / layout.pieceLength);
    const row = manifest.row(index)!;
    if (row.form === "plain") return this.#readFile(offset, length);
    const start = pieceOffset(layout, index);
    if (this.#decoded?.row !== row) this.#decoded = { row, plain: await this.#decode(index, row) };
    return this.#decoded.plain.subarray(offset - start, offset - start + length);
  }

  async #decode(index: number, row: PieceRow): Promise<Uint8Array> {
    const { manifest, contentId, key } = this.#options;
    const wire = await this.#readFile(pieceOffset(manifest.layout, index), row.wireLength);
    try {
      return await decodeOwnPiece(wire, row, { contentId, index, key });
    } catch (cause) {
      if (!isDfError(cause, "checksum")) throw cause;
      const message = `read back piece ${index} of content ${contentId}: it is damaged on disk`;
      throw new DfError("file-unreadable", message, { cause });
    }
  }

  async #readFile(offset: number, length: number): Promise<Uint8Array> {
    const { dataPath, file } = this.#options;
    if (this.#buffer.length < length) this.#buffer = new Uint8Array(length);
    const bytes = this.#buffer.subarray(0, length);
    try {
      for (let done = 0; done < length;) {
        const { bytesRead } = await file.read(bytes, done, length - done, offset + done);
        if (bytesRead === 0) throw new Error(`the file ends at ${offset + done}`);
        done += bytesRead;
      }
      return bytes;
    } catch (error) {
      throw readError(`read ${dataPath}`, error);
    }
  }
}
