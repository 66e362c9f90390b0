// The simulator's model of bench:swarm: what its shaped links carry beside payload, and the slots
// of the real roles.

import { pieceLengthFor } from "../../src/engine/core/piece-layout.ts";
import { UPLOAD_SLOTS } from "../../src/limits.ts";
import { Simulation } from "./simulation.ts";

export interface ShapedFleet {
  hosts: number;
  sizeBytes: number;
  hostBytesPerSec: number;
  seedBytesPerSec: number;
}

/**
 * Bytes on a shaped link for each byte of payload. A frame carries 1,448 bytes (1,500 less 20 for
 * IP and 32 for TCP with timestamps) in 1,514; and every other one is acknowledged with 66 bytes by
 * a host whose link the other way is as full.
 */
export const WIRE_FACTOR = (1_514 + 66 / 2) / 1_448;

/** Heads of request and answer of one piece, with their frames. */
export const REQUEST_BYTES = 400;

/** The supernode's uploads at once at most: SEED_SLOTS_MAX of roles/supernode. */
const SEED_SLOTS = 64;

/** When the last host has the content, in seconds. */
export function simulateShaped(fleet: ShapedFleet, seed: number): number {
  const simulation = new Simulation({
    contentLength: fleet.sizeBytes,
    pieceLength: pieceLengthFor(fleet.sizeBytes),
    peerRates: Array.from({ length: fleet.hosts }, () => fleet.hostBytesPerSec),
    seedRates: [fleet.seedBytesPerSec],
    peerSlots: UPLOAD_SLOTS,
    seedSlots: SEED_SLOTS,
    downloadSlots: UPLOAD_SLOTS,
    controlUs: 2.5,
    messageUs: 0,
    rttUs: 500,
    requestUs: 200,
    wireFactor: WIRE_FACTOR,
    requestBytes: REQUEST_BYTES,
    joinSpreadUs: 20_000,
    seed,
    limitUs: 3_600_000_000,
  });
  return Math.max(...simulation.run().finishSeconds);
}
