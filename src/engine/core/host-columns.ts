// What the scheduler knows of each host, whatever the contents: slots, load, speeds, accusations.

import { grown } from "./columns.ts";
import type { HostIndex } from "./scheduler-events.ts";

export const HOST_ABSENT = 0;
export const HOST_PEER = 1;
export const HOST_SEED = 2;

/**
 * A child has this many pieces in flight at most: twice what our own children ask for. More would let
 * one child keep the parents of all others busy.
 */
export const CHILD_SLOTS_MAX = 8;

/** And this many before it finished any: half of what a seed begins with. */
export const CHILD_SLOTS_FIRST = 4;

/** One row per host, by HostIndex. */
export class HostColumns {
  kind = new Uint8Array(64);
  /** Uploads the scheduler gives the host at once now. */
  slots = new Uint16Array(64);
  /** Uploads reserved over all contents. */
  uploading = new Uint16Array(64);
  /** Pieces reserved for the host as a child, over all contents. */
  fetching = new Uint16Array(64);
  isQuarantined = new Uint8Array(64);
  /** Whether the supernode is finding out if the host gives wrong bytes. */
  isProbed = new Uint8Array(64);
  /** How often it accused another that a probe found honest. */
  falseAccusations = new Uint8Array(64);
  /** Learned bytes per second of each slot; 0: unknown. See transfer-speeds.ts. */
  upSpeed = new Float64Array(64);
  downSpeed = new Float64Array(64);
  /** The speed classes that follow from these. */
  upClass = new Uint8Array(64);
  downClass = new Uint8Array(64);
  /** Whether a transfer was seen that the host's own link limited. */
  isUpProven = new Uint8Array(64);
  isDownProven = new Uint8Array(64);
  /** How many pieces of a content the host may have in flight: less after it let one lapse. */
  childSlotsMax = new Uint8Array(64);
  /** First of the host's members, plus 1; 0: none. */
  firstMember = new Int32Array(64);
  /** Hosts of one zone reach each other. */
  zone = new Uint32Array(64);
  /** Whether hosts of other zones reach it too; which ones, where that are not all. */
  isBridge = new Uint8Array(64);
  readonly #alsoIn = new Map<HostIndex, readonly number[]>();

  grow(count: number): void {
    this.kind = grown(this.kind, count);
    this.slots = grown(this.slots, count);
    this.uploading = grown(this.uploading, count);
    this.fetching = grown(this.fetching, count);
    this.isQuarantined = grown(this.isQuarantined, count);
    this.isProbed = grown(this.isProbed, count);
    this.falseAccusations = grown(this.falseAccusations, count);
    this.upSpeed = grown(this.upSpeed, count);
    this.downSpeed = grown(this.downSpeed, count);
    this.upClass = grown(this.upClass, count);
    this.downClass = grown(this.downClass, count);
    this.isUpProven = grown(this.isUpProven, count);
    this.isDownProven = grown(this.isDownProven, count);
    this.childSlotsMax = grown(this.childSlotsMax, count);
    this.firstMember = grown(this.firstMember, count);
    this.zone = grown(this.zone, count);
    this.isBridge = grown(this.isBridge, count);
  }

  /** Begins a row anew: nothing is known of the host, nor may it upload yet. */
  arrive(host: HostIndex, kind: number): void {
    this.grow(host + 1);
    this.kind[host] = kind;
    this.slots[host] = 0;
    this.uploading[host] = 0;
    this.fetching[host] = 0;
    this.isQuarantined[host] = 0;
    this.isProbed[host] = 0;
    this.falseAccusations[host] = 0;
    this.upSpeed[host] = 0;
    this.downSpeed[host] = 0;
    this.upClass[host] = 0;
    this.downClass[host] = 0;
    this.isUpProven[host] = 0;
    this.isDownProven[host] = 0;
    this.childSlotsMax[host] = CHILD_SLOTS_FIRST;
  }

  enterZones(host: HostIndex, zone: number, alsoIn: readonly number[] | "all"): void {
    this.zone[host] = zone;
    this.isBridge[host] = alsoIn.length > 0 ? 1 : 0;
    this.#alsoIn.delete(host);
    if (alsoIn !== "all" && alsoIn.length > 0) this.#alsoIn.set(host, alsoIn);
  }

  /** Whether a child reaches a parent. */
  canFetch(child: HostIndex, parent: HostIndex): boolean {
    const zone = this.zone[child]!;
    if (zone === this.zone[parent]) return true;
    if (this.#isEverywhere(child) || this.#isEverywhere(parent)) return true;
    return this.#alsoIn.get(parent)?.includes(zone) === true;
  }

  #isEverywhere(host: HostIndex): boolean {
    return this.isBridge[host] === 1 && !this.#alsoIn.has(host);
  }

  isPresent(host: HostIndex): boolean {
    return host < this.kind.length && this.kind[host] !== HOST_ABSENT;
  }

  /** Whether the host may be given one more upload. */
  hasFreeSlot(host: HostIndex): boolean {
    return this.uploading[host]! < this.slots[host]! && this.isQuarantined[host] === 0;
  }
}
