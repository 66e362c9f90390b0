// Who owns a task among the supernodes of a cluster: rendezvous hashing, so that every peer finds
// the same owner without asking, and losing one member moves only that member's tasks.

import { digestNow } from "../../engine/bytes/digest.ts";

/** The members in the order in which they may own the task; the first that answers does. */
export function rankOwners(taskId: string, addresses: readonly string[]): string[] {
  return addresses
    .map((address) => ({ address, weight: digestNow("sha256", `${taskId} ${address}`) }))
    .toSorted((a, b) => Buffer.compare(b.weight, a.weight))
    .map(({ address }) => address);
}
