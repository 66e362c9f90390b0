// How a disk rate is shared by threads that cannot share a pacer: those that write (what arrives) and
// those that read (uploads) get half each.

/** @param diskRateBytesPerSec null: no limit */
export function diskShare(diskRateBytesPerSec: number | null): number | null {
  return diskRateBytesPerSec === null ? null : Math.max(1, Math.floor(diskRateBytesPerSec / 2));
}
