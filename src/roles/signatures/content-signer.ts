// Signs what this supernode vouches for: each group of a content's rows once all of it is known, and
// the whole once it is complete. A group that is signed already, here before or by another
// supernode, stays as it is.

import type { KeyObject } from "node:crypto";
import { groupOf, rowsOfGroup, signRows, signWhole } from "../../net/wire/signed-rows.ts";
import type { ContentDigests, StoredContent } from "../../store/piece-store.ts";
import { wholeOf } from "./whole-of.ts";

export class ContentSigner {
  readonly #content: StoredContent;
  readonly #key: KeyObject | null;
  /** How many of the manifest's learned rows were looked at. */
  #looked = 0;
  /** Groups with a row that was learned, and not yet signed. */
  readonly #open = new Set<number>();

  /** @param key private; null: this supernode has no fleet, and signs nothing */
  constructor(content: StoredContent, key: KeyObject | null) {
    this.#content = content;
    this.#key = key;
  }

  /** Rows were learned, or the length became known. Cheap while no group is full. */
  signRows(): void {
    if (this.#key === null) return;
    const { manifest, facts } = this.#content;
    const { learned } = manifest;
    while (this.#looked < learned.length) this.#open.add(groupOf(learned[this.#looked++]!));
    for (const group of this.#open) {
      const isSigned = manifest.signature(group) !== undefined;
      const rows = isSigned ? null : rowsOfGroup(manifest, group);
      if (rows !== null) {
        const { contentId } = facts;
        const { pieceLength } = manifest.layout;
        const signature = signRows({ contentId, pieceLength, group, rows }, this.#key);
        this.#content.addSignature(group, signature);
      }
      if (isSigned || rows !== null) this.#open.delete(group);
    }
  }

  /** The content is complete. */
  signWhole(digests: ContentDigests): void {
    if (this.#key === null) return;
    this.signRows();
    // Ed25519 gives the same signature for the same statement (RFC 8032 §5.1.6).
    this.#content.noteWholeSignature(signWhole(wholeOf(this.#content, digests), this.#key));
  }
}
