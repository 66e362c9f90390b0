// Proves requesters at the source: of private contents each with his own credentials, before anything is
// looked up for them (who is refused hears the same, as fast, whether the content is here or not); of what
// a registry's digest names, each URL.
//
//   prove ─▶ proven less than 60 s ago? ─▶ under way for the same? ─▶ lane of the source ─▶ one byte
//              └ by a keyed digest: what was proven is remembered, credentials never are

import { randomBytes } from "node:crypto";
import { Pacer } from "../../engine/bytes/pacing.ts";
import { keyedDigestOf } from "../../engine/bytes/task-id.ts";
import type { RetryPolicy } from "../../engine/core/retry.ts";
import { type DfError, isDfError } from "../../errors.ts";
import { SOURCE_TIMEOUTS_MS } from "../../limits.ts";
import type { EgressGuard } from "../../net/egress/egress-guard.ts";
import { RetryGate } from "../../net/source/retry-gate.ts";
import {
  proveAtSource,
  type ProofRequest,
  type ProvenVersion,
} from "../../net/source/source-proof.ts";

/** A right that was taken away at the source is gone here after it, for downloads that begin then. */
const PROOF_FRESH_MS = 60_000;

/** Proofs remembered at once, the oldest go first. Some 500 bytes each. */
const PROOFS_MAX = 50_000;

/** Ten thousand hosts that start together must not look like an attack to their source. */
const IN_FLIGHT_MAX = 32;
const PROOFS_PER_SEC = 200;

/** The token bucket counts bytes and saves up an eighth of a second: one proof is this many of them. */
const PROOF_TOKENS = 16 << 10;

/** Somebody waits, and a source that is down is told as it is. */
const RETRY: RetryPolicy = {
  ...{ attemptsMax: 3, baseDelayMs: 250, delayMsMax: 1_000, retryAfterMsMax: 30_000 },
};

/** A source that asks to be left alone is, by everybody; but one user's limit must not shut out all for long. */
const HOLD_MS_MAX = 30_000;

/** Lanes of sources that nobody asked for so long are forgotten. */
const LANE_IDLE_MS = 120_000;

/** Lanes at once, but for those in use: a host may ask for any number of sources. Some 2 KB each. */
const LANES_MAX = 10_000;

/** What one source bears. */
interface Lane {
  readonly gate: RetryGate;
  readonly pacer: Pacer;
  readonly waiting: (() => void)[];
  inFlight: number;
  usedAtMs: number;
  /** What the source said to somebody when it was too busy; null: nothing. */
  hold: { error: DfError; untilMs: number } | null;
}

/** Who asks, and what he asks with. */
export type AskedProof = Omit<ProofRequest, "timeoutMs" | "egress" | "trust">;

/** The source's consent to one requester. */
export interface Proven {
  readonly version: ProvenVersion;
  /** `performance.now()` when it was given. */
  readonly atMs: number;
}

export class SourceProofs {
  /** Random, of this process: digests that leak say nothing to anybody. */
  readonly #key = randomBytes(32);
  readonly #signal: AbortSignal;
  readonly #egress: EgressGuard;
  readonly #lanes = new Map<string, Lane>();
  readonly #proven = new Map<string, Proven>();
  readonly #underWay = new Map<string, Promise<Proven>>();

  /** @param options `signal` ends all proofs under way */
  constructor(options: { egress: EgressGuard; signal: AbortSignal }) {
    this.#egress = options.egress;
    this.#signal = options.signal;
  }

  /**
   * Returns what the source names to this requester. Only consent is remembered: a refusal is its own.
   * @param ageMsMax how long ago it may have said so
   * @throws {DfError} as proveAtSource
   */
  prove(request: AskedProof, ageMsMax = PROOF_FRESH_MS): Promise<Proven> {
    const name = this.#nameOf(request);
    const known = this.#proven.get(name);
    const freshMs = Math.min(ageMsMax, PROOF_FRESH_MS);
    if (known !== undefined && performance.now() - known.atMs < freshMs)
      return Promise.resolve(known);
    const underWay = this.#underWay.get(name);
    if (underWay !== undefined) return underWay;
    const proof = this.#ask(request)
      .then((version) => this.#remember(name, version))
      .finally(() => this.#underWay.delete(name));
    this.#underWay.set(name, proof);
    return proof;
  }

  /** The source refused one who was proven: what is remembered of him is no longer true. */
  forget(request: AskedProof): void {
    this.#proven.delete(this.#nameOf(request));
  }

  #nameOf({ url, headers, method = "GET" }: AskedProof): string {
    const fields = Object.entries(headers)
      .map(([name, value]): [string, string] => [name.toLowerCase(), value])
      .toSorted(([a], [b]) => (a < b ? -1 : 1));
    return keyedDigestOf(this.#key, [method, url, ...fields.flat()]);
  }

  async #ask(asked: AskedProof): Promise<ProvenVersion> {
    const lane = this.#laneOf(new URL(asked.url).origin);
    await this.#enter(lane);
    try {
      if (lane.hold !== null && performance.now() < lane.hold.untilMs) throw lane.hold.error;
      await lane.pacer.admit(PROOF_TOKENS, this.#signal);
      return await this.#askIn(lane, asked);
    } finally {
      lane.usedAtMs = performance.now();
      const next = lane.waiting.shift();
      if (next === undefined) lane.inFlight--;
      else next();
    }
  }

  /** A source that is too busy is left alone for a while. Only its own word counts: not that others heard it. */
  async #askIn(lane: Lane, asked: AskedProof): Promise<ProvenVersion> {
    try {
      const request = { ...asked, timeoutMs: SOURCE_TIMEOUTS_MS, egress: this.#egress };
      return await proveAtSource(request, lane.gate, this.#signal);
    } catch (error) {
      if (isDfError(error, "source-busy")) {
        const holdMs = Math.min((error.refusal?.holdsForSeconds ?? 0) * 1_000, HOLD_MS_MAX);
        lane.hold = { error, untilMs: performance.now() + holdMs };
      }
      throw error;
    }
  }

  /** Takes one of the lane's places, which is handed from one to the next. */
  async #enter(lane: Lane): Promise<void> {
    if (lane.inFlight < IN_FLIGHT_MAX) {
      lane.inFlight++;
      return;
    }
    const { promise, resolve } = Promise.withResolvers<void>();
    lane.waiting.push(resolve);
    await promise;
  }

  #laneOf(origin: string): Lane {
    const lane: Lane = this.#lanes.get(origin) ?? {
      gate: new RetryGate(RETRY),
      pacer: new Pacer(PROOFS_PER_SEC * PROOF_TOKENS),
      waiting: [],
      inFlight: 0,
      usedAtMs: performance.now(),
      hold: null,
    };
    this.#forgetIdle();
    this.#lanes.delete(origin);
    this.#lanes.set(origin, lane);
    return lane;
  }

  /** The lane that was asked for last is the last: what comes after one in use lately need not be looked at. */
  #forgetIdle(): void {
    const nowMs = performance.now();
    for (const [name, { inFlight, usedAtMs }] of this.#lanes) {
      if (inFlight > 0) continue;
      if (this.#lanes.size < LANES_MAX && nowMs - usedAtMs <= LANE_IDLE_MS) return;
      this.#lanes.delete(name);
    }
  }

  #remember(name: string, version: ProvenVersion): Proven {
    const proven = { version, atMs: performance.now() };
    this.#proven.delete(name);
    this.#proven.set(name, proven);
    const [oldest] = this.#proven.keys();
    if (this.#proven.size > PROOFS_MAX && oldest !== undefined) this.#proven.delete(oldest);
    return proven;
  }
}
