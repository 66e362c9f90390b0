// The supernode's control thread in virtual time: the real scheduler behind the real frames, a
// single server that is busy for a charged time per message and assignment.

import type { ReceivedAssignment } from "../../src/engine/core/download-events.ts";
import type { Machine } from "../../src/engine/core/machine.ts";
import { Prng } from "../../src/engine/core/prng.ts";
import type { SchedulerEffect, SchedulerEvent } from "../../src/engine/core/scheduler-events.ts";
import { Scheduler } from "../../src/engine/core/scheduler.ts";
import { record } from "../../src/engine/core/trace.ts";
import { decodePull, FrameEncoder } from "../../src/net/wire/swarm-frames.ts";
import { BrokenRule } from "./checkers.ts";
import { EVENT, type EventQueue } from "./event-queue.ts";
import type { SimulationOptions, SimulationResult } from "./simulation-options.ts";
import type { TraceDigest } from "./trace-digest.ts";

const CONTENT = 0;
/** Names the content in frames. */
export const HANDLE = 1;

/** Steps kept to measure the control cost by: the first ones, in which most children wait, cost most. */
const TAPE_STEPS_MAX = 400_000;

/** Until a probed piece is here: a child's fetch takes as long. */
const PROBE_US = 100_000;

/** A step as it came: a pull's frame and its host, or any other event. */
interface TapedStep {
  nowUs: number;
  host: number;
  told: Uint8Array | SchedulerEvent;
}

/** A frame, or the bitmap words that a join carries. */
export type ControlMessage = Uint8Array | Uint32Array;

/** Seed of the generator that the owner's scheduler is given in its n-th life. */
export function schedulerSeed(seed: number, life: number): number {
  return seed + 1 + life;
}

export class Owner {
  readonly #options: SimulationOptions;
  readonly #pieceCount: number;
  readonly #queue: EventQueue;
  readonly #digest: TraceDigest;
  readonly #result: SimulationResult;
  readonly #isLiar: (host: number) => boolean;
  readonly #encoder = new FrameEncoder();
  readonly #addresses: string[] = [];
  readonly #effects: SchedulerEffect[] = [];
  readonly #tape: TapedStep[] = [];
  #scheduler: Machine<SchedulerEvent, SchedulerEffect>;
  #inbox: { host: number; message: ControlMessage }[] = [];
  #inboxHead = 0;
  /** End of the work taken on so far; may lie within a microsecond. */
  #freeUs = 0;
  #wakeUs = Infinity;
  #life = 0;
  #isUp = true;

  constructor(parts: {
    options: SimulationOptions;
    pieceCount: number;
    queue: EventQueue;
    digest: TraceDigest;
    result: SimulationResult;
    /** Whether the host gives wrong bytes now. */
    isLiar: (host: number) => boolean;
  }) {
    this.#options = parts.options;
    this.#pieceCount = parts.pieceCount;
    this.#queue = parts.queue;
    this.#digest = parts.digest;
    this.#result = parts.result;
    this.#isLiar = parts.isLiar;
    const hostCount = parts.options.seedRates.length + parts.options.peerRates.length;
    for (let host = 0; host < hostCount; host++) {
      this.#addresses.push(`10.${host >> 16}.${(host >> 8) & 255}.${host & 255}:65002`);
    }
    this.#scheduler = this.#newScheduler();
  }

  /** Changes with each restart: what was sent to or by an earlier life is void. */
  get life(): number {
    return this.#life;
  }

  /** The seeds are there and hold every piece. */
  open(nowUs: number): void {
    const { seedSlots, pieceLength, seedRates } = this.#options;
    this.#isUp = true;
    for (let host = 0; host < seedRates.length; host++) {
      this.#step(nowUs, { kind: "hostArrived", host, isSeed: true, uploadSlots: seedSlots }, 0);
    }
    const pieceCount = this.#pieceCount;
    this.#step(nowUs, { kind: "contentOpened", content: CONTENT, pieceCount, pieceLength }, 0);
    for (let piece = 0; piece < pieceCount; piece++) {
      for (let host = 0; host < seedRates.length; host++) {
        this.#step(nowUs, { kind: "pieceSeeded", content: CONTENT, host, piece }, 0);
      }
    }
  }

  /** Forgets everything and is deaf until it opens again. */
  crash(): void {
    this.#life++;
    this.#isUp = false;
    this.#inbox = [];
    this.#inboxHead = 0;
    this.#wakeUs = Infinity;
    this.#scheduler = this.#newScheduler();
  }

  /** What it fetched from a host that was accused is here. */
  probed(nowUs: number, { host, accuser }: { host: number; accuser: number }, life: number): void {
    if (life !== this.#life || !this.#isUp) return;
    const verdict = this.#isLiar(host) ? "liar" : "honest";
    this.#step(nowUs, { kind: "probed", host, accuser, verdict }, 0);
  }

  receive(nowUs: number, host: number, message: ControlMessage, life: number): void {
    if (life !== this.#life || !this.#isUp) return;
    this.#inbox.push({ host, message });
    if (this.#inbox.length - this.#inboxHead > 1) return;
    if (this.#freeUs <= nowUs) this.serveInbox(nowUs);
    else this.#queue.push(Math.ceil(this.#freeUs), EVENT.ownerFree, 0);
  }

  serveInbox(nowUs: number): void {
    if (this.#inboxHead === this.#inbox.length) return;
    const { host, message } = this.#inbox[this.#inboxHead++]!;
    if (this.#inboxHead > 4096) {
      this.#inbox = this.#inbox.slice(this.#inboxHead);
      this.#inboxHead = 0;
    }
    if (message instanceof Uint32Array) this.#handleJoin(nowUs, host, message);
    else this.#handlePull(nowUs, host, message);
    if (this.#inboxHead === this.#inbox.length) return;
    this.#queue.push(Math.max(nowUs, Math.ceil(this.#freeUs)), EVENT.ownerFree, 0);
  }

  wake(nowUs: number): void {
    if (this.#wakeUs === nowUs && this.#isUp) this.#step(nowUs, { kind: "woke" }, 0);
  }

  /** The channel of a host broke. */
  hostGone(nowUs: number, host: number): void {
    this.#step(nowUs, { kind: "hostGone", host }, 0);
  }

  /**
   * Plays the start of the run again, decode, decision and encode alone, without the simulated hosts
   * in the caches. CPU time of this process, so that others on the machine do not count.
   * @returns microseconds per assignment
   */
  measureControl(): number {
    const scheduler = new Scheduler({ prng: new Prng(schedulerSeed(this.#options.seed, 0)) });
    const effects: SchedulerEffect[] = [];
    let assigned = 0;
    const before = process.cpuUsage();
    for (const { nowUs, host, told } of this.#tape) {
      effects.length = 0;
      const event = told instanceof Uint8Array ? pulledEvent(host, told) : told;
      scheduler.step(nowUs, event, effects);
      for (const effect of effects) {
        if (effect.kind !== "assign") continue;
        assigned += effect.assignments.length;
        this.#encode(effect);
      }
    }
    const { user, system } = process.cpuUsage(before);
    return (user + system) / assigned;
  }

  #newScheduler(): Machine<SchedulerEvent, SchedulerEffect> {
    const { seed, traceSink } = this.#options;
    const scheduler = new Scheduler({ prng: new Prng(schedulerSeed(seed, this.#life)) });
    return traceSink === undefined ? scheduler : record(scheduler, traceSink);
  }

  #handleJoin(nowUs: number, host: number, have: Uint32Array): void {
    const { peerSlots } = this.#options;
    this.#step(nowUs, { kind: "hostArrived", host, isSeed: false, uploadSlots: peerSlots }, 1);
    this.#step(nowUs, { kind: "joined", content: CONTENT, host, have, wantsPieces: true }, 0);
    this.#result.messages++;
    this.#send(host, null);
  }

  #handlePull(nowUs: number, host: number, frame: Uint8Array): void {
    this.#tapeStep({ nowUs, host, told: frame });
    const event = pulledEvent(host, frame);
    this.#digest.add(host);
    for (const report of event.pull.reports) this.#digest.add(report.piece * 8 + report.outcome);
    this.#run(nowUs, event, 1);
  }

  /** @param received messages that brought the event */
  #step(nowUs: number, event: SchedulerEvent, received: number): void {
    this.#tapeStep({ nowUs, host: -1, told: event });
    this.#run(nowUs, event, received);
  }

  #tapeStep(step: TapedStep): void {
    if (this.#life === 0 && this.#tape.length < TAPE_STEPS_MAX) this.#tape.push(step);
  }

  #run(nowUs: number, event: SchedulerEvent, received: number): void {
    const effects = this.#effects;
    effects.length = 0;
    this.#scheduler.step(nowUs, event, effects);
    const frames: { host: number; frame: Uint8Array }[] = [];
    let assigned = 0;
    for (const effect of effects) {
      if (effect.kind !== "assign") continue;
      assigned += effect.assignments.length;
      // The encoder uses its buffer again, and this frame is on its way for a while.
      frames.push({ host: effect.child, frame: this.#encode(effect).slice() });
    }

    const { controlUs, messageUs } = this.#options;
    const messages = received + frames.length;
    const costUs = controlUs * assigned + messageUs * messages;
    this.#freeUs = Math.max(this.#freeUs, nowUs) + costUs;
    this.#result.ownerBusySeconds += costUs / 1e6;
    this.#result.assignments += assigned;
    this.#result.messages += messages;
    for (const { host, frame } of frames) this.#send(host, frame);
    for (const effect of effects) this.#perform(nowUs, effect);
  }

  #encode(effect: SchedulerEffect & { kind: "assign" }): Uint8Array {
    const assignments: ReceivedAssignment[] = effect.assignments.map(({ piece, count, parent }) => {
      return { piece, count, parent, address: this.#addresses[parent]! };
    });
    return this.#encoder.assign(HANDLE, assignments);
  }

  /** @param frame null: the answer to a join */
  #send(host: number, frame: Uint8Array | null): void {
    const atUs = Math.ceil(this.#freeUs) + this.#options.rttUs / 2;
    this.#queue.push(atUs, EVENT.toPeer, host, this.#life, frame);
  }

  #perform(nowUs: number, effect: SchedulerEffect): void {
    switch (effect.kind) {
      case "assign":
        for (const { piece, parent } of effect.assignments) {
          this.#digest.add(effect.child);
          this.#digest.add(piece);
          this.#digest.add(parent);
        }
        this.#digest.addWide(nowUs);
        return;
      case "probe":
        this.#queue.push(nowUs + PROBE_US, EVENT.probed, effect.host, this.#life, effect.accuser);
        return;
      case "quarantined":
        this.#result.quarantined.push(effect.host);
        return;
      case "wakeAt":
        this.#wakeUs = effect.atUs;
        this.#queue.push(effect.atUs, EVENT.wakeOwner, 0);
        return;
    }
  }
}

function pulledEvent(host: number, frame: Uint8Array): SchedulerEvent & { kind: "pulled" } {
  const decoded = decodePull(frame);
  if (decoded === null || decoded.handle !== HANDLE) throw new BrokenRule("a pull did not decode");
  return { kind: "pulled", content: CONTENT, host, pull: decoded.pull };
}
