// Reads sources into contents: goes on with what is here of the same version, and, where the source of a
// content for which each is proven refuses the one it is read for, with the request of another who waits.

import { isDfError } from "../../errors.ts";
import { SOURCE_CONNECTIONS } from "../../limits.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { PieceStore, StoredContent } from "../../store/piece-store.ts";
import type { LiveSettings } from "../settings/live-settings.ts";
import type { SourceReadEnd } from "../worker/source-worker-messages.ts";
import type { SourceService } from "../worker/source-service.ts";
import { isProvenSingly, type Requesters } from "./requesters.ts";
import { addressOf, contentFactsOf, resumePoint } from "./source-order.ts";
import type { ContentSink } from "./suppliers.ts";

export interface SourceReadingOptions {
  store: PieceStore;
  sources: SourceService;
  settings: LiveSettings;
  /** Whether the swarm knows a content. */
  isShared: (contentId: string) => boolean;
  /** Whether a content may be given to those who ask later than its read. */
  isKept: (content: StoredContent) => boolean;
  /** Who downloads a content now for which each is proven; undefined: it is not known any more. */
  requestersOf: (contentId: string) => Requesters | undefined;
  /** The source refused one who was proven. */
  refused: (request: TaskRequest, error: unknown) => void;
}

interface WantedRead {
  taskId: string;
  request: TaskRequest;
  sink: ContentSink;
}

export class SourceReading {
  readonly #options: SourceReadingOptions;
  /** Reads begun since the start. */
  count = 0;

  constructor(options: SourceReadingOptions) {
    this.#options = options;
  }

  /**
   * Reads a task's source, continuing what is here of the version under way or of the task's newest.
   * @throws {DfError} as SourceService.read
   */
  async read(wanted: WantedRead): Promise<SourceReadEnd> {
    const { sink, taskId } = wanted;
    const partial = sink.content ?? (await this.#resumable(taskId));
    try {
      return await this.#readForAnyone(wanted, partial);
    } catch (error) {
      const mayStartAnew = partial !== null && sink.content === null;
      if (!mayStartAnew || !isDfError(error, "source-changed")) throw error;
      await this.#options.store.delete(partial.facts.contentId);
      return this.#readForAnyone(wanted, null);
    }
  }

  /** Until it is read, or the source refuses all who wait for it. */
  async #readForAnyone(wanted: WantedRead, partial: StoredContent | null): Promise<SourceReadEnd> {
    const { sink, taskId } = wanted;
    let { request } = wanted;
    for (;;) {
      try {
        return await this.#readOnce({ taskId, request, sink }, sink.content ?? partial);
      } catch (error) {
        if (!isProvenSingly(request) || !isRefusal(error)) throw error;
        this.#options.refused(request, error);
        const { content } = sink;
        const next =
          content && this.#options.requestersOf(content.facts.contentId)?.instead(request);
        if (next === null || next === undefined) throw error;
        request = next.reveal();
      }
    }
  }

  async #resumable(taskId: string): Promise<StoredContent | null> {
    const { store, isShared, isKept } = this.#options;
    const stored = store.findByTask(taskId);
    if (stored === undefined || isShared(stored.facts.contentId)) return null;
    await stored.verify();
    if (stored.facts.validator !== null && isKept(stored)) return stored;
    await store.delete(stored.facts.contentId);
    return null;
  }

  #readOnce(
    { taskId, request, sink }: WantedRead,
    partial: StoredContent | null,
  ): Promise<SourceReadEnd> {
    this.count++;
    const { pieceLength, digest, compression } = this.#options.settings.current;
    return this.#options.sources.read(
      {
        request: {
          ...addressOf(request),
          ...resumePoint(partial),
          connections: SOURCE_CONNECTIONS,
        },
        wantsSha256: digest === "sha256" || request.checksum.startsWith("sha256:"),
        opened: (facts) => sink.open(contentFactsOf({ taskId, request, pieceLength }, facts)),
        compresses: compression === "auto",
        pieceStored: (piece, { plainLength }) => sink.pieceStored(piece, plainLength),
      },
      sink.signal,
    );
  }
}

/** Whether the source does not let this reader have it, any more perhaps; some say that it is not there. */
function isRefusal(error: unknown): boolean {
  return (
    isDfError(error, "source-unauthorized") ||
    isDfError(error, "source-forbidden") ||
    isDfError(error, "source-not-found")
  );
}
