// Starts one of the process's own workers, from source and from the compiled executable alike.

/** The files beside this one that run as workers; scripts/build-binaries.ts lists them as entry points. */
export type WorkerName = "piece-worker" | "source-worker";

/**
 * Starts a worker thread. In the compiled executable this module is bundled into the main entry
 * point, whose folder (src/) is the root of the embedded files; from source it keeps its own place.
 */
export function startWorker(name: WorkerName): Worker {
  const path = Bun.isStandaloneExecutable ? `./roles/worker/${name}.ts` : `./${name}.ts`;
  return new Worker(new URL(path, import.meta.url));
}
