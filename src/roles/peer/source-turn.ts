// At most one read of the source by one download: two writers in one piece could spoil it.

import { DfError } from "../../errors.ts";

/** One read that has its turn. */
export interface SourceTurnTaken {
  /** Aborts when the read is to end. */
  signal: AbortSignal;
  end: () => void;
}

export class SourceTurn {
  readonly #stop: AbortSignal;
  #taken: { abort: AbortController; ended: Promise<void> } | null = null;

  /** @param stop ends whatever read has its turn */
  constructor(stop: AbortSignal) {
    this.#stop = stop;
  }

  get isTaken(): boolean {
    return this.#taken !== null;
  }

  /** Takes the turn, which must be free. */
  take(): SourceTurnTaken {
    const abort = new AbortController();
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#taken = { abort, ended: promise };
    const end = (): void => {
      this.#taken = null;
      resolve();
    };
    return { signal: AbortSignal.any([abort.signal, this.#stop]), end };
  }

  /** Resolves when nobody reads any more. */
  async ended(): Promise<void> {
    await this.#taken?.ended;
  }

  /** Ends the read under way: the swarm goes on with what it brought. */
  async giveWay(): Promise<void> {
    this.#taken?.abort.abort(new DfError("interrupted", "the swarm is back"));
    await this.ended();
  }
}
