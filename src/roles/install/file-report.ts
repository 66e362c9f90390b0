// What an installation did with each file, a line each.

import type { FileOutcome } from "./installation.ts";

const NOTES: Partial<Record<FileOutcome["outcome"], string>> = {
  kept: " (it is yours: not touched)",
  shared: " (another installation uses it: it goes with that)",
};

export function reportFiles(outcomes: readonly FileOutcome[]): void {
  for (const { path, outcome } of outcomes) {
    console.log(`${outcome.padEnd(9)} ${path}${NOTES[outcome] ?? ""}`);
  }
}
