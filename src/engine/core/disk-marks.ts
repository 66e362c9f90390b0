// When a disk is too full, and how much must go: at the high mark contents are dropped down to the low
// one, so that each new content does not have to drop an old one.
//
//   0 ────────── low ─────── high ──── capacity
//                 ◀─ may go ──┤◀─ must go ─ use after what is wanted

export interface DiskMarks {
  /** Share of the disk in use that is never passed, 0 to 1. */
  readonly high: number;
  /** Share of the disk in use down to which contents go once something must. */
  readonly low: number;
}

/** Bytes of one file system. */
export interface DiskUse {
  /** By everything on it. */
  readonly usedBytes: number;
  readonly freeBytes: number;
  /** Not written yet, but of downloads under way. */
  readonly promisedBytes: number;
}

export interface Excess {
  /** Without so much room nothing more may be written; 0 below the high mark. */
  readonly mustBytes: number;
  /** What should go as well once something must; at least `mustBytes`. */
  readonly mayBytes: number;
}

/** What stands in the way of `neededBytes` more. */
export function excessOf(use: DiskUse, marks: DiskMarks, neededBytes: number): Excess {
  const capacityBytes = use.usedBytes + use.freeBytes;
  const wantedBytes = use.usedBytes + use.promisedBytes + neededBytes;
  const mustBytes = Math.ceil(wantedBytes - marks.high * capacityBytes);
  if (mustBytes <= 0) return { mustBytes: 0, mayBytes: 0 };
  const mayBytes = Math.ceil(wantedBytes - Math.min(marks.low, marks.high) * capacityBytes);
  return { mustBytes, mayBytes };
}
