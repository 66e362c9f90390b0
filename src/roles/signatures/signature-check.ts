// Checks what came as the fleet's word on one content against what is here of it. What is right is
// kept, to be passed on; what is wrong says that these are not the fleet's rows.
//
//   signature heard ─▶ (all rows of the group here?) ─ yes ─▶ right: kept │ wrong: refused
//                               └ no: waits for them, or for the length

import { sameBytes } from "../../engine/core/manifest.ts";
import { pieceCountOf } from "../../engine/core/piece-layout.ts";
import { areSigned, groupCountOf, isSignedWhole, rowsOfGroup } from "../../net/wire/signed-rows.ts";
import { isWholeGroup, type ToldGroup, type ToldManifest } from "../../net/wire/signatures-api.ts";
import type { SignedGroup } from "../../net/wire/swarm-frames.ts";
import type { ContentDigests, StoredContent } from "../../store/piece-store.ts";
import type { ClusterKey } from "./cluster-key.ts";
import { wholeOf } from "./whole-of.ts";

export class SignatureCheck {
  readonly #content: StoredContent;
  readonly #key: Pick<ClusterKey, "current">;
  /** By group: not all of its rows are here. */
  readonly #waiting = new Map<number, Uint8Array>();

  constructor(content: StoredContent, key: Pick<ClusterKey, "current">) {
    this.#content = content;
    this.#key = key;
  }

  /**
   * Takes signatures over groups of rows, and tries those that waited; none, to do only that.
   * @returns false when one is wrong. Without a key nothing can be said, and nothing is kept.
   */
  areRight(groups: readonly SignedGroup[]): boolean {
    const { manifest } = this.#content;
    const { length, pieceLength } = manifest.layout;
    const groupCount = length === null ? Infinity : groupCountOf(pieceCountOf(length, pieceLength));
    for (const { group, signature } of groups) {
      const known = manifest.signature(group);
      // Ed25519 gives one signature for one statement: another one is over rows that were replaced.
      const isNews = known === undefined || !sameBytes(known, signature);
      if (isNews && group < groupCount && this.#key.current !== null)
        this.#waiting.set(group, signature);
    }
    return [...this.#waiting.keys()].every((group) => this.#isRight(group));
  }

  /**
   * Whether the fleet's signature over the whole is right.
   * @param signature null: there is none, and nothing to say against it
   */
  isWholeRight(digests: ContentDigests, signature: Uint8Array | null): boolean {
    const key = this.#key.current;
    if (key === null || signature === null) return true;
    if (!isSignedWhole(wholeOf(this.#content, digests), signature, key)) return false;
    this.#content.noteWholeSignature(signature);
    return true;
  }

  /** The groups of what a host told that bear the fleet's signature. @param told of anyone */
  provenIn({ pieceLength, groups }: ToldManifest): ToldGroup[] {
    const { manifest, facts } = this.#content;
    const { layout } = manifest;
    const key = this.#key.current;
    if (key === null || layout.length === null || pieceLength !== layout.pieceLength) return [];
    const pieceCount = pieceCountOf(layout.length, pieceLength);
    return groups.filter((told) => {
      const isNews = manifest.signature(told.group) === undefined;
      if (!isNews || !isWholeGroup(told, pieceCount)) return false;
      const { contentId } = facts;
      const { group, rows, signature } = told;
      return areSigned({ contentId, pieceLength, group, rows }, signature, key);
    });
  }

  #isRight(group: number): boolean {
    const { manifest, facts } = this.#content;
    const rows = rowsOfGroup(manifest, group);
    const key = this.#key.current;
    if (rows === null || key === null) return true;
    const signature = this.#waiting.get(group)!;
    this.#waiting.delete(group);
    const { contentId } = facts;
    const { pieceLength } = manifest.layout;
    if (!areSigned({ contentId, pieceLength, group, rows }, signature, key)) return false;
    this.#content.addSignature(group, signature);
    return true;
  }
}
