// The simulator against the real fleet of shaped links: what `npm run bench:predict` measured last
// must still be what the present scheduler is predicted to do.

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { median } from "../../bench/harness/statistics.ts";
import { type ShapedFleet, simulateShaped } from "../../bench/swarm-sim/shaped-fleet.ts";

const MEASURED = new URL("../../bench/results/predict-40.json", import.meta.url).pathname;
const hasMeasured = existsSync(MEASURED);
if (!hasMeasured) console.warn("SKIPPED: no measured run to predict: `npm run bench:predict`");

test.skipIf(!hasMeasured)("the simulator predicts the real 40-host run within 10 %", async () => {
  const { fleet, measuredLastSeconds } = (await Bun.file(MEASURED).json()) as {
    fleet: ShapedFleet;
    measuredLastSeconds: { median: number };
  };

  const predicted = median([1, 2, 3, 4, 5].map((seed) => simulateShaped(fleet, seed)));

  expect(fleet.hosts).toBe(40);
  expect(Math.abs(predicted / measuredLastSeconds.median - 1)).toBeLessThanOrEqual(0.1);
});
