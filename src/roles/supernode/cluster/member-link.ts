// This supernode's link to another one: the swarm channel that is kept open, and whether the other
// is there at all. Silence alone proves nothing: only direct probes that fail for a while do.
//
//   alive ── channel lost, or probe failed ─▶ silent ── probes failed for 3 s ─▶ dead
//     ▲                                         │                                 │
//     └──────────────── a probe answered, or the channel opened ─────────────────┘

import type { KnownContent } from "../../../net/swarm/join-message.ts";
import type { HelloFields } from "../../../net/swarm/swarm-client.ts";
import { SwarmClient } from "../../../net/swarm/swarm-client.ts";
import { tlsOptionsOf } from "../../../net/tls/server-proof.ts";
import { httpUrlOf } from "../../../net/tls/supernode-endpoint.ts";
import type { TaskRequest } from "../../../net/wire/task.ts";
import { Changes } from "../../peer/changes.ts";
import type { ClusterMember } from "./cluster-members.ts";

/** A member whose probes fail for so long is dead for this one: the next in rank acts for it. */
export const DEAD_AFTER_MS = 3_000;

/** An answer counts for so long; a member that dies meanwhile breaks its channel. */
const PROBE_FRESH_MS = 1_000;

const PROBE_TIMEOUT_MS = 1_000;
const PROBE_INTERVAL_MS = 500;

export interface MemberLinkOptions {
  hello: () => HelloFields;
  /** The channel opened: the other one said who it is. */
  reached: (hostId: string) => void;
  /** What can be shared from here, said whenever the channel opens. */
  holdings: () => KnownContent[];
  /** The other one owns this task and wants this supernode as one more seed. */
  askedToTakePart: (task: TaskRequest) => void;
}

export class MemberLink {
  readonly member: ClusterMember;
  readonly channel: SwarmClient;
  readonly #stopped = new AbortController();
  readonly #changes = new Changes();
  #answeredAtMs = -Infinity;
  /** Since when no probe was answered; null: the last one was. */
  #silentSinceMs: number | null = null;
  #isProbing = false;

  constructor(member: ClusterMember, options: MemberLinkOptions) {
    this.member = member;
    this.channel = new SwarmClient({
      ...{ address: member.address, proof: member.proof },
      hello: options.hello,
      onOpened: () => {
        this.#answered();
        options.reached(this.channel.hostId!);
        this.channel.hold(options.holdings());
      },
      onLost: () => this.#becomeSilent(),
      askedToTakePart: options.askedToTakePart,
    });
  }

  /** Opens the channel and keeps it open. */
  connect(): void {
    void this.channel.reach();
  }

  /** Whether probes failed for long enough. */
  get isDead(): boolean {
    return this.#silentSinceMs !== null && performance.now() - this.#silentSinceMs >= DEAD_AFTER_MS;
  }

  /**
   * Whether the other one answers; waits until it does or is dead.
   * @throws the signal's reason
   */
  async isAlive(signal: AbortSignal): Promise<boolean> {
    if (this.#silentSinceMs === null) {
      if (performance.now() - this.#answeredAtMs < PROBE_FRESH_MS) return true;
      if (await this.#probe()) return true;
      this.#becomeSilent();
    }
    while (this.#silentSinceMs !== null && !this.isDead) await this.#changes.next(signal);
    return this.#silentSinceMs === null;
  }

  stop(): void {
    this.#stopped.abort();
    this.channel.stop();
    // Whoever waits for an answer need not wait on.
    this.#silentSinceMs = -Infinity;
    this.#changes.notify();
  }

  #answered(): void {
    this.#answeredAtMs = performance.now();
    this.#silentSinceMs = null;
    this.#changes.notify();
  }

  #becomeSilent(): void {
    this.#answeredAtMs = -Infinity;
    this.#silentSinceMs ??= performance.now();
    if (!this.#isProbing) void this.#probeUntilAnswered();
  }

  async #probeUntilAnswered(): Promise<void> {
    this.#isProbing = true;
    while (this.#silentSinceMs !== null && !this.#stopped.signal.aborted) {
      if (await this.#probe()) break;
      this.#changes.notify();
      await Bun.sleep(PROBE_INTERVAL_MS);
    }
    this.#isProbing = false;
  }

  /** Asks directly, beside the channel. */
  async #probe(): Promise<boolean> {
    const signal = AbortSignal.any([this.#stopped.signal, AbortSignal.timeout(PROBE_TIMEOUT_MS)]);
    try {
      const url = httpUrlOf(this.member, "/livez");
      const tls = tlsOptionsOf(this.member.proof);
      // A connection that was kept from before proves nothing about now.
      const headers = { connection: "close" };
      const answer = await fetch(url, {
        ...tls,
        signal,
        headers,
        proxy: false,
        redirect: "manual",
      });
      await answer.body?.cancel();
      if (!answer.ok) return false;
    } catch {
      return false;
    }
    this.#answered();
    return true;
  }
}
