// Whether and when a failed exchange with a source is tried again, for all connections of one read
// together: one reader is one polite client. The arithmetic is core/retry.ts; the waiting is here.

import { Retry, type RetryPolicy, SOURCE_RETRY } from "../../engine/core/retry.ts";
import { DfError } from "../../errors.ts";
import { SourceFault } from "./source-fault.ts";

/** Body bytes that count as progress: a source that breaks off less often than this gets there in the end. */
const PROGRESS_BYTES = 256 << 10;

export class RetryGate {
  readonly #retry: Retry;
  #bytes = 0;
  /** `performance.now()` before which no request may start. */
  #notBeforeMs = 0;
  /** When the last fault that counted was seen. */
  #faultAtMs = -Infinity;

  constructor(policy: RetryPolicy = SOURCE_RETRY) {
    this.#retry = new Retry(policy);
  }

  /** Counts body bytes that arrived. */
  progressed(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < PROGRESS_BYTES) return;
    this.#bytes = 0;
    this.succeeded();
  }

  /** An exchange went well: the next fault counts as the first. */
  succeeded(): void {
    this.#retry.succeeded();
  }

  /**
   * Takes note of a fault.
   * @param startedAtMs what `ready` returned before the exchange that failed
   * @throws the fault's error when it is final or no try is left
   */
  failed(fault: SourceFault, startedAtMs: number): void {
    if (!fault.isTransient) throw fault.error;
    // What breaks all connections at once is one fault, however short the wait after the first was:
    // an exchange that was under way by then says nothing of the source since.
    if (startedAtMs < this.#faultAtMs && fault.retryAfterMs === null) return;
    this.#faultAtMs = performance.now();
    // A timeout was a long wait already: it counts twice.
    if (fault.error.code === "timeout") this.#retry.failed(0);
    const waitMs = this.#retry.failed(Math.random(), fault.retryAfterMs);
    if (waitMs === null) throw fault.error;
    this.#notBeforeMs = Math.max(this.#notBeforeMs, performance.now() + waitMs);
  }

  /**
   * Waits until the next request may start; returns when that is, in `performance.now()`.
   * @throws {DfError} interrupted
   */
  async ready(signal: AbortSignal): Promise<number> {
    for (let waitMs = this.#waitMs(); waitMs > 0; waitMs = this.#waitMs()) {
      throwIfInterrupted(signal);
      await sleep(waitMs, signal);
    }
    throwIfInterrupted(signal);
    return performance.now();
  }

  /**
   * Runs an exchange until it succeeds, fails for good or no try is left.
   * @param patienceMs how long a source is waited for that says to come back later, or says nothing
   */
  async retrying<T>(
    signal: AbortSignal,
    exchange: () => Promise<T>,
    patienceMs = Infinity,
  ): Promise<T> {
    const impatientAtMs = performance.now() + patienceMs;
    for (;;) {
      const startedAtMs = await this.ready(signal);
      try {
        return await exchange();
      } catch (error) {
        throwIfInterrupted(signal);
        if (!(error instanceof SourceFault)) throw error;
        const isLate = performance.now() + (error.retryAfterMs ?? 0) > impatientAtMs;
        if (isLate && saysLater(error)) throw error.error;
        this.failed(error, startedAtMs);
        const isNextLate = performance.now() + Math.max(0, this.#waitMs()) > impatientAtMs;
        if (isNextLate && isUnanswered(error)) throw error.error;
      }
    }
  }

  #waitMs(): number {
    return this.#notBeforeMs - performance.now();
  }
}

/**
 * How long the first answer of a registry that is too busy, or silent, is waited for. Engines know themselves how
 * to wait, or ask elsewhere meanwhile, once they are told; a moment's crowd is worth less than that. One try at a
 * registry that drops packets takes longer (CONNECT_TIMEOUT_MS), so it is the only one.
 */
const REGISTRY_PATIENCE_MS = 2_000;

/** For `retrying`, until a source has answered first. */
export function patienceWith({ isRegistry = false }: { isRegistry?: boolean }): number {
  return isRegistry ? REGISTRY_PATIENCE_MS : Infinity;
}

/** Whether the source itself asked to be left alone for now. */
function saysLater({ error, retryAfterMs }: SourceFault): boolean {
  return error.refusal?.status === 429 || retryAfterMs !== null;
}

/** Whether nothing came back at all. */
function isUnanswered({ error: { code } }: SourceFault): boolean {
  return code === "network" || code === "timeout";
}

/** Throws the signal's own DfError, or `interrupted`. */
export function throwIfInterrupted(signal: AbortSignal): void {
  if (!signal.aborted) return;
  if (signal.reason instanceof DfError) throw signal.reason;
  throw new DfError("interrupted", "read a source: interrupted", { cause: signal.reason });
}

/** Ends early, without an error, when the signal aborts. */
function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      clearTimeout(timer);
      signal.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, Math.ceil(ms));
    signal.addEventListener("abort", wake, { once: true });
    if (signal.aborted) wake();
  });
}
