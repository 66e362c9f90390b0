// What simulated fleets have in common unless a scenario says otherwise: the slots that peers and
// supernodes have by default, what control and requests cost, and links without overhead.

import type { SimulationOptions } from "./simulation-options.ts";

export const PLAIN_FLEET = {
  peerSlots: 3,
  seedSlots: 64,
  downloadSlots: 3,
  controlUs: 2.5,
  messageUs: 2.5,
  rttUs: 500,
  requestUs: 200,
  wireFactor: 1,
  requestBytes: 0,
  joinSpreadUs: 20_000,
  seed: 1,
} satisfies Partial<SimulationOptions>;
