// Hosts that children say gave wrong bytes: this supernode fetches the very piece itself, and keeps
// from being parents those that gave it wrong ones too, longer each time. What it finds, the scheduler
// hears; what a host was caught at outlives its channel.

import {
  PieceOutcome,
  type ProbeVerdict,
  type SchedulerEffect,
  type SchedulerEvent,
} from "../../engine/core/scheduler-events.ts";
import { Pause } from "../../net/fleet/pause.ts";
import { PieceClient } from "../../net/piece/piece-client.ts";
import type { ConnectedPeer } from "./connected-peer.ts";
import type { Seeding } from "./seeding.ts";
import type { TicketOffice } from "./ticket-office.ts";

export interface AccusedHostsOptions {
  /** Null: no private content is shared here. */
  tickets: Pick<TicketOffice, "authorise"> | null;
  peers: () => Iterable<ConnectedPeer>;
  /** The host that the scheduler knows by this number. */
  peerAt: (host: number) => ConnectedPeer | undefined;
  seedingAt: (content: number) => Seeding | undefined;
  step: (event: SchedulerEvent) => void;
}

/** Probes at once; an accusation beyond it is heard when it comes again. */
const PROBES_MAX = 16;

/** For one piece of 16 MiB on a slow link, with waits for a busy host. */
const PROBE_TIMEOUT_MS = 30_000;

/** Tries at a host that says it is busy: its children keep it so. */
const BUSY_TRIES = 5;

/** First quarantine; each further one is twice as long: a disk that rots does not heal, a cable might. */
const QUARANTINE_MS = 10 * 60_000;
const QUARANTINE_MS_MAX = 24 * 60 * 60_000;

/** Hosts whose record is kept. */
const RECORDS_MAX = 10_000;

interface CourtRecord {
  sentences: number;
  pardon: ReturnType<typeof setTimeout> | null;
}

export class AccusedHosts {
  readonly #options: AccusedHostsOptions;
  readonly #client = new PieceClient();
  /** By host ID. */
  readonly #records = new Map<string, CourtRecord>();
  readonly #stopping = new AbortController();
  #probes = 0;

  constructor(options: AccusedHostsOptions) {
    this.#options = options;
  }

  /** Whether the host is no parent for now. */
  isQuarantined(hostId: string): boolean {
    return this.#records.get(hostId)?.pardon != null;
  }

  stop(): void {
    this.#stopping.abort();
    for (const { pardon } of this.#records.values()) clearTimeout(pardon ?? undefined);
  }

  /** Performs the scheduler's effect; `probed` follows, later. */
  async probe(effect: SchedulerEffect & { kind: "probe" }): Promise<void> {
    const { peerAt, peers, step } = this.#options;
    const { content, piece, host } = effect;
    const accused = peerAt(host);
    const accuser = peerAt(effect.accuser);
    const seeding = this.#options.seedingAt(content);
    // Whoever performs effects is in the middle of a step.
    await Promise.resolve();
    if (accused === undefined) return;
    let verdict: ProbeVerdict = "unknown";
    if (seeding !== undefined && this.#probes < PROBES_MAX) {
      this.#probes++;
      verdict = await this.#verdictOn(accused, seeding, piece);
      this.#probes--;
    }
    if (this.#stopping.signal.aborted) return;
    const { hostId } = accused.channel.hello;
    if (verdict === "liar") this.#sentence(hostId);
    const told = accuser !== undefined && !accuser.isGone ? accuser.host : null;
    for (const peer of peers()) {
      // It may have come back with a new channel meanwhile, and number.
      const isIt = peer === accused || (verdict === "liar" && peer.channel.hello.hostId === hostId);
      if (isIt) step({ kind: "probed", host: peer.host, accuser: told, verdict });
    }
  }

  async #verdictOn(accused: ConnectedPeer, seeding: Seeding, piece: number): Promise<ProbeVerdict> {
    const { facts, manifest } = seeding.stored;
    const { contentId } = facts;
    const row = manifest.row(piece);
    const address = accused.pieceAddress;
    if (row === undefined || address === "") return "unknown";
    const { signal: stopping } = this.#stopping;
    const signal = AbortSignal.any([stopping, AbortSignal.timeout(PROBE_TIMEOUT_MS)]);
    for (let tries = 0; tries < BUSY_TRIES && !signal.aborted; tries++) {
      const { outcome, retryAfterMs } = await this.#client.fetch(
        {
          ...{ address, contentId, index: piece, row, pacers: [] },
          authorise: this.#options.tickets?.authorise(facts),
          store: () => Promise.resolve(),
        },
        signal,
      );
      if (outcome === PieceOutcome.finished) return "honest";
      if (outcome === PieceOutcome.corrupt) return "liar";
      // With what another sender left, nobody could say who lied.
      this.#client.forget(contentId);
      if (outcome !== PieceOutcome.busy) return "unknown";
      await new Pause().wait(retryAfterMs, signal);
    }
    return "unknown";
  }

  #sentence(hostId: string): void {
    const known = this.#records.get(hostId);
    if (known?.pardon != null) return;
    const record = known ?? { sentences: 0, pardon: null };
    const lengthMs = Math.min(QUARANTINE_MS_MAX, QUARANTINE_MS * 2 ** record.sentences++);
    record.pardon = setTimeout(() => this.#pardon(hostId, record), lengthMs);
    this.#records.set(hostId, record);
    if (this.#records.size > RECORDS_MAX) this.#forgetOne();
  }

  #pardon(hostId: string, record: CourtRecord): void {
    record.pardon = null;
    for (const peer of this.#options.peers()) {
      const { host, channel } = peer;
      if (channel.hello.hostId === hostId) this.#options.step({ kind: "pardoned", host });
    }
  }

  /** The oldest record of a host that is free again. */
  #forgetOne(): void {
    for (const [hostId, { pardon }] of this.#records) {
      if (pardon !== null) continue;
      this.#records.delete(hostId);
      return;
    }
  }
}
