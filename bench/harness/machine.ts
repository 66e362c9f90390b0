// The lines that make a result repeatable: machine, runtime, date and command.

import { arch, cpus, release, totalmem } from "node:os";

/** Where and how a result was measured. */
export interface Provenance {
  machine: string;
  date: string;
  command: string;
}

/** @param script the npm script that repeats the run, e.g. "bench:swarm" */
export function provenance(script: string): Provenance {
  const processors = cpus();
  const memoryGib = Math.round(totalmem() / 2 ** 30);
  return {
    machine: `${processors.length} × ${processors[0]?.model.trim() ?? "unknown CPU"} (${arch()}), ${memoryGib} GiB, Linux ${release()}, Bun ${Bun.version}`,
    date: new Date().toISOString(),
    command: `npm run ${script} -- ${process.argv.slice(2).join(" ")}`.trim(),
  };
}
