// Looks after a disk that others fill as well: asks now and then how full it is, and says when that
// begins and ends to be too much. What goes then is the store's choice.

import { excessOf, type DiskMarks, type DiskUse, type Excess } from "../engine/core/disk-marks.ts";
import { messageOf } from "../errors.ts";
import { DISK_MARGIN_BYTES, diskSpace } from "./disk-space.ts";

/** Others may fill a disk at some hundred MB/s: 10 s of that are less than the least sensible mark leaves. */
const WATCH_INTERVAL_MS = 10_000;

/** How full the disk is, for those who ask. */
export interface DiskReport {
  /** Of the file system, by everything on it. */
  readonly usedBytes: number;
  readonly freeBytes: number;
  readonly marks: DiskMarks;
  /** Above the high mark with nothing left that may go: new contents are refused. */
  readonly isTooFull: boolean;
}

export interface DiskWatchOptions {
  readonly dir: string;
  readonly marks: DiskMarks;
  /** Bytes that downloads under way have yet to write. */
  readonly promisedBytes: () => number;
  /** Drops contents of about so many bytes, as far as any may go. */
  readonly free: (bytes: number) => Promise<void>;
  readonly onWarning: (message: string) => void;
}

export class DiskWatch {
  readonly #options: DiskWatchOptions;
  readonly #timer: ReturnType<typeof setInterval>;
  marks: DiskMarks;
  #space = { usedBytes: 0, freeBytes: 0 };
  #isTooFull = false;
  #tidying: Promise<void> | null = null;

  constructor(options: DiskWatchOptions) {
    this.#options = options;
    this.marks = options.marks;
    this.#timer = setInterval(() => void this.tidy(), WATCH_INTERVAL_MS);
    this.#timer.unref();
  }

  /** As of the last look. */
  get report(): DiskReport {
    return { ...this.#space, marks: this.marks, isTooFull: this.#isTooFull };
  }

  /** What stands in the way of `neededBytes` more. @throws {DfError} file-unreadable */
  async excess(neededBytes: number): Promise<Excess> {
    this.#space = await diskSpace(this.#options.dir);
    const use: DiskUse = { ...this.#space, promisedBytes: this.#options.promisedBytes() };
    const capacityBytes = use.usedBytes + use.freeBytes;
    const high = Math.min(this.marks.high, 1 - DISK_MARGIN_BYTES / capacityBytes);
    return excessOf(use, { ...this.marks, high }, neededBytes);
  }

  /** Brings the disk below its marks, as far as contents may go; never fails. */
  tidy(): Promise<void> {
    this.#tidying ??= this.#tidy().finally(() => {
      this.#tidying = null;
    });
    return this.#tidying;
  }

  stop(): Promise<void> {
    clearInterval(this.#timer);
    return this.#tidying ?? Promise.resolve();
  }

  async #tidy(): Promise<void> {
    const { dir, free, onWarning } = this.#options;
    try {
      const { mayBytes } = await this.excess(0);
      if (mayBytes > 0) await free(mayBytes);
      const isTooFull = mayBytes > 0 && (await this.excess(0)).mustBytes > 0;
      if (isTooFull === this.#isTooFull) return;
      this.#isTooFull = isTooFull;
      const mark = `${Math.round(this.marks.high * 100)} %`;
      onWarning(
        isTooFull
          ? `the disk of ${dir} is above its high mark of ${mark} and no content may go: new ones are refused until there is room`
          : `the disk of ${dir} is below its high mark of ${mark} again`,
      );
    } catch (error) {
      onWarning(`look after the disk of ${dir}: ${messageOf(error)}`);
    }
  }
}
