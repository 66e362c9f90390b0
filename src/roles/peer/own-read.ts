// Reads a task from its source on this host, where no supernode may or can: host-relative URLs, a
// peer without supernodes, and rationed back-to-source reads of what the swarm still owes.

import { contentIdOf } from "../../engine/bytes/task-id.ts";
import { pieceLengthFor, pieceOffset } from "../../engine/core/piece-layout.ts";
import { SOURCE_CONNECTIONS, SOURCE_TIMEOUTS_MS } from "../../limits.ts";
import { pieceLengthMinOf } from "../../net/registry/registry-task.ts";
import type { SourceFacts } from "../../net/source/source-read.ts";
import { redactUrl, wholeRequestOf } from "../../net/task-request.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import type { ContentDigests, PieceStore, StoredContent } from "../../store/piece-store.ts";
import type { PieceRun, SourceService } from "../worker/source-service.ts";

export interface OwnReadOptions {
  sources: SourceService;
  store: PieceStore;
  taskId: string;
  task: TaskRequest;
  /** The content whose missing pieces are read; null: whatever version the source has. */
  content: StoredContent | null;
  rateBytesPerSec: number | null;
  /** Of a content that is new here. */
  pieceLength: number | "auto";
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
  const end = await sources.read(
    {
      request: {
        ...wholeRequestOf(task),
        expected,
        connections: SOURCE_CONNECTIONS,
        timeoutMs: SOURCE_TIMEOUTS_MS,
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
}

export interface PartReadOptions {
  sources: SourceService;
  task: TaskRequest;
  /** Its length and validator must be known: the source must still have this version. */
  content: StoredContent;
  rateBytesPerSec: number | null;
  onPiece: (piece: number) => void;
}

/**
 * Reads those of some pieces that are missing, over one connection.
 * @throws {DfError} source-changed, protocol when the source gives no ranges, else as SourceService.read
 */
export function readPartFromSource(
  { sources, task, content, rateBytesPerSec, onPiece }: PartReadOptions,
  part: PieceRun,
  signal: AbortSignal,
): Promise<void> {
  const { layout } = content.manifest;
  const startAt = pieceOffset(layout, part.piece);
  const end = pieceOffset(layout, part.piece + part.count);
  const request = {
    ...wholeRequestOf(task),
    expected: { validator: content.facts.validator!, length: layout.length },
    startAt,
    startBytes: Math.min(end, layout.length!) - startAt,
    connections: 1,
    timeoutMs: SOURCE_TIMEOUTS_MS,
  };
  const opened = (): Promise<StoredContent> => Promise.resolve(content);
  return sources.readPart({ request, rateBytesPerSec, opened, pieceStored: onPiece }, part, signal);
}

function createContent(
  { store, taskId, task, pieceLength }: OwnReadOptions,
  facts: SourceFacts,
): Promise<StoredContent> {
  // Without a validator no two answers are known to be one version: each read is its own.
  const version = facts.validator ?? crypto.randomUUID();
  const least = pieceLengthMinOf(task);
  return store.create({
    contentId: contentIdOf(taskId, version, facts.length),
    taskId,
    url: redactUrl(task.url),
    layout: { length: facts.length, pieceLength: pieceLengthFor(facts.length, pieceLength, least) },
    validator: facts.validator,
    lastModified: facts.lastModified,
    answer: facts.answer,
  });
}
