// Brings written bytes to the disk while more arrive, so that the sync at the end is a short one:
// the user waits for it, and many hosts may come to it in the same moment.

/**
 * Often enough that little is left at the end; every 16 MiB instead made writing at 300 MB/s a third
 * slower, once a second did not (and left half as much or less to the last sync).
 */
const SYNC_INTERVAL_MS = 1_000;

/** Less than this is no wait at the end, and a slow link would sync a few pieces each time. */
const SYNC_BYTES_MIN = 8 << 20;

/** The syncs of one open file. */
export class EarlySync {
  readonly #sync: () => Promise<void>;
  readonly #intervalMs: number;
  readonly #bytesMin: number;
  #unsyncedBytes = 0;
  #syncedAtMs = performance.now();
  #running: Promise<void> | null = null;
  #failure: { error: unknown } | null = null;

  /** @param sync syncs the file's data, e.g. FileHandle.datasync */
  constructor(
    sync: () => Promise<void>,
    { intervalMs = SYNC_INTERVAL_MS, bytesMin = SYNC_BYTES_MIN } = {},
  ) {
    this.#sync = sync;
    this.#intervalMs = intervalMs;
    this.#bytesMin = bytesMin;
  }

  /** Notes a finished write; begins a sync now and then, one at a time. */
  wrote(byteCount: number): void {
    this.#unsyncedBytes += byteCount;
    if (this.#running !== null || this.#unsyncedBytes < this.#bytesMin) return;
    const nowMs = performance.now();
    if (nowMs - this.#syncedAtMs < this.#intervalMs) return;
    this.#syncedAtMs = nowMs;
    this.#unsyncedBytes = 0;
    this.#running = this.#sync()
      .catch((error: unknown) => {
        // The kernel tells a lost write once: it must not be forgotten before the end.
        this.#failure ??= { error };
      })
      .finally(() => {
        this.#running = null;
      });
  }

  /** Returns when everything written so far is on the disk. @throws what any sync threw */
  async finish(): Promise<void> {
    await this.#running;
    await this.#sync();
    if (this.#failure !== null) throw this.#failure.error;
  }
}
