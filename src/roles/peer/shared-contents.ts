// What this host shares: tells the piece worker what to serve, and takes back everywhere what the
// store evicted to make room.

import type { ContentDigests, PieceStore, StoredContent } from "../../store/piece-store.ts";
import type { PieceService } from "../worker/piece-service.ts";

export class SharedContents {
  readonly #store: PieceStore;
  readonly #pieces: PieceService;
  readonly #onEvicted: (contentId: string) => void;
  readonly #shared = new Set<string>();
  /** By task: what is whole and being synced. */
  readonly #completing = new Map<string, Promise<void>>();
  #endings = 0;
  #isStopped = false;

  constructor(
    store: PieceStore,
    pieces: PieceService,
    /** The content is not here any more. */
    onEvicted: (contentId: string) => void,
  ) {
    this.#store = store;
    this.#pieces = pieces;
    this.#onEvicted = onEvicted;
    // Only what `have` says is served: pieces in doubt appear when the store has hashed them.
    for (const content of store.list()) this.share(content);
  }

  /** Serves a content; again when its bitmap was replaced. */
  share(content: StoredContent): void {
    this.#shared.add(content.facts.contentId);
    this.#pieces.serve(content);
    this.withdrawGone();
  }

  /** Records a whole content as complete. @throws {DfError} as StoredContent.complete */
  async complete(content: StoredContent, digests: ContentDigests): Promise<void> {
    const { taskId } = content.facts;
    const completing = content.complete(digests);
    this.#completing.set(taskId, completing);
    try {
      await completing;
    } finally {
      if (this.#completing.get(taskId) === completing) this.#completing.delete(taskId);
    }
  }

  /** Resolves when the task's content is no longer about to be complete: until then it is not known to be here. */
  async completed(taskId: string): Promise<void> {
    await this.#completing.get(taskId)?.catch(() => {});
  }

  /**
   * Runs the end of a download and then brings the store down to its quota. Only when no other one
   * is ending: a content that is still leased would have a more recent one evicted in its place.
   */
  async ending(work: () => Promise<void>): Promise<void> {
    this.#endings++;
    try {
      await work();
    } finally {
      this.#endings--;
    }
    if (this.#endings > 0 || this.#isStopped) return;
    await this.#store.evict();
    this.withdrawGone();
  }

  /** Deletes a content that turned out to be another than was said, and takes it back everywhere. */
  async discard(contentId: string): Promise<void> {
    await this.#store.delete(contentId);
    this.withdrawGone();
  }

  /** Evicts nothing any more: the store is about to close. */
  stop(): void {
    this.#isStopped = true;
  }

  /** The store evicts on its own when it makes room for a new content, or the disk becomes too full. */
  withdrawGone(): void {
    for (const contentId of this.#shared) {
      if (this.#store.get(contentId) !== undefined) continue;
      this.#shared.delete(contentId);
      this.#pieces.remove(contentId);
      this.#onEvicted(contentId);
    }
  }
}
