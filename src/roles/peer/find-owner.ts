// Finds the supernode to join a task at. When none answers, decides when this host may read the
// source instead: after some patience, and then few of a swarm's peers in a second.

import { DfError } from "../../errors.ts";
import type { SwarmClient } from "../../net/swarm/swarm-client.ts";
import { OWNER_SILENCE_MS } from "../../limits.ts";
import type { Supernodes } from "./supernodes.ts";

/** How often supernodes that do not answer are tried meanwhile: one that restarts is back soon. */
const RETRY_MS = 500;

/**
 * Returns the owner's channel, open; null: read the source.
 * @throws {DfError} no-supernode when the source may not be read; the signal's reason
 */
export async function findOwner(
  supernodes: Supernodes,
  task: { taskId: string; mayReadSource: () => boolean; sourceReadersPerSec: () => number },
  signal: AbortSignal,
): Promise<SwarmClient | null> {
  const patientUntilMs = performance.now() + OWNER_SILENCE_MS;
  for (;;) {
    const owner = await supernodes.ownerOf(task.taskId);
    signal.throwIfAborted();
    if (owner !== undefined) return owner;
    const isPatient = !supernodes.isEmpty && performance.now() < patientUntilMs;
    if (!isPatient) {
      if (!task.mayReadSource()) throw noSupernode(supernodes, task.taskId);
      if (drawsSource(supernodes, task.sourceReadersPerSec())) return null;
    }
    await sleep(isPatient ? RETRY_MS : 1_000, signal);
  }
}

/** Asked once a second by every peer that misses the supernode. */
function drawsSource({ swarmSize, isEmpty }: Supernodes, readersPerSec: number): boolean {
  return isEmpty || Math.random() * swarmSize < readersPerSec;
}

function noSupernode({ isEmpty }: Supernodes, taskId: string): DfError {
  const message = isEmpty ? "no supernode is known" : "no supernode answers";
  return new DfError("no-supernode", `join a task: ${message}`, {
    hint: "check --supernode, or allow the source to be read",
    taskId,
  });
}

function sleep(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", abandon);
      resolve();
    }, ms);
    const abandon = (): void => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    };
    signal.addEventListener("abort", abandon, { once: true });
  });
}
