// A peer lives long and uses little of its host: the runtime is told to save CPU rather than the last
// megabyte. It reads these settings from the environment, and only when a process starts: so the
// peer replaces its process once, before it has done anything (same pid, some 10 ms).

/** What the user sets in the environment wins. */
const SETTINGS: Readonly<Record<string, string>> = {
  // The allocator's scavenger returns pages that the next piece takes again: an eighth of the CPU of
  // a peer on a slow link. Memory that rests this long (ms) is returned.
  MIMALLOC_PURGE_DELAY: "10000",
  // The compilers took a fifth of that CPU in their threads: code has to be hot for longer first.
  BUN_JSC_thresholdForJITAfterWarmUp: "5000",
  BUN_JSC_thresholdForJITSoon: "1000",
  BUN_JSC_thresholdForOptimizeAfterWarmUp: "20000",
  BUN_JSC_thresholdForOptimizeAfterLongWarmUp: "20000",
  BUN_JSC_thresholdForOptimizeSoon: "20000",
  // Collections: not by the clock on top of those that allocation asks for, and no other threads are
  // woken to help: each costs some milliseconds however small the heap is. (A heap that may grow
  // further between them was tried too: 200 MiB while moving 4 GiB, where 160 are promised.)
  BUN_GC_TIMER_DISABLE: "1",
  BUN_JSC_numberOfGCMarkers: "1",
  BUN_JSC_useConcurrentGC: "0",
};

/** Runs the same command again with the settings, unless they are made already or cannot be. */
export function tuneProcess(): void {
  const { env } = process;
  const isTuned = Object.keys(SETTINGS).every((name) => env[name] !== undefined);
  if (isTuned || !Bun.isStandaloneExecutable) return;
  const args = [process.argv0, ...process.argv.slice(2)];
  try {
    process.execve?.(process.execPath, args, { ...SETTINGS, ...env });
  } catch {
    // The executable was replaced just now, or the system forbids it: the peer only costs more CPU.
  }
}
