// Finds again what this supernode lost with its disk, or never had because it took another's place: its
// peers say which tasks they hold, and tell the rows under the fleet's signature. Rows are adopted as
// they were signed, never remade; the pieces come as those of a supernode that lost some of its disk.
//
//   holders of the task ─▶ rows that bear the signature ─▶ does the source still have this version?
//     (whatever they say)                                    (headers alone)  ─▶ rows in the store

import type { KeyObject } from "node:crypto";
import { askSigned } from "../../../net/piece/ask-neighbour.ts";
import { redactUrl } from "../../../net/task-request.ts";
import { TOLD_GROUPS_MAX } from "../../../net/wire/signatures-api.ts";
import type { Authorise } from "../../../net/wire/ticketed-request.ts";
import type { KeptAnswer } from "../../../engine/core/freshness.ts";
import type { ContentDigests, PieceStore } from "../../../store/piece-store.ts";
import type { ClusterKey } from "../../signatures/cluster-key.ts";
import { SignedVersion } from "../../signatures/signed-version.ts";
import type { WantedContent } from "../suppliers.ts";
import type { PrivacyFacts } from "../ticket-office.ts";
import { GATHER_MS } from "./bring-from-peers.ts";

/** Versions of one task that are looked at: peers may hold former ones, and say what they like. */
const VERSIONS_MAX = 4;

/** Holders of one version that are asked: among so many somebody tells the truth. */
const HOLDERS_ASKED_MAX = 8;

const LOOK_INTERVAL_MS = 50;

/** A peer that says that it holds a version of the task. */
export interface TaskHolder {
  contentId: string;
  /** "host:port" of its piece server. */
  address: string;
}

export interface LostContentsOptions {
  clusterKey: Pick<ClusterKey, "current">;
  store: Pick<PieceStore, "findByTask" | "create">;
  holdersOf: (taskId: string) => TaskHolder[];
  /** Opens private contents to the questions. */
  authorise: (facts: PrivacyFacts) => Authorise | undefined;
  signal: AbortSignal;
}

/** A version that was lost: its rows are in the store now. */
export interface FoundContent {
  /** Null: nobody told them under the fleet's signature. */
  readonly digests: ContentDigests | null;
}

export class LostContents {
  readonly #options: LostContentsOptions;
  readonly #startedAtMs = performance.now();

  constructor(options: LostContentsOptions) {
    this.#options = options;
  }

  /**
   * Takes over the rows of the version that the source has now; null: no peer has any of it.
   * @throws {DfError} as WantedContent.confirms; no-space; the signal's reason
   */
  async find(wanted: WantedContent): Promise<FoundContent | null> {
    const { clusterKey, store, holdersOf } = this.#options;
    const key = clusterKey.current;
    if (key === null || store.findByTask(wanted.taskId) !== undefined) return null;
    await this.#untilPeersAreBack();
    const versions = Map.groupBy(holdersOf(wanted.taskId), ({ contentId }) => contentId);
    const byHolders = [...versions].toSorted(([, a], [, b]) => b.length - a.length);
    for (const [contentId, holders] of byHolders.slice(0, VERSIONS_MAX)) {
      const found = await this.#adopt({ contentId, holders, wanted, key });
      if (found !== null) return found;
    }
    return null;
  }

  /** Soon after the start the peers of the process before are still on their way. */
  async #untilPeersAreBack(): Promise<void> {
    while (performance.now() - this.#startedAtMs < GATHER_MS) {
      this.#options.signal.throwIfAborted();
      await Bun.sleep(LOOK_INTERVAL_MS);
    }
  }

  async #adopt(asked: {
    contentId: string;
    holders: readonly TaskHolder[];
    wanted: WantedContent;
    key: KeyObject;
  }): Promise<FoundContent | null> {
    const { contentId, holders, wanted, key } = asked;
    const { taskId, request } = wanted;
    const isPrivate = request.credentials !== undefined;
    const version = new SignedVersion({ contentId, taskId, isPrivate }, key);
    let answer: KeptAnswer | null = null;
    // A liar that comes back first must not always be the first to be asked.
    for (const { address } of shuffled(holders).slice(0, HOLDERS_ASKED_MAX)) {
      await this.#ask(address, { contentId, isPrivate }, version);
      if (answer === null && version.facts !== null) {
        answer = await wanted.confirms(version.facts.validator);
        // The source has another version by now.
        if (answer === null) return null;
      }
      if (version.isWhole) break;
    }
    if (version.facts === null || version.groupCount === 0) return null;
    const { validator, length, pieceLength } = version.facts;
    const lastModified = answer?.fields["last-modified"] ?? null;
    const content = await this.#options.store.create({
      ...{ contentId, taskId, url: redactUrl(request.url), layout: { length, pieceLength } },
      ...{ validator, lastModified, answer },
      ...(isPrivate ? { isPrivate } : {}),
    });
    for (const { group, rows, signature } of version.groups) {
      for (const { piece, row } of rows) content.addRow(piece, row);
      content.addSignature(group, signature);
    }
    const { whole } = version;
    return { digests: whole === null ? null : { md5: whole.md5, sha256: whole.sha256 } };
  }

  /** Lets `version` take what one holder tells, until it tells nothing right or nothing more. */
  async #ask(
    address: string,
    facts: { contentId: string; isPrivate: boolean },
    version: SignedVersion,
  ): Promise<void> {
    const { authorise, signal } = this.#options;
    const question = { contentId: facts.contentId, authorise: authorise(facts) };
    let from = 0;
    while (!version.isWhole && from < version.groupCountInAll) {
      const told = await askSigned(address, { ...question, from }, signal);
      signal.throwIfAborted();
      const isRight = told !== null && version.take(told);
      if (!isRight || told.groups.length < TOLD_GROUPS_MAX) return;
      from += TOLD_GROUPS_MAX;
    }
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  const draws = items.map((item) => ({ item, draw: Math.random() }));
  return draws.toSorted((a, b) => a.draw - b.draw).map(({ item }) => item);
}
