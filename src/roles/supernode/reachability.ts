// Finds out where the hosts with a channel are truly reached, so that nobody is sent to an address on
// the word of who named it: each piece server proves itself to this supernode first.
//
//   hello ─▶ remembered? ─▶ reached
//               └▶ dialled ─▶ reached ┊ not: again after a while, then told that it only downloads

import { dialBack } from "../../net/piece/dial-back.ts";
import { Pause } from "../../net/fleet/pause.ts";
import { addressKind } from "../../net/egress/address-kind.ts";
import type { ConnectedPeer } from "./connected-peer.ts";

/** Dials under way at once. One takes a millisecond in a rack, 3 s where nobody answers. */
const DIALS_MAX = 64;

/** A host that was reached is not dialled again when its channel comes back: a swarm of 2,000 returns at once. */
const REMEMBERED_MS = 60 * 60_000;

/** Hosts and addresses remembered: some 20 MB. */
const REMEMBERED_MAX = 100_000;

/** Of one with seventeen addresses only the first few are named. */
const NOTICE_CHARACTERS_MAX = 1_000;

/** Waits between tries: a host may say hello before its firewall is open. */
const RETRY_DELAYS_MS = [1_000, 5_000, 30_000];

export class Reachability {
  readonly #onReached: (peer: ConnectedPeer) => void;
  /** By host ID and address as told: the address that answered. */
  readonly #remembered = new Map<string, { address: string; untilMs: number }>();
  readonly #channels = new Map<ConnectedPeer, AbortController>();
  readonly #waiting: (() => void)[] = [];
  #dials = 0;

  /** @param onReached one more address of the host is known to be its own */
  constructor(onReached: (peer: ConnectedPeer) => void) {
    this.#onReached = onReached;
  }

  /** A host said hello: what is remembered of it counts at once, the rest is found out. */
  arrived(peer: ConnectedPeer): void {
    for (const told of peer.unreached) {
      const known = this.#remembered.get(memoryKey(peer, told));
      if (known !== undefined && known.untilMs > performance.now())
        peer.reached(told, known.address);
    }
    if (peer.unreached.length === 0) return;
    const left = new AbortController();
    this.#channels.set(peer, left);
    void this.#findOut(peer, left.signal);
  }

  departed(peer: ConnectedPeer): void {
    this.#channels.get(peer)?.abort();
    this.#channels.delete(peer);
  }

  async #findOut(peer: ConnectedPeer, left: AbortSignal): Promise<void> {
    for (const delayMs of [...RETRY_DELAYS_MS, null]) {
      const isHopeless = await this.#tryAll(peer, left);
      if (left.aborted || peer.unreached.length === 0) return;
      if (isHopeless || delayMs === null) break;
      await new Pause().wait(delayMs, left);
    }
    if (left.aborted) return;
    const text = `nobody is sent to this host for pieces at ${peer.unreached.join(", ")}: it was not found there`;
    peer.channel.send({ type: "notice", text: text.slice(0, NOTICE_CHARACTERS_MAX) });
  }

  /** One address after another, so that one host takes up one dial. @returns whether none is worth another try */
  async #tryAll(peer: ConnectedPeer, left: AbortSignal): Promise<boolean> {
    let isHopeless = true;
    for (const told of peer.unreached) {
      await this.#enter();
      try {
        if (left.aborted) return true;
        const { hello, origin } = peer.channel;
        const allowsLoopback = addressKind(origin.remoteAddress) === "loopback";
        const answer = await dialBack(told, hello, { allowsLoopback }, left);
        if (left.aborted) return true;
        if (answer.kind === "unproven") isHopeless = false;
        if (answer.kind === "proven") this.#reached(peer, told, answer.address);
      } finally {
        this.#leave();
      }
    }
    return isHopeless;
  }

  #reached(peer: ConnectedPeer, told: string, address: string): void {
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered.clear();
    const untilMs = performance.now() + REMEMBERED_MS;
    this.#remembered.set(memoryKey(peer, told), { address, untilMs });
    peer.reached(told, address);
    this.#onReached(peer);
  }

  async #enter(): Promise<void> {
    if (this.#dials < DIALS_MAX) {
      this.#dials++;
      return;
    }
    await new Promise<void>((resolve) => this.#waiting.push(resolve));
  }

  /** Hands the place on. */
  #leave(): void {
    const next = this.#waiting.shift();
    if (next === undefined) this.#dials--;
    else next();
  }
}

function memoryKey({ channel }: ConnectedPeer, told: string): string {
  return `${channel.hello.hostId} ${told}`;
}
