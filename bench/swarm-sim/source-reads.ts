// Reads of the simulated source by peers: transfers from one more host of the network, counted.

import type { Network } from "./network.ts";
import type { SimulationResult } from "./simulation-options.ts";

export interface SourceRead {
  host: number;
  piece: number;
  count: number;
  bytes: number;
}

export class SourceReads {
  readonly #network: Network;
  readonly #source: number;
  readonly #result: SimulationResult;
  readonly #byFlow = new Map<number, SourceRead>();

  /** @param source the host that is the source */
  constructor(network: Network, source: number, result: SimulationResult) {
    this.#network = network;
    this.#source = source;
    this.#result = result;
  }

  begin(nowUs: number, read: SourceRead): void {
    this.#byFlow.set(this.#network.start(nowUs, this.#source, read.host, read.bytes), read);
    this.#result.sourceReadsAtOnce = Math.max(this.#result.sourceReadsAtOnce, this.#byFlow.size);
    this.#result.bytesFromSource += read.bytes;
  }

  /** The read that a flow was, now ended; null: the flow is another transfer's. */
  ended(nowUs: number, flow: number): SourceRead | null {
    const read = this.#byFlow.get(flow);
    if (read === undefined) return null;
    this.#byFlow.delete(flow);
    this.#network.remove(nowUs, flow);
    return read;
  }
}
