// What every way to bring one file to all hosts is measured by.

import type { Payload } from "../harness/payload.ts";
import type { Session } from "../harness/session.ts";
import type { Fleet } from "./network.ts";
import type { SourceCounts } from "./nginx.ts";

/** One run of one contender. Seconds count from the common start signal. */
export interface ContenderRun {
  finishSeconds: number[];
  source?: SourceCounts;
  bytesBySource?: { source: number; supernode: number; peers: number; cache: number };
  /** Slowest host's time from its last piece to its end. */
  tailMsMax?: number;
  cpuSeconds?: Record<string, number>;
}

export interface Contender {
  name: string;
  /** Starts what must already be there, runs the start signal, waits for all, stops everything. */
  run(session: Session, fleet: Fleet, payload: Payload): Promise<ContenderRun>;
}

/** @throws unless every output is the payload */
export async function verifyOutputs(paths: string[], payload: Payload): Promise<void> {
  for (const path of paths) {
    const hasher = new Bun.CryptoHasher("sha256");
    for await (const chunk of Bun.file(path).stream()) hasher.update(chunk);
    if (hasher.digest("hex") !== payload.sha256) throw new Error(`${path}: wrong bytes`);
  }
}
