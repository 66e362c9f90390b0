// Pieces that were just decoded, in memory for the next step of whoever reads through them, and for who
// comes close behind: a piece of 16 MiB is read in steps of 1 MiB and decoded once. One for the whole store,
// bounded and short-lived.

import type { PieceRow } from "../engine/core/manifest.ts";

/** Four of the longest pieces: so many readers that go through different ones do not displace each other. */
const KEPT_BYTES_MAX = 64 << 20;

/** Readers who go through small pieces together are this close; one alone leaves 8 MiB of them behind, not 64. */
const KEPT_COUNT_MAX = 64;

/** Nobody came back for it within this time: a stalled reader may decode again, plain bytes of private contents go. */
const IDLE_MS = 2_000;

interface Decoded {
  /** The row it was decoded by: another one means other bytes on disk. */
  readonly row: PieceRow;
  readonly plain: Promise<Uint8Array>;
}

export class DecodedPieces {
  /** In order of use, the longest unused first. */
  readonly #kept = new Map<string, Decoded>();
  #bytes = 0;
  #idle: ReturnType<typeof setTimeout> | undefined;

  /** The piece, decoded by `decode` unless it is here or under way; not to be changed. @throws as `decode` */
  async get(
    place: { contentId: string; index: number },
    row: PieceRow,
    decode: () => Promise<Uint8Array>,
  ): Promise<Uint8Array> {
    const name = `${place.contentId}/${place.index}`;
    const known = this.#kept.get(name);
    this.#forget(name);
    const decoded = known?.row === row ? known : { row, plain: decode() };
    this.#keep(name, decoded);
    try {
      return await decoded.plain;
    } catch (error) {
      if (this.#kept.get(name) === decoded) this.#forget(name);
      throw error;
    }
  }

  /** Forgets all, e.g. when the store closes. */
  clear(): void {
    clearTimeout(this.#idle);
    this.#idle = undefined;
    this.#kept.clear();
    this.#bytes = 0;
  }

  #keep(name: string, decoded: Decoded): void {
    this.#kept.set(name, decoded);
    this.#bytes += decoded.row.plainLength;
    for (const oldest of this.#kept.keys()) {
      const isWithin = this.#bytes <= KEPT_BYTES_MAX && this.#kept.size <= KEPT_COUNT_MAX;
      if (isWithin || oldest === name) break;
      this.#forget(oldest);
    }
    if (this.#idle !== undefined) return void this.#idle.refresh();
    this.#idle = setTimeout(() => this.clear(), IDLE_MS);
    this.#idle.unref();
  }

  #forget(name: string): void {
    const known = this.#kept.get(name);
    if (known === undefined) return;
    this.#kept.delete(name);
    this.#bytes -= known.row.plainLength;
  }
}
