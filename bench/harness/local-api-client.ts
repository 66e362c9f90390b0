// Times downloads into a peer's store through its local API, without a `df get` around them.

import { LocalClient } from "../../src/net/local-client.ts";
import type { BytesBySource, DownloadRequest, PeerStatus } from "../../src/net/wire/local-api.ts";

export interface MeasuredDownload {
  seconds: number;
  length: number;
  bytes: BytesBySource;
  contentId: string;
  /** Milliseconds from the first word that all bytes are there to the end of the stream. */
  tailMs: number;
}

/** Downloads and waits for the end. @throws {DfError} what the peer says */
export async function downloadThrough(
  socket: string,
  request: DownloadRequest,
): Promise<MeasuredDownload> {
  const startedAt = performance.now();
  let contentId = "";
  let length: number | null = null;
  let lastPieceAt: number | null = null;
  for await (const event of new LocalClient(socket).download(
    request,
    new AbortController().signal,
  )) {
    const now = performance.now();
    if (event.event === "content") ({ contentId, length } = event);
    if (event.event === "progress" && event.doneBytes === length) lastPieceAt ??= now;
    if (event.event === "done") {
      return {
        seconds: (now - startedAt) / 1000,
        length: event.length,
        bytes: event.bytes,
        contentId,
        tailMs: now - (lastPieceAt ?? now),
      };
    }
  }
  throw new Error(`${socket}: the stream ended before the download did`);
}

/** Hex SHA-256 of a content that is on the peer. */
export async function sha256ThroughApi(
  socket: string,
  content: { contentId: string; length: number },
): Promise<string> {
  const hasher = new Bun.CryptoHasher("sha256");
  const whole = { from: 0, to: content.length };
  const bytes = new LocalClient(socket).contents(
    content.contentId,
    whole,
    new AbortController().signal,
  );
  for await (const chunk of bytes) hasher.update(chunk);
  return hasher.digest("hex");
}

/** Null while the peer does not answer. */
export async function peerStatus(socket: string): Promise<PeerStatus | null> {
  try {
    return await new LocalClient(socket).status();
  } catch {
    return null;
  }
}
