// How many uploads a seed has at once: enough to fill its link, few enough that each runs near its
// child's rate. Many slow transfers would finish late all together, and the swarm could not start
// to share. It climbs towards more throughput and walks back where more uploads gain nothing.

/** Uploads to begin with: fills a link of eight times a child's rate. */
const SLOTS_FIRST = 8;

/** With fewer, one slow child would halve the seed. */
const SLOTS_MIN = 4;

/** Throughput changes below this share are noise. */
const NOISE = 0.1;

/** A measurement lasts for this many finished uploads, or as many as there are slots. */
const UPLOADS_MEASURED = 8;

export class SeedPace {
  readonly #max: number;
  #slots: number;
  #isGrowing = true;
  #startedUs = -1;
  #bytes = 0;
  #uploads = 0;
  #lastRate = 0;

  /** @param max uploads the seed itself allows */
  constructor(max: number) {
    this.#max = max;
    this.#slots = Math.min(SLOTS_FIRST, max);
  }

  get slots(): number {
    return this.#slots;
  }

  /** @param isBusy whether all slots were in use until this upload finished */
  uploadFinished(nowUs: number, bytes: number, isBusy: boolean): void {
    if (!isBusy || this.#startedUs === -1) {
      this.#restart(nowUs);
      return;
    }
    this.#bytes += bytes;
    if (++this.#uploads < Math.max(UPLOADS_MEASURED, this.#slots) || nowUs === this.#startedUs)
      return;
    this.#judge(this.#bytes / (nowUs - this.#startedUs));
    this.#restart(nowUs);
  }

  #judge(rate: number): void {
    const gain = rate / this.#lastRate - 1;
    // A clear gain keeps the direction, a clear loss turns it, and no change saves uploads.
    if (this.#lastRate === 0) this.#isGrowing = true;
    else if (gain < -NOISE) this.#isGrowing = !this.#isGrowing;
    else if (gain <= NOISE) this.#isGrowing = false;
    this.#lastRate = rate;
    const next = this.#isGrowing ? Math.ceil(this.#slots * 1.5) : Math.floor(this.#slots * 0.8);
    this.#slots = Math.min(this.#max, Math.max(SLOTS_MIN, next));
  }

  #restart(nowUs: number): void {
    this.#startedUs = nowUs;
    this.#bytes = 0;
    this.#uploads = 0;
  }
}
