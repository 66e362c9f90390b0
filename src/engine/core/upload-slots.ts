// How many uploads each host is given at once: a peer what it allows, a seed what its pace says.

import { HOST_SEED, type HostColumns } from "./host-columns.ts";
import type { HostIndex } from "./scheduler-events.ts";
import { SeedPace } from "./seed-pace.ts";

export class UploadSlots {
  readonly #hosts: HostColumns;
  /** Of the seeds, which are few. */
  readonly #paces = new Map<HostIndex, SeedPace>();

  constructor(hosts: HostColumns) {
    this.#hosts = hosts;
  }

  /** A host allows so many. */
  allow(host: HostIndex, uploadSlots: number): void {
    const { kind, slots } = this.#hosts;
    slots[host] = uploadSlots;
    if (kind[host] !== HOST_SEED) return;
    const pace = new SeedPace(uploadSlots);
    this.#paces.set(host, pace);
    slots[host] = pace.slots;
  }

  forget(host: HostIndex): void {
    this.#paces.delete(host);
  }

  /** To be told while the upload is still counted. */
  uploadFinished(nowUs: number, host: HostIndex, bytes: number): void {
    const pace = this.#paces.get(host);
    if (pace === undefined) return;
    const { uploading, slots } = this.#hosts;
    pace.uploadFinished(nowUs, bytes, uploading[host]! >= slots[host]!);
    slots[host] = pace.slots;
  }
}
