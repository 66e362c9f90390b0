// A host's list of supernodes, kept fresh: a request to `df config` that is held while the list stays
// the same, the list on disk for a start without `df config`, and how far each supernode is, which
// the next request tells. A list is only ever replaced by a better one, never by none.
//
//   kept list ─▶ published ─▶ ask ─▶ held … answer ─▶ published, kept ─▶ measure ─▶ ask …
//                              ▲                          │
//                              └── pause (fault, jitter) ◀┘    a supernode's "routes" cuts both short

import { z } from "zod";
import { DfError, isDfError, messageOf } from "../../errors.ts";
import { olderAnswer } from "./older-answer.ts";
import { routeAnswerSchema, type RouteAnswer, type RouteRequest } from "../wire/fleet-api.ts";
import type { FleetClient } from "./fleet-client.ts";
import { KeptJson } from "./kept-json.ts";
import { measureLatencyMs } from "./latency-probe.ts";
import type { Membership } from "./membership.ts";
import { Pause } from "./pause.ts";

export type RoutedSupernodes = RouteAnswer["supernodes"];

export interface RoutesWatchOptions {
  membership: Membership;
  /** What decides about this host's list, asked before every request. */
  host: () => Pick<RouteRequest, "hostId" | "hostname" | "addresses" | "labels" | "version">;
  /** The file in which the list is kept. */
  path: string;
  /** Hears of each list that differs from the one before; never of an empty one. */
  onList: (supernodes: RoutedSupernodes) => void;
  onWarning: (message: string) => void;
}

const keptSchema = z.object({
  /** Another fleet's list is none. */
  fleetKey: z.string(),
  version: routeAnswerSchema.shape.version,
  supernodes: routeAnswerSchema.shape.supernodes.min(1),
  latencyMs: z.record(z.string(), z.number()),
});
type Kept = z.infer<typeof keptSchema>;

/** Shorter than the minute after which balancers and routers forget a silent connection. */
const HOLD_SECONDS = 50;

/** A start waits so long for the first list: `df config` answers in milliseconds, or is down. */
const FIRST_LIST_PATIENCE_MS = 3_000;

/** Hosts that were told of a change at once ask within this time of each other. */
const SPREAD_MS = 3_000;

/** First pause after a fault; doubled by every further one, always jittered. */
const FAULT_PAUSE_MS = 500;
const FAULT_PAUSE_MS_MAX = 60_000;

/** Networks change over hours; three connections to each supernode cost nothing at this pace. */
const MEASURE_INTERVAL_MS = 10 * 60_000;

/** A figure within this factor of the one told before is noise: it must not reorder lists. */
const LATENCY_NOISE = 2;

/** Supernodes that left the list for being far must stay known as far, or they would come back. */
const LATENCIES_MAX = 256;

export class RoutesWatch {
  readonly #options: RoutesWatchOptions;
  readonly #client: FleetClient;
  readonly #kept: KeptJson<typeof keptSchema>;
  readonly #stopped = new AbortController();
  readonly #pause = new Pause();
  readonly #firstList = new Pause();
  readonly #latencyMs = new Map<string, number>();
  #list: RoutedSupernodes = [];
  #version = 0;
  /** Whether what the answer depends on changed since it was told. */
  #hasNews = false;
  /** Ends the request that is held. */
  #held = new AbortController();
  #spread: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #loop: Promise<void> | undefined;
  #measuring: Promise<void> | undefined;
  #measuredAtMs = -Infinity;

  constructor(options: RoutesWatchOptions) {
    this.#options = options;
    this.#client = options.membership.client();
    this.#kept = new KeptJson(options.path, keptSchema);
  }

  /** Returns once a list is there, kept or fresh, or after some patience without one. */
  async start(): Promise<void> {
    const kept = await this.#kept.read();
    if (kept !== null && kept.fleetKey === this.#options.membership.fleetKey) this.#restore(kept);
    this.#loop = this.#run();
    if (this.#list.length > 0) return;
    await this.#firstList.wait(FIRST_LIST_PATIENCE_MS, this.#stopped.signal);
  }

  /** A supernode says that lists changed: asks again, spread over a few seconds. */
  changed(version: number): void {
    if (version === this.#version || this.#spread !== undefined) return;
    this.#spread = setTimeout(() => {
      this.#spread = undefined;
      // The held request may have brought it meanwhile.
      if (version !== this.#version) this.#askNow();
    }, Math.random() * SPREAD_MS);
  }

  async stop(): Promise<void> {
    clearTimeout(this.#spread);
    this.#stopped.abort();
    await Promise.all([this.#loop, this.#measuring]);
  }

  #restore({ supernodes, version, latencyMs }: Kept): void {
    for (const [address, ms] of Object.entries(latencyMs)) this.#latencyMs.set(address, ms);
    // Whether this host's own facts are the same as then is not known: it asks anew.
    this.#hasNews = true;
    this.#publish(supernodes, version);
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopped;
    while (!signal.aborted) {
      const pauseMs = await this.#ask(signal);
      await this.#pause.wait(pauseMs, signal);
    }
  }

  /** One request; returns how long to pause afterwards. */
  async #ask(signal: AbortSignal): Promise<number> {
    const { membership, host, onWarning } = this.#options;
    this.#held = new AbortController();
    const hasList = this.#list.length > 0 && !this.#hasNews;
    this.#hasNews = false;
    const request = {
      ...host(),
      latencyMs: Object.fromEntries(this.#latencyMs),
      knownVersion: hasList ? this.#version : 0,
      waitSeconds: hasList ? HOLD_SECONDS : 0,
    };
    const askedAtMs = performance.now();
    try {
      await membership.renewIfDue(signal);
      const answer = await this.#client.routes(
        request,
        AbortSignal.any([signal, this.#held.signal]),
      );
      if (answer.supernodes.length === 0) throw emptyList();
      // Of another fleet's time, or of a replica that has not looked at the database for a moment.
      if (answer.version < this.#version)
        throw olderAnswer("a list", answer.version, this.#version);
      if (this.#failures > 0) onWarning("df config answers again");
      this.#failures = 0;
      const isNew = answer.version !== request.knownVersion;
      await this.#answered(answer);
      const wasHeld = performance.now() - askedAtMs > (1_000 * HOLD_SECONDS) / 2;
      if (this.#hasNews) return 0;
      // A `df config` that does not hold requests is asked as often as it wants.
      return isNew || wasHeld ? Math.random() * 1_000 : jittered(1_000 * answer.refreshSeconds);
    } catch (error) {
      // Perhaps not heard: told again.
      if (!hasList) this.#hasNews = true;
      if (signal.aborted || this.#held.signal.aborted) return 0;
      if (!isDfError(error)) throw error;
      if (this.#failures === 0) onWarning(`${messageOf(error)}; keeping the supernodes known`);
      return Math.random() * Math.min(FAULT_PAUSE_MS_MAX, FAULT_PAUSE_MS * 2 ** this.#failures++);
    }
  }

  async #answered({ supernodes, version }: RouteAnswer): Promise<void> {
    const hasChanged = !Bun.deepEquals(supernodes, this.#list);
    if (hasChanged) this.#publish(supernodes, version);
    this.#version = version;
    if (hasChanged) await this.#keep();
    this.#firstList.cutShort(0);
    const isStale = performance.now() - this.#measuredAtMs > MEASURE_INTERVAL_MS;
    const isUnmeasured = supernodes.some(({ address }) => !this.#latencyMs.has(address));
    if (isStale || (hasChanged && isUnmeasured)) {
      this.#measuring ??= this.#measure().finally(() => {
        this.#measuring = undefined;
      });
    }
  }

  #publish(supernodes: RoutedSupernodes, version: number): void {
    this.#list = supernodes;
    this.#version = version;
    this.#options.onList(supernodes);
  }

  /** A list that cannot be kept counts all the same. */
  async #keep(): Promise<void> {
    const kept = {
      fleetKey: this.#options.membership.fleetKey,
      version: this.#version,
      supernodes: this.#list,
      latencyMs: Object.fromEntries(this.#latencyMs),
    };
    await this.#kept.write(kept).catch((error) => this.#options.onWarning(messageOf(error)));
  }

  async #measure(): Promise<void> {
    const { signal } = this.#stopped;
    this.#measuredAtMs = performance.now();
    const addresses = this.#list.map(({ address }) => address);
    const measured = await Promise.all(
      addresses.map(async (address) => ({ address, ms: await measureLatencyMs(address, signal) })),
    );
    let hasNews = false;
    for (const { address, ms } of measured) {
      const told = this.#latencyMs.get(address);
      const isNoise = told !== undefined && ms !== null && ratio(ms, told) < LATENCY_NOISE;
      if (ms === null || isNoise) continue;
      this.#latencyMs.delete(address);
      this.#latencyMs.set(address, ms);
      hasNews = true;
    }
    const surplus = this.#latencyMs.size - LATENCIES_MAX;
    for (const [address] of [...this.#latencyMs].slice(0, Math.max(0, surplus))) {
      this.#latencyMs.delete(address);
    }
    if (!hasNews || signal.aborted) return;
    await this.#keep();
    this.#hasNews = true;
    this.#askNow();
  }

  #askNow(): void {
    this.#held.abort();
    this.#pause.cutShort(0);
  }
}

function emptyList(): DfError {
  return new DfError("no-supernode", "ask df config for supernodes: it knows none");
}

function ratio(a: number, b: number): number {
  return Math.max(a, b) / Math.max(Math.min(a, b), 0.001);
}

function jittered(ms: number): number {
  return ms * (0.9 + 0.2 * Math.random());
}
