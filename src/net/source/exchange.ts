// One request to a source and its answer: every wait within a deadline, and the place at the source
// given back when the last byte came, or none will.

import http from "node:http";
import https from "node:https";
import { DfError } from "../../errors.ts";
import type { Passage } from "../egress/outlet.ts";
import { refusalOf } from "../egress/tunnel-agent.ts";
import { redactUrl } from "../task-request.ts";
import { throwIfInterrupted } from "./retry-gate.ts";
import { SourceFault, faultOfTransport } from "./source-fault.ts";
import type { SourceTimeouts } from "./source-read.ts";

/** A body that brings less than this a second over the stall window is given up. */
const STALL_BYTES_PER_SEC = 1 << 10;
const STALL_WINDOW_MS = 30_000;

/** One answered request: the headers are in, the body is not yet read. */
export interface SourceAnswer {
  status: number;
  headers: http.IncomingHttpHeaders;
  /** Names and values in turn, as sent. */
  rawHeaders: string[];
  finalUrl: string;
  /** Unix milliseconds. */
  requestedAt: number;
  receivedAt: number;
  /** How long the redirects to `finalUrl` may be taken for granted; null: there were none. */
  redirectSeconds: number | null;
  /** Bytes of the body that the rate limit admitted before they were asked for. */
  admittedBytes: number;
  /** The body's bytes as sent; a fault when it breaks off or stalls. To be read at most once. */
  body(): AsyncGenerator<Uint8Array>;
  /** Breaks the answer off; harmless after its end. */
  close(): void;
}

export interface Exchange {
  readonly passage: Passage;
  readonly method: "GET" | "HEAD";
  readonly headers: Readonly<Record<string, string>>;
  readonly timeoutMs: SourceTimeouts;
  /** What an error before the answer is called. */
  readonly faultOf: (error: Error) => SourceFault;
}

/**
 * Sends the request and waits for the answer's headers.
 * @throws {SourceFault}; {DfError} interrupted
 */
export function exchange(asked: Exchange, signal: AbortSignal): Promise<SourceAnswer> {
  const { passage, timeoutMs, faultOf } = asked;
  const { url, proxy } = passage.target;
  const requestedAt = Date.now();
  return new Promise((resolve, reject) => {
    const request = requestOf(asked);
    const stopWaiting = expireInTime(request, url, timeoutMs);
    const interrupt = (): void => void request.destroy(new Error("interrupted"));
    signal.addEventListener("abort", interrupt, { once: true });
    const settle = once(() => {
      stopWaiting();
      signal.removeEventListener("abort", interrupt);
      passage.leave();
    });
    // Stays for the request's life: an error after the answer is also told by the body.
    request.on("error", (error) => {
      settle();
      passage.failed();
      reject(signal.aborted ? interruption(signal) : faultOf(error));
    });
    request.once("response", (message) => {
      stopWaiting();
      // By then the connection is either closed or waits for the next request.
      message.once("close", settle);
      passage.answered(message.socket.remoteAddress ?? "");
      if (proxy !== null && message.statusCode === 407) {
        message.destroy();
        reject(faultOfTransport(refusalOf(407), url.href));
      } else resolve(answerOf(message, asked, requestedAt, signal));
    });
    request.end();
  });
}

/** Gives the place at the source back if the request cannot even be made. */
function requestOf({ passage, method, headers }: Exchange): http.ClientRequest {
  const { url } = passage.target;
  try {
    return (url.protocol === "https:" ? https : http).request(bareUrl(url), {
      method,
      headers: { ...headers, ...passage.headers },
      ...passage.options,
    });
  } catch (error) {
    passage.leave();
    throw faultOfTransport(error, url.href);
  }
}

/** Ends a request that is not connected, or not answered, in time; returns what stops the wait. */
function expireInTime(
  request: http.ClientRequest,
  url: URL,
  { connect, firstByte }: SourceTimeouts,
): () => void {
  const expire = (what: string, afterMs: number): void => {
    const message = `read ${redactUrl(url.href)}: ${what} within ${afterMs / 1000} s`;
    const error = new DfError("timeout", message, {
      hint: "check that the source is reachable from here",
    });
    request.destroy(new SourceFault(error, { isTransient: true }));
  };
  let timer = setTimeout(expire, connect, "no connection", connect);
  let isOver = false;
  const awaitFirstByte = (): void => {
    clearTimeout(timer);
    if (!isOver) timer = setTimeout(expire, firstByte, "no answer", firstByte);
  };
  request.once("socket", (socket) => {
    if (socket.connecting) socket.once("connect", awaitFirstByte);
    else awaitFirstByte();
  });
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

function answerOf(
  message: http.IncomingMessage,
  { passage, timeoutMs }: Exchange,
  requestedAt: number,
  signal: AbortSignal,
): SourceAnswer {
  const { href } = passage.target.url;
  const windowMs = timeoutMs.stall ?? STALL_WINDOW_MS;
  return {
    status: message.statusCode ?? 0,
    headers: message.headers,
    rawHeaders: message.rawHeaders,
    finalUrl: href,
    requestedAt,
    receivedAt: Date.now(),
    redirectSeconds: null,
    admittedBytes: 0,
    body: () => bodyOf(message, { url: href, windowMs, signal }),
    close: () => void message.destroy(),
  };
}

/** Credentials travel in a header, never in the request line. */
function bareUrl(url: URL): string {
  const bare = new URL(url);
  bare.username = "";
  bare.password = "";
  return bare.href;
}

function once(work: () => void): () => void {
  let isDone = false;
  return () => {
    if (isDone) return;
    isDone = true;
    work();
  };
}

function interruption(signal: AbortSignal): unknown {
  try {
    throwIfInterrupted(signal);
  } catch (error) {
    return error;
  }
  return signal.reason;
}

/** The body's chunks; only time spent waiting for the source counts towards a stall. */
async function* bodyOf(
  message: http.IncomingMessage,
  { url, windowMs, signal }: { url: string; windowMs: number; signal: AbortSignal },
): AsyncGenerator<Uint8Array> {
  const chunks = message[Symbol.asyncIterator]() as AsyncIterator<Uint8Array>;
  const bytesMin = (STALL_BYTES_PER_SEC * windowMs) / 1000;
  let waitedMs = 0;
  let bytes = 0;
  let hasStalled = false;
  const giveUp = (): void => {
    hasStalled = true;
    message.destroy();
  };
  try {
    for (;;) {
      const sinceMs = performance.now();
      const timer = setTimeout(giveUp, Math.max(0, windowMs - waitedMs));
      const next = await chunks.next().finally(() => clearTimeout(timer));
      if (hasStalled) throw new Error("stalled");
      if (next.done === true) break;
      waitedMs += performance.now() - sinceMs;
      bytes += next.value.length;
      if (bytes >= bytesMin) {
        waitedMs = 0;
        bytes = 0;
      }
      yield next.value;
    }
    if (!message.complete)
      throw Object.assign(new Error("the body ended early"), { code: "ECONNRESET" });
  } catch (error) {
    throwIfInterrupted(signal);
    if (!hasStalled) throw faultOfTransport(error, url);
    const stall = `read ${redactUrl(url)}: less than 1 KiB/s for ${windowMs / 1000} s`;
    throw new SourceFault(new DfError("timeout", stall, { cause: error }), { isTransient: true });
  } finally {
    // A no-op after the end; otherwise the consumer left and the rest is not wanted.
    message.destroy();
  }
}
