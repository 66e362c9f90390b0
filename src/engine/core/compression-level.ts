// Decides how hard to compress: as hard as this machine can without holding up what comes after it.

/** Levels of zstd that are used: each costs about twice the one before and saves a twentieth to a tenth more. */
const LEVELS = [1, 3, 6] as const;
export type CompressionLevel = (typeof LEVELS)[number];

/** Bytes per second of one core until it is measured: executables on a machine that is not new. */
const SPEED_AT_FIRST: Record<CompressionLevel, number> = { 1: 300e6, 3: 150e6, 6: 60e6 };

/** A higher level must keep ahead of the demand by this: sources and neighbours on the machine are not steady. */
const HEADROOM = 1.5;

/** Weight of the newest piece: some ten pieces make the mean. */
const NEWEST_WEIGHT = 0.1;

/** What a root file system shrinks to: so much more than a link carries is of use before it. */
const WIRE_SHARE_ASSUMED = 0.3;

/** What is known when a piece is made; rates are bytes per second. */
export interface CompressionDemand {
  /** As sources send them now; null: not measured yet. */
  readonly sourceRate: number | null;
  /** All that this machine may send to others; null: no limit is known. */
  readonly linkRate: number | null;
  /** Cores that may compress at once and are not busy with something else; fractions count. */
  readonly freeCores: number;
}

export class CompressionLevelChoice {
  readonly #speed = { ...SPEED_AT_FIRST };

  /** A piece of `bytes` took one core so long. */
  measured(level: CompressionLevel, bytes: number, elapsedUs: number): void {
    const speed = (bytes * 1e6) / Math.max(1, elapsedUs);
    const change = 1 + NEWEST_WEIGHT * (speed / this.#speed[level] - 1);
    // What slows one level down, another machine or other bytes, slows the others down alike.
    for (const each of LEVELS) this.#speed[each] *= change;
  }

  /** The highest level that keeps up; the lowest where none does. */
  levelFor({ sourceRate, linkRate, freeCores }: CompressionDemand): CompressionLevel {
    if (sourceRate === null) return LEVELS[0];
    const useful = Math.min(
      sourceRate,
      linkRate === null ? Infinity : linkRate / WIRE_SHARE_ASSUMED,
    );
    const fitting = LEVELS.filter((level) => this.#speed[level] * freeCores >= HEADROOM * useful);
    return fitting.at(-1) ?? LEVELS[0];
  }
}
