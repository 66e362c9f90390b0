// What must hold in every simulated swarm, checked at each event. They watch what hosts do, not
// what the scheduler believes.

import { PieceSet } from "../../src/engine/core/piece-set.ts";

export class BrokenRule extends Error {
  override readonly name = "BrokenRule";
}

export class Checkers {
  readonly #pieceCount: number;
  readonly #verified: PieceSet[] = [];
  readonly #slotsOf: (host: number) => number;
  readonly #uploads: Int32Array;
  readonly #readFromSource: PieceSet;

  constructor(options: { hosts: number; pieceCount: number; slotsOf: (host: number) => number }) {
    this.#pieceCount = options.pieceCount;
    this.#slotsOf = options.slotsOf;
    this.#uploads = new Int32Array(options.hosts);
    this.#readFromSource = new PieceSet(options.pieceCount);
    for (let host = 0; host < options.hosts; host++)
      this.#verified.push(new PieceSet(options.pieceCount));
  }

  /** A child verified a piece; `forget` starts a host over with an empty disk. */
  verified(host: number, piece: number): void {
    if (!this.#verified[host]!.add(piece))
      throw new BrokenRule(`host ${host} verified piece ${piece} twice`);
  }

  forget(host: number): void {
    this.#verified[host] = new PieceSet(this.#pieceCount);
  }

  uploadStarted(host: number): void {
    if (++this.#uploads[host]! > this.#slotsOf(host))
      throw new BrokenRule(`host ${host} uploads above its ${this.#slotsOf(host)} slots`);
  }

  uploadEnded(host: number): void {
    this.#uploads[host]!--;
  }

  uploads(host: number): number {
    return this.#uploads[host]!;
  }

  seedRead(piece: number): void {
    if (!this.#readFromSource.add(piece))
      throw new BrokenRule(`piece ${piece} was read from the source twice`);
  }

  completed(host: number): void {
    if (!this.#verified[host]!.isFull)
      throw new BrokenRule(
        `host ${host} completed with ${this.#verified[host]!.count} of ${this.#pieceCount} pieces`,
      );
  }
}
