// What the scheduler learns of its hosts' links from reports: the speed that each of their slots
// gets, up and down, in classes of half an octave. Children are kept from parents of a far slower class, and
// parents for children of their own class while such children want pieces.

import { HOST_SEED, type HostColumns } from "./host-columns.ts";
import type { HostIndex } from "./scheduler-events.ts";
import { speedClass } from "./speed-class.ts";
import type { Swarm } from "./swarm.ts";

/** Classes apart that count as another kind of host: 4 half octaves are 3 to 5.3 times, beyond the noise of shared links. */
const CLASSES_APART = 4;

/** A slower transfer pulls an estimate down by this share of the difference; a faster one sets it. */
const DECAY = 1 / 16;

/** A transfer this many times slower than one side can do was limited by the other side; estimates err up to 3 times. */
const PROOF_FACTOR = 4;

/**
 * Notes that one transfer ran at this speed. Scaled by the share of slots in use, it tells what each
 * slot would get if all were: a host that had a transfer for itself is no faster for it.
 */
export function learnSpeed(
  hosts: HostColumns,
  transfer: {
    parent: HostIndex;
    child: HostIndex;
    bytesPerSec: number;
    /** Of the child's slots, how many were in use. */
    childShare: number;
  },
): void {
  const { parent, child } = transfer;
  const parentShare = Math.min(1, hosts.uploading[parent]! / hosts.slots[parent]!);
  const ofParent = transfer.bytesPerSec * parentShare;
  const ofChild = transfer.bytesPerSec * transfer.childShare;
  const up = upSpeed(hosts, parent);
  const down = hosts.downSpeed[child]!;
  if (up >= ofParent * PROOF_FACTOR && up >= down) hosts.isDownProven[child] = 1;
  if (down >= ofChild * PROOF_FACTOR && down >= up) hosts.isUpProven[parent] = 1;
  hosts.upSpeed[parent] = updated(hosts.upSpeed[parent]!, ofParent);
  hosts.downSpeed[child] = updated(down, ofChild);
  classify(hosts, parent);
  classify(hosts, child);
}

/** Classes are kept, for they are asked for far more often than speeds are learned. */
function classify(hosts: HostColumns, host: HostIndex): void {
  hosts.upClass[host] = speedClass(upSpeed(hosts, host));
  hosts.downClass[host] = speedClass(hosts.downSpeed[host]!);
}

function updated(estimate: number, sample: number): number {
  return sample >= estimate ? sample : estimate - (estimate - sample) * DECAY;
}

/** Links are mostly symmetric: until a host was seen to limit an upload, what it received counts too. */
function upSpeed(hosts: HostColumns, host: HostIndex): number {
  const up = hosts.upSpeed[host]!;
  return hosts.isUpProven[host] === 1 ? up : Math.max(up, hosts.downSpeed[host]!);
}

/**
 * Whether a pair is a misfit: a fast child would be stuck on a slow parent, or a slow child would
 * hold a slot of a fast parent that faster children want. Unknown speeds fit everyone, and a child
 * is slow only once a faster parent has proven it: the first parents may have been the slow ones.
 */
export function isMisfit(
  hosts: HostColumns,
  swarm: Swarm,
  parent: HostIndex,
  child: HostIndex,
): boolean {
  const ofParent = hosts.upClass[parent]!;
  const ofChild = hosts.downClass[child]!;
  if (ofParent === 0 || ofChild === 0) return false;
  // A seed's new pieces are nowhere else.
  if (ofChild - ofParent >= CLASSES_APART) return hosts.kind[parent] !== HOST_SEED;
  if (ofParent - ofChild < CLASSES_APART || hosts.isDownProven[child] === 0) return false;
  return swarm.fastestWanting() > ofParent - CLASSES_APART;
}

/**
 * Whether a child should keep its last slot for a faster parent than this: it seems slow, but was
 * only ever measured with slow parents, while far faster children show that there are better ones.
 */
export function keepsSlotForProof(
  hosts: HostColumns,
  swarm: Swarm,
  parent: HostIndex,
  child: HostIndex,
): boolean {
  if (hosts.isDownProven[child] === 1) return false;
  const ofChild = hosts.downClass[child]!;
  if (ofChild === 0 || swarm.fastestWanting() - ofChild < CLASSES_APART) return false;
  return hosts.upClass[parent]! - ofChild < CLASSES_APART;
}
