// What hosts told of one version of a task, as far as it bears the fleet's signature. The content ID
// is known beforehand; it vouches for the validator and, where that was known early, for the length.

import type { KeyObject } from "node:crypto";
import { contentIdOf } from "../../engine/bytes/task-id.ts";
import { pieceCountOf } from "../../engine/core/piece-layout.ts";
import { areSigned, groupCountOf, isSignedWhole } from "../../net/wire/signed-rows.ts";
import {
  isWholeGroup,
  type ToldGroup,
  type ToldManifest,
  type ToldWhole,
} from "../../net/wire/signatures-api.ts";

/** The version that is looked for. */
export interface VersionNames {
  readonly contentId: string;
  readonly taskId: string;
  readonly isPrivate: boolean;
}

/** What the version's ID and a signature vouch for. */
interface SignedFacts {
  readonly validator: string;
  readonly length: number;
  readonly pieceLength: number;
}

export class SignedVersion {
  readonly #names: VersionNames;
  readonly #key: KeyObject;
  #facts: SignedFacts | null = null;
  readonly #groups = new Map<number, ToldGroup>();
  #whole: ToldWhole | null = null;

  /** @param key public, the cluster's */
  constructor(names: VersionNames, key: KeyObject) {
    this.#names = names;
    this.#key = key;
  }

  /** Null: nothing that was told was right so far. */
  get facts(): SignedFacts | null {
    return this.#facts;
  }

  /** With all rows of each. */
  get groups(): Iterable<ToldGroup> {
    return this.#groups.values();
  }

  get groupCount(): number {
    return this.#groups.size;
  }

  get whole(): ToldWhole | null {
    return this.#whole;
  }

  /** Groups that the version has in all; infinite while nothing of it is known. */
  get groupCountInAll(): number {
    if (this.#facts === null) return Infinity;
    return groupCountOf(pieceCountOf(this.#facts.length, this.#facts.pieceLength));
  }

  /** Whether every row is known, and the digests. */
  get isWhole(): boolean {
    return this.#whole !== null && this.#groups.size === this.groupCountInAll;
  }

  /** Takes what is right of it; returns false when nothing is. */
  take(told: ToldManifest): boolean {
    const facts = this.#factsIn(told);
    if (facts === null) return false;
    const { length, pieceLength } = facts;
    const pieceCount = pieceCountOf(length, pieceLength);
    const right = told.groups.filter(
      (group) => isWholeGroup(group, pieceCount) && this.#isSigned(group, pieceLength),
    );
    const isWholeRight = told.whole !== null && this.#isWholeSigned(told.whole, facts);
    if (right.length === 0 && !isWholeRight) return false;
    this.#facts = facts;
    for (const group of right) this.#groups.set(group.group, group);
    if (isWholeRight) this.#whole = told.whole;
    return true;
  }

  #factsIn({ validator, length, pieceLength, whole }: ToldManifest): SignedFacts | null {
    const { contentId, taskId } = this.#names;
    if (validator === null) return null;
    if (length !== null && contentIdOf(taskId, validator, length) === contentId)
      return { validator, length, pieceLength };
    // Where the length was not known when the read began, only a signature vouches for it.
    if (contentIdOf(taskId, validator, null) !== contentId || whole === null) return null;
    const facts = { validator, length: whole.length, pieceLength };
    return this.#isWholeSigned(whole, facts) ? facts : null;
  }

  #isSigned({ group, rows, signature }: ToldGroup, pieceLength: number): boolean {
    const { contentId } = this.#names;
    return areSigned({ contentId, pieceLength, group, rows }, signature, this.#key);
  }

  #isWholeSigned({ length, md5, sha256, signature }: ToldWhole, facts: SignedFacts): boolean {
    if (length !== facts.length) return false;
    const whole = { ...this.#names, ...facts, md5, sha256 };
    return isSignedWhole(whole, Uint8Array.fromBase64(signature), this.#key);
  }
}
