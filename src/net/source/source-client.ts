// One source over HTTP: sends a request, follows redirects by hand, keeps connections alive and
// every wait within a deadline. What an answer means is decided by source-answer.ts and above.

import { lookup as resolveName, type LookupAddress, type LookupOptions } from "node:dns";
import http from "node:http";
import https from "node:https";
import { redirectLifetimeSeconds } from "../../engine/core/freshness.ts";
import { DfError } from "../../errors.ts";
import { keptAnswerOf, termsOf } from "./cache-terms.ts";
import { version } from "../../../package.json";
import { throwIfInterrupted } from "./retry-gate.ts";
import { SourceFault, faultOfStatus, faultOfTransport, finalFault } from "./source-fault.ts";
import { isLocalAddress } from "./local-name.ts";
import { redactUrl } from "../task-request.ts";
import type { SourceAddress, SourceTrust } from "./source-read.ts";

/** curl follows 50, browsers 20; a chain beyond this is a loop in practice. */
const REDIRECTS_MAX = 10;

/** A body that brings less than this a second over the stall window is given up. */
const STALL_BYTES_PER_SEC = 1 << 10;
const STALL_WINDOW_MS = 30_000;

/** Header fields that say nothing of who asks: the only ones that follow a redirect to another origin. */
const NEUTRAL_HEADERS = new Set(["user-agent", "accept", "accept-language"]);

/** Header fields that a read sets itself or that are between two hops only (RFC 9110 §7.6.1). */
const OWN_HEADERS =
  /^(range|if-.*|accept-encoding|connection|keep-alive|te|transfer-encoding|content-length|upgrade|proxy-connection|expect)$/;

/** One answered request: the headers are in, the body is not yet read. */
export interface SourceAnswer {
  status: number;
  headers: http.IncomingHttpHeaders;
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

interface Exchange {
  url: URL;
  headers: Record<string, string>;
  method: "GET" | "HEAD";
}

export class SourceClient {
  readonly #address: SourceAddress;
  readonly #http = new http.Agent({ keepAlive: true });
  readonly #https = new https.Agent({ keepAlive: true });
  /** Where redirects led; forgotten when that place refuses, e.g. because its signature expired. */
  #resolved: { url: string; redirectSeconds: number | null } | null = null;
  /**
   * The address that answered first: all connections of a read go there, because the servers
   * behind one name may hold different versions or name them differently.
   */
  #pinned: { host: string; address: string; family: number } | null = null;

  constructor(address: SourceAddress) {
    this.#address = address;
  }

  /**
   * Sends a request and waits for the final answer's headers, whatever its status.
   * @throws {SourceFault} also for a chain of redirects that leads nowhere
   */
  async ask(
    headers: Record<string, string>,
    signal: AbortSignal,
    method: "GET" | "HEAD" = "GET",
  ): Promise<SourceAnswer> {
    if (this.#resolved !== null) {
      const answer = await this.#follow(this.#resolved, headers, method, signal);
      if (![401, 403, 404, 410].includes(answer.status)) return answer;
      answer.close();
      this.#resolved = null;
    }
    const start = { url: this.#address.url, redirectSeconds: null };
    const answer = await this.#follow(start, headers, method, signal);
    const { finalUrl: url, redirectSeconds } = answer;
    if (url !== new URL(this.#address.url).href) this.#resolved = { url, redirectSeconds };
    return answer;
  }

  /** Closes idle connections; answers under way are closed by their own `close`. */
  close(): void {
    this.#http.destroy();
    this.#https.destroy();
  }

  async #follow(
    from: { url: string; redirectSeconds: number | null },
    headers: Record<string, string>,
    method: "GET" | "HEAD",
    signal: AbortSignal,
  ): Promise<SourceAnswer> {
    let url = new URL(from.url);
    let { redirectSeconds } = from;
    for (let hops = 0; hops <= REDIRECTS_MAX; hops++) {
      const answer = await this.#exchange(
        { url, headers: { ...this.#headersFor(url), ...headers }, method },
        signal,
      );
      if (![301, 302, 303, 307, 308].includes(answer.status)) return { ...answer, redirectSeconds };
      answer.close();
      const seconds = redirectLifetimeSeconds(answer.status, termsOf(keptAnswerOf(answer)));
      redirectSeconds = Math.min(redirectSeconds ?? Infinity, seconds);
      url = redirectTarget(url, answer.headers.location);
    }
    throw finalFault(
      "protocol",
      `read ${redactUrl(from.url)}: more than ${REDIRECTS_MAX} redirects`,
      "the redirects form a loop",
    );
  }

  /** The caller's header fields that may be sent to `url`, and ours. */
  #headersFor(url: URL): Record<string, string> {
    const original = new URL(this.#address.url);
    const isSameOrigin = url.origin === original.origin;
    const headers: Record<string, string> = {
      "user-agent": `df/${version}`,
      accept: "*/*",
      "accept-encoding": "identity",
    };
    for (const [name, value] of Object.entries(this.#address.headers)) {
      const field = name.toLowerCase();
      if (OWN_HEADERS.test(field)) continue;
      if (isSameOrigin || NEUTRAL_HEADERS.has(field)) headers[field] = value;
    }
    const { username, password } = isSameOrigin ? original : url;
    if (username !== "" || password !== "") {
      const pair = `${decodeURIComponent(username)}:${decodeURIComponent(password)}`;
      headers["authorization"] ??= `Basic ${Buffer.from(pair).toString("base64")}`;
    }
    return headers;
  }

  #exchange({ url, headers, method }: Exchange, signal: AbortSignal): Promise<SourceAnswer> {
    throwIfInterrupted(signal);
    const { timeoutMs } = this.#address;
    const isTls = url.protocol === "https:";
    const requestedAt = Date.now();
    return new Promise((resolve, reject) => {
      const request = (isTls ? https : http).request(bareUrl(url), {
        method,
        headers,
        agent: isTls ? this.#https : this.#http,
        lookup: this.#lookup,
        ...(isTls ? trustOptions(this.#address.trust) : {}),
      });
      const expire = (what: string, afterMs: number): void => {
        const message = `read ${redactUrl(url.href)}: ${what} within ${afterMs / 1000} s`;
        const error = new DfError("timeout", message, {
          hint: "check that the source is reachable from here",
        });
        request.destroy(new SourceFault(error, { isTransient: true }));
      };
      let timer = setTimeout(expire, timeoutMs.connect, "no connection", timeoutMs.connect);
      const awaitFirstByte = (): void => {
        clearTimeout(timer);
        timer = setTimeout(expire, timeoutMs.firstByte, "no answer", timeoutMs.firstByte);
      };
      const interrupt = (): void => void request.destroy(new Error("interrupted"));
      signal.addEventListener("abort", interrupt, { once: true });
      const settle = (): void => {
        clearTimeout(timer);
        signal.removeEventListener("abort", interrupt);
      };
      request.once("socket", (socket) => {
        if (socket.connecting) socket.once("connect", awaitFirstByte);
        else awaitFirstByte();
      });
      // Stays for the request's life: an error after the answer is also told by the body.
      request.on("error", (error) => {
        settle();
        this.#pinned = null;
        reject(signal.aborted ? interruption(signal) : faultOfTransport(error, url.href));
      });
      request.once("response", (message) => {
        clearTimeout(timer);
        message.once("close", settle);
        const { remoteAddress: address, remoteFamily } = message.socket;
        if (address !== undefined) {
          this.#pinned = { host: url.hostname, address, family: remoteFamily === "IPv6" ? 6 : 4 };
        }
        resolve({
          status: message.statusCode ?? 0,
          headers: message.headers,
          finalUrl: url.href,
          requestedAt,
          receivedAt: Date.now(),
          redirectSeconds: null,
          admittedBytes: 0,
          body: () =>
            bodyOf(message, {
              url: url.href,
              windowMs: timeoutMs.stall ?? STALL_WINDOW_MS,
              signal,
            }),
          close: () => void message.destroy(),
        });
      });
      request.end();
    });
  }

  readonly #lookup = (
    host: string,
    options: LookupOptions,
    callback: (error: Error | null, address: string | LookupAddress[], family?: number) => void,
  ): void => {
    if (this.#pinned?.host !== host) {
      resolveName(host, options, callback);
      return;
    }
    const { address, family } = this.#pinned;
    if (options.all === true) callback(null, [{ address, family }]);
    else callback(null, address, family);
  };
}

function trustOptions(trust: SourceTrust | undefined): https.AgentOptions {
  if (trust === undefined) return {};
  return { rejectUnauthorized: !trust.isInsecure, ...(trust.ca === null ? {} : { ca: trust.ca }) };
}

/** Credentials travel in a header, never in the request line. */
function bareUrl(url: URL): string {
  const bare = new URL(url);
  bare.username = "";
  bare.password = "";
  return bare.href;
}

function redirectTarget(from: URL, location: string | undefined): URL {
  const what = `read ${redactUrl(from.href)}`;
  if (location === undefined || !URL.canParse(location, from.href)) {
    throw finalFault("protocol", `${what}: a redirect without a usable Location`);
  }
  const target = new URL(location, from);
  if (target.protocol !== "http:" && target.protocol !== "https:") {
    throw finalFault("protocol", `${what}: a redirect to ${target.protocol}`);
  }
  if (isLocalAddress(target.hostname) && !isLocalAddress(from.hostname)) {
    throw finalFault(
      "denied",
      `${what}: a redirect to ${target.hostname}, this machine or its link`,
      "a source must not lead others into the network of who reads it",
    );
  }
  if (from.protocol === "https:" && target.protocol === "http:") {
    throw finalFault(
      "protocol",
      `${what}: a redirect from https to http`,
      "use the http URL if plain text is acceptable",
    );
  }
  return target;
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

/** Closes the answer and throws unless its status is one of `statuses`. */
export function expectStatus(answer: SourceAnswer, statuses: readonly number[]): void {
  if (statuses.includes(answer.status)) return;
  answer.close();
  throw faultOfStatus(answer);
}
