// A file as an output: the part file of store/output-file.ts plus the note that lets a later run of
// the same command go on with it.

import { sha256 as digestOf } from "../../engine/bytes/digest.ts";
import { pieceCountOf, pieceLengthAt, pieceOffset } from "../../engine/core/piece-layout.ts";
import { sameBytes } from "../../engine/core/manifest.ts";
import { PieceSet } from "../../engine/core/piece-set.ts";
import type { OutputFile } from "../../store/output-file.ts";
import type { Output, OutputVersion } from "./output.ts";

/** A note is written again once ten times its own cost has passed: it never takes a tenth of the time. */
const NOTE_PAUSE_FACTOR = 10;

export class FileOutput implements Output {
  readonly isRandomAccess = true;
  readonly #file: OutputFile;
  #version: OutputVersion | null = null;
  #pieces = new Map<number, Uint8Array>();
  #noting: Promise<void> | null = null;
  #noteFailure: { error: unknown } | null = null;
  #hasNote: boolean;
  #isEnded = false;

  constructor(file: OutputFile) {
    this.#file = file;
    this.#hasNote = file.earlier !== null;
  }

  get path(): string {
    return this.#file.path;
  }

  async resumable(content: string): Promise<{ version: OutputVersion; have: PieceSet } | null> {
    const { earlier } = this.#file;
    if (earlier === null || earlier.content !== content) return null;
    const have = new PieceSet(pieceCountOf(earlier.length, earlier.pieceLength));
    for (const [index, digest] of earlier.pieces) {
      const length = pieceLengthAt(earlier, index);
      const bytes = await this.#file.read(pieceOffset(earlier, index), length);
      if (bytes.length !== length || !sameBytes(await digestOf(bytes), digest)) continue;
      have.add(index);
      this.#pieces.set(index, digest);
    }
    return { version: earlier, have };
  }

  async begin(version: OutputVersion, resumed: boolean): Promise<void> {
    this.#version = version;
    if (!resumed) {
      await this.#noting;
      this.#pieces = new Map();
      await this.#file.restart();
    }
    if (version.length !== null) {
      await this.#file.checkSpace(Math.max(0, version.length - (await this.#file.size())));
    }
  }

  async write(offset: number, bytes: Uint8Array): Promise<void> {
    if (this.#noteFailure !== null) throw this.#noteFailure.error;
    await this.#file.write(offset, bytes);
  }

  read(offset: number, length: number): Promise<Uint8Array> {
    return this.#file.read(offset, length);
  }

  pieceWritten(index: number, sha256: Uint8Array): void {
    this.#pieces.set(index, sha256);
    const isResumable = this.#version?.validator != null && this.#version.length !== null;
    if (!isResumable || this.#noting !== null || this.#isEnded) return;
    this.#noting = this.#note()
      .catch((error: unknown) => {
        this.#noteFailure = { error };
      })
      .finally(() => {
        this.#noting = null;
      });
  }

  async commit(length: number): Promise<void> {
    this.#isEnded = true;
    await this.#noting;
    if ((await this.#file.size()) !== length) await this.#file.truncate(length);
    await this.#file.publish();
  }

  async close(discard: boolean): Promise<void> {
    this.#isEnded = true;
    await this.#noting;
    if (discard || !this.#hasNote) await this.#file.discard();
    else await this.#file.close();
  }

  /** Notes what is there, and again as long as more came meanwhile. */
  async #note(): Promise<void> {
    let noted = -1;
    while (noted !== this.#pieces.size && !this.#isEnded) {
      noted = this.#pieces.size;
      const startedAtMs = performance.now();
      await this.#saveNote();
      await Bun.sleep((performance.now() - startedAtMs) * NOTE_PAUSE_FACTOR);
    }
  }

  async #saveNote(): Promise<void> {
    const { content, validator, length, pieceLength } = this.#version!;
    await this.#file.saveJournal({
      content,
      validator,
      length: length!,
      pieceLength,
      pieces: this.#pieces,
    });
    this.#hasNote = true;
  }
}
