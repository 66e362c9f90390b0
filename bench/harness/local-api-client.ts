// Speaks to a peer's local API the way `df get` does, for benches that measure the daemon alone.

import type {
  BytesBySource,
  DownloadRequest,
  DownloadStreamEvent,
  PeerStatus,
} from "../../src/net/wire/local-api.ts";

export interface MeasuredDownload {
  seconds: number;
  length: number;
  bytes: BytesBySource;
  contentId: string;
  /** Milliseconds from the first word that all bytes are there to the end of the stream. */
  tailMs: number;
  md5: string;
}

/** Downloads into the peer's store and waits for the end. @throws when the peer reports a failure */
export async function downloadThrough(
  socket: string,
  request: DownloadRequest,
): Promise<MeasuredDownload> {
  const startedAt = performance.now();
  let contentId = "";
  let length: number | null = null;
  let lastPieceAt: number | null = null;
  for await (const event of downloadEvents(socket, request)) {
    const now = performance.now();
    if (event.event === "content") ({ contentId, length } = event);
    if (event.event === "progress" && event.doneBytes === length) lastPieceAt ??= now;
    if (event.event === "failed") throw new Error(`${event.error.code}: ${event.error.message}`);
    if (event.event === "done") {
      return {
        seconds: (now - startedAt) / 1000,
        length: event.length,
        bytes: event.bytes,
        contentId,
        tailMs: now - (lastPieceAt ?? now),
        md5: event.md5,
      };
    }
  }
  throw new Error(`${socket}: the stream ended before the download did`);
}

async function* downloadEvents(
  socket: string,
  request: DownloadRequest,
): AsyncGenerator<DownloadStreamEvent> {
  const response = await fetch("http://peer/v1/downloads", {
    method: "POST",
    body: JSON.stringify(request),
    headers: { "content-type": "application/json" },
    unix: socket,
  });
  if (!response.ok || response.body === null) {
    throw new Error(`${socket}: ${response.status} ${await response.text()}`);
  }
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of response.body) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line !== "") yield JSON.parse(line) as DownloadStreamEvent;
  }
}

/** The bytes of a content that is on the peer. */
export function readContent(socket: string, contentId: string): Promise<Response> {
  return fetch(`http://peer/v1/contents/${contentId}`, { unix: socket });
}

/** Null while the peer does not answer. */
export async function peerStatus(socket: string): Promise<PeerStatus | null> {
  try {
    const response = await fetch("http://peer/v1/status", { unix: socket });
    return response.ok ? ((await response.json()) as PeerStatus) : null;
  } catch {
    return null;
  }
}
