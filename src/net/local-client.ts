// The client's side of the local API (wire/local-api.ts): `df get` and `df status` talk through it to
// the peer on the same host, over a unix socket. It knows nothing of outputs.

import { DfError, type WireError } from "../errors.ts";
import {
  ACCESS_HEADER,
  type DownloadRequest,
  type DownloadStreamEvent,
  type PeerStatus,
} from "./wire/local-api.ts";
import type { TaskRequest } from "./wire/task.ts";
import type { FreshnessOnHost } from "./wire/task-freshness.ts";

/** An event line longer than this is not one of ours: the longest carries 8 KiB in base64. */
const EVENT_BYTES_MAX = 64 << 10;

/** A living peer answers its status from memory. */
const STATUS_TIMEOUT_MS = 2_000;

/** It may have to look for a supernode that answers. */
const FRESHNESS_TIMEOUT_MS = 10_000;

/** One peer, reached by the path of its socket. */
export class LocalClient {
  readonly socketPath: string;

  constructor(socketPath: string) {
    this.socketPath = socketPath;
  }

  /**
   * Joins a download and yields its events; ends after `done`. Leaving the loop leaves the download.
   * @throws {DfError} what the peer answered or `failed` said; unavailable when the peer is gone
   */
  async *download(
    request: DownloadRequest,
    signal: AbortSignal,
  ): AsyncGenerator<DownloadStreamEvent, void, undefined> {
    const leave = new AbortController();
    const response = await this.#ask(
      "/v1/downloads",
      {
        method: "POST",
        body: JSON.stringify(request),
        headers: { "content-type": "application/json" },
      },
      AbortSignal.any([signal, leave.signal]),
    );
    try {
      for await (const line of linesOf(response)) {
        const event = parseEvent(line);
        if (event.event === "failed") throw DfError.fromWire(event.error);
        yield event;
        if (event.event === "done") return;
      }
    } catch (error) {
      throw this.#lost(error, signal);
    } finally {
      leave.abort();
    }
    throw this.#lost(new Error("the stream ended early"), signal);
  }

  /**
   * Bytes `from` … `to` − 1 of a content, as they become readable.
   * @param range `access` as the content event of a private one told it
   * @throws {DfError} what the peer answered; unavailable when the peer is gone
   */
  async *contents(
    contentId: string,
    { from, to, access = "" }: { from: number; to: number; access?: string },
    signal: AbortSignal,
  ): AsyncGenerator<Uint8Array, void, undefined> {
    const headers = { range: `bytes=${from}-${to - 1}`, [ACCESS_HEADER]: access };
    const response = await this.#ask(`/v1/contents/${contentId}`, { headers }, signal);
    if (response.status !== 206) {
      throw new DfError("protocol", `read ${contentId} from the peer: it ignored the range`);
    }
    try {
      for await (const chunk of response.body ?? []) yield chunk;
    } catch (error) {
      throw this.#lost(error, signal);
    }
  }

  /** @throws {DfError} unavailable when no peer answers */
  async status(signal: AbortSignal = AbortSignal.timeout(STATUS_TIMEOUT_MS)): Promise<PeerStatus> {
    const response = await this.#ask("/v1/status", {}, signal);
    return (await response.json()) as PeerStatus;
  }

  /** What decides about a task's use. @throws {DfError} usage, denied, unavailable */
  async freshness(
    task: TaskRequest,
    signal: AbortSignal = AbortSignal.timeout(FRESHNESS_TIMEOUT_MS),
  ): Promise<FreshnessOnHost> {
    const body = JSON.stringify(task);
    const headers = { "content-type": "application/json" };
    const response = await this.#ask("/v1/freshness", { method: "POST", body, headers }, signal);
    return (await response.json()) as FreshnessOnHost;
  }

  async #ask(path: string, init: RequestInit, signal: AbortSignal): Promise<Response> {
    let response: Response;
    try {
      response = await fetch(`http://localhost${path}`, {
        ...init,
        signal,
        unix: this.socketPath,
        decompress: false,
        // A stream is silent while the source is; the deadline is the caller's signal.
        timeout: false,
      });
    } catch (error) {
      throw this.#lost(error, signal);
    }
    if (response.ok) return response;
    const answer = (await response.json().catch(() => null)) as { error?: WireError } | null;
    if (answer?.error !== undefined) throw DfError.fromWire(answer.error);
    throw new DfError(
      "protocol",
      `ask the peer at ${this.socketPath}: it answered ${response.status}`,
      {
        hint: "another program may own this socket",
      },
    );
  }

  /** What a broken connection means: our own stop, or a peer that is gone. */
  #lost(error: unknown, signal: AbortSignal): unknown {
    if (signal.aborted) return signal.reason;
    if (error instanceof DfError) return error;
    return new DfError("unavailable", `talk to the peer at ${this.socketPath}`, {
      cause: error,
      hint: "start one with df peer, or use --no-daemon",
    });
  }
}

async function* linesOf(response: Response): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  for await (const chunk of response.body ?? []) {
    rest += decoder.decode(chunk, { stream: true });
    const lines = rest.split("\n");
    rest = lines.pop()!;
    for (const line of lines) if (line !== "") yield line;
    if (rest.length > EVENT_BYTES_MAX)
      throw new DfError("protocol", "read the peer's events: a line is too long");
  }
}

/** The peer runs the same program as the same or a more trusted user: only the kind is checked. */
function parseEvent(line: string): DownloadStreamEvent {
  try {
    const event = JSON.parse(line) as DownloadStreamEvent;
    if (typeof event.event === "string") return event;
  } catch (cause) {
    throw new DfError("protocol", "read the peer's events: a line is no JSON", { cause });
  }
  throw new DfError("protocol", "read the peer's events: a line is no event");
}
