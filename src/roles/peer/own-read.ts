// Reads a task from its source on this host, where no supernode may or can: host-relative URLs, a
// peer without supernodes, and rationed back-to-source reads of what the swarm still owes.

import { contentIdOf } from "../../engine/bytes/task-id.ts";
import { InvariantError } from "../../engine/core/machine.ts";
import { pieceLengthFor } from "../../engine/core/piece-layout.ts";
import { DfError } from "../../errors.ts";
import { CONNECT_TIMEOUT_MS, FIRST_BYTE_TIMEOUT_MS, SOURCE_CONNECTIONS } from "../../limits.ts";
import type { SourceFacts } from "../../net/source/source-read.ts";
import { redactUrl } from "../../net/task-request.ts";
import type { TaskRequest } from "../../net/wire/swarm-messages.ts";
import type { ContentDigests, PieceStore, StoredContent } from "../../store/piece-store.ts";
import type { SourceService } from "../worker/source-service.ts";

export interface OwnReadOptions {
  sources: SourceService;
  store: PieceStore;
  taskId: string;
  task: TaskRequest;
  /** The content whose missing pieces are read; null: whatever version the source has. */
  content: StoredContent | null;
  rateBytesPerSec: number | null;
  /** The version is known and its content made. */
  onOpened: (content: StoredContent) => void;
  /** A piece was read and committed. */
  onPiece: (piece: number) => void;
}

/**
 * Reads what is missing and digests the whole.
 * @throws {DfError} source-changed when bytes contradict the manifest, else as SourceService.read
 */
export async function readFromSource(
  options: OwnReadOptions,
  signal: AbortSignal,
): Promise<ContentDigests> {
  const { sources, task, rateBytesPerSec, onOpened, onPiece } = options;
  let { content } = options;
  const { validator } = content?.facts ?? { validator: null };
  const { layout } = content?.manifest ?? {};
  const expected = validator === null ? null : { validator, length: layout?.length ?? null };
  try {
    const end = await sources.read(
      {
        request: {
          url: task.url,
          headers: task.headers,
          expected,
          connections: SOURCE_CONNECTIONS,
          timeoutMs: { connect: CONNECT_TIMEOUT_MS, firstByte: FIRST_BYTE_TIMEOUT_MS },
        },
        wantsSha256: task.checksum.startsWith("sha256:"),
        rateBytesPerSec,
        async opened(facts) {
          content ??= await createContent(options, facts);
          onOpened(content);
          return content;
        },
        pieceStored: onPiece,
      },
      signal,
    );
    if (content!.manifest.layout.length === null) content!.setLength(end.length);
    return { md5: end.md5, sha256: end.sha256 };
  } catch (error) {
    if (!(error instanceof InvariantError)) throw error;
    // The manifest refused a row: other bytes under the same validator, and now also on disk.
    if (content !== null) await options.store.delete(content.facts.contentId);
    const message = `read ${redactUrl(task.url)}: its bytes are not those the swarm has`;
    const hint = "the source has changed; try again";
    throw new DfError("source-changed", message, { cause: error, hint });
  }
}

function createContent(
  { store, taskId, task }: OwnReadOptions,
  facts: SourceFacts,
): Promise<StoredContent> {
  // Without a validator no two answers are known to be one version: each read is its own.
  const version = facts.validator ?? crypto.randomUUID();
  return store.create({
    contentId: contentIdOf(taskId, version, facts.length),
    taskId,
    url: redactUrl(task.url),
    layout: { length: facts.length, pieceLength: pieceLengthFor(facts.length) },
    validator: facts.validator,
    lastModified: facts.lastModified,
  });
}
