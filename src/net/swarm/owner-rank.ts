// Who owns a task among the supernodes of a cluster: rendezvous hashing, so that every peer finds
// the same owner without asking, and losing one member moves only that member's tasks.

import { digestNow } from "../../engine/bytes/digest.ts";
import { ownershipOf } from "../../engine/bytes/task-id.ts";

/** The members in the order in which they may own the task; the first that answers does. */
export function rankOwners(taskId: string, addresses: readonly string[]): string[] {
  const owned = ownershipOf(taskId);
  return addresses
    .map((address) => ({ address, weight: digestNow("sha256", `${owned} ${address}`) }))
    .toSorted((a, b) => Buffer.compare(b.weight, a.weight))
    .map(({ address }) => address);
}
