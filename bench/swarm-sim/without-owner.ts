// Simulated peers that no supernode answers: each with the machines that a real peer has then, over
// the simulated network. Who answers, and how bytes travel, is the simulation's affair.

import type { ReceivedAssignment } from "../../src/engine/core/download-events.ts";
import { BackToSource, type BackToSourceEvent } from "../../src/engine/core/back-to-source.ts";
import { chooseNeighbours } from "../../src/engine/core/neighbour-choice.ts";
import { FIRST_NEIGHBOUR, type NeighbourEvent } from "../../src/engine/core/neighbour-events.ts";
import { NeighbourScheduler } from "../../src/engine/core/neighbour-scheduler.ts";
import { PieceSet } from "../../src/engine/core/piece-set.ts";
import { Prng } from "../../src/engine/core/prng.ts";
import type { Pull } from "../../src/engine/core/scheduler-events.ts";
import type { SimulationOptions } from "./simulation-options.ts";

/** What the simulation does for the peers here. */
export interface Surroundings {
  nowUs(): number;
  have(host: number): PieceSet;
  /** Asks `neighbour` what it has; answered by `haveTold`. */
  askHave(host: number, neighbour: number): void;
  /** Hands work to the host's download, after the step that is under way. */
  assign(host: number, assignments: ReceivedAssignment[]): void;
  /** Reads pieces of the source; answered by `sourceReadEnded`. */
  readSource(host: number, piece: number, count: number): void;
  wakeAt(host: number, machine: "neighbours" | "source", atUs: number): void;
}

interface LonePeer {
  neighbours: readonly number[];
  scheduler: NeighbourScheduler;
  source: BackToSource;
  /** When each machine wants to be woken. */
  wakeUs: { neighbours: number; source: number };
}

export class WithoutOwner {
  readonly #around: Surroundings;
  readonly #options: SimulationOptions;
  readonly #peers = new Map<number, LonePeer>();

  constructor(options: SimulationOptions, around: Surroundings) {
    this.#options = options;
    this.#around = around;
  }

  has(host: number): boolean {
    return this.#peers.has(host);
  }

  /** The host that a download knows under a neighbour's number. */
  hostOf(host: number, parent: number): number {
    return this.#peers.get(host)!.neighbours[parent - FIRST_NEIGHBOUR]!;
  }

  /** The owner has been silent for long enough. */
  begin(host: number): void {
    const { seedRates, peerRates, pieceLength, seed, sourceReadersPerSec = 0 } = this.#options;
    const prng = new Prng(seed ^ (host * 104_729));
    const all = peerRates.map((_, peer) => seedRates.length + peer);
    const neighbours = chooseNeighbours(host, { rack: [], idc: [], all }, prng);
    const have = this.#around.have(host);
    const pieceCount = have.size;
    const addresses = neighbours.map((neighbour) => `host-${neighbour}:65002`);
    const rows = PieceSet.full(pieceCount);
    const ration = { swarmSize: peerRates.length, readersPerSec: sourceReadersPerSec };
    this.#peers.set(host, {
      neighbours,
      scheduler: new NeighbourScheduler({
        ...{ prng, addresses, pieceCount, pieceLength, have, rows },
      }),
      source: new BackToSource({ prng, pieceCount, ...ration }),
      wakeUs: { neighbours: Infinity, source: Infinity },
    });
    this.#stepScheduler(host, { kind: "woke" });
    this.#look(host);
  }

  pulled(host: number, pull: Pull): void {
    this.#stepScheduler(host, { kind: "pulled", pull });
    this.#look(host);
  }

  /** @param have null: the neighbour does not answer */
  haveTold(host: number, neighbour: number, have: Uint32Array | null): void {
    const number = FIRST_NEIGHBOUR + this.#peers.get(host)!.neighbours.indexOf(neighbour);
    this.#stepScheduler(host, { kind: "haveTold", neighbour: number, have });
    this.#look(host);
  }

  sourceReadEnded(host: number, ok: boolean): void {
    this.#stepScheduler(host, { kind: "sourceReads", piece: 0, count: 0 });
    this.#look(host);
    this.#stepSource(host, { kind: "readEnded", ok });
  }

  woke(host: number, machine: "neighbours" | "source"): void {
    const peer = this.#peers.get(host)!;
    if (peer.wakeUs[machine] !== this.#around.nowUs()) return;
    if (machine === "neighbours") this.#stepScheduler(host, { kind: "woke" });
    else this.#stepSource(host, { kind: "woke" });
  }

  #look(host: number): void {
    const have = this.#around.have(host).words;
    const { available, seenAtUs } = this.#peers.get(host)!.scheduler;
    this.#stepSource(host, { kind: "looked", have, available: available.words, seenAtUs });
  }

  #stepScheduler(host: number, event: NeighbourEvent): void {
    const peer = this.#peers.get(host)!;
    const effects: Parameters<NeighbourScheduler["step"]>[2] = [];
    peer.scheduler.step(this.#around.nowUs(), event, effects);
    for (const effect of effects) {
      if (effect.kind === "askHave")
        this.#around.askHave(host, this.hostOf(host, effect.neighbour));
      else if (effect.kind === "assign") this.#around.assign(host, effect.assignments);
      else if (effect.kind === "wakeAt") this.#wakeAt(host, "neighbours", effect.atUs);
    }
  }

  #stepSource(host: number, event: BackToSourceEvent): void {
    const effects: Parameters<BackToSource["step"]>[2] = [];
    this.#peers.get(host)!.source.step(this.#around.nowUs(), event, effects);
    for (const effect of effects) {
      if (effect.kind === "readPieces") {
        const { piece, count } = effect;
        this.#stepScheduler(host, { kind: "sourceReads", piece, count });
        this.#around.readSource(host, piece, count);
      } else this.#wakeAt(host, "source", effect.atUs);
    }
  }

  #wakeAt(host: number, machine: "neighbours" | "source", atUs: number): void {
    this.#peers.get(host)!.wakeUs[machine] = atUs;
    this.#around.wakeAt(host, machine, atUs);
  }
}
