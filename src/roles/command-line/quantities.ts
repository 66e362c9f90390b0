// Sizes, rates and durations as people write them on a command line.

import { DfError } from "../../errors.ts";

/**
 * A share written as "95%" or 0.95.
 * @throws {DfError} usage below 5 % and above 99 %
 */
export function parseShare(flag: string, text: string): number {
  const [, number, percent] = /^(\d{1,2}(?:\.\d+)?|0?\.\d+)(%?)$/.exec(text) ?? [];
  const share = Number(number) / (percent === "%" ? 100 : 1);
  if (share >= 0.05 && share <= 0.99) return share;
  throw new DfError("usage", `read ${flag} ${text}: not a share from 5% to 99%`, {
    hint: `write ${flag} 95%`,
  });
}

/** K, M, G are powers of 1024 as in wget, curl and dfget; KB, MB, GB powers of 1000. */
const BYTE_UNITS: Record<string, number> = {
  "": 1,
  b: 1,
  k: 1024,
  m: 1024 ** 2,
  g: 1024 ** 3,
  t: 1024 ** 4,
  kib: 1024,
  mib: 1024 ** 2,
  gib: 1024 ** 3,
  tib: 1024 ** 4,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
};

/** Bits per second, as links are sold. */
const BIT_UNITS: Record<string, number> = {
  bps: 1 / 8,
  kbps: 1e3 / 8,
  mbps: 1e6 / 8,
  gbps: 1e9 / 8,
  kbit: 1e3 / 8,
  mbit: 1e6 / 8,
  gbit: 1e9 / 8,
};

const SECOND_UNITS: Record<string, number> = { ms: 0.001, "": 1, s: 1, m: 60, h: 3600, d: 86400 };

/**
 * Whole bytes of "20M", "1.5GiB", "300".
 * @throws {DfError} usage, naming `flag`
 */
export function parseSize(flag: string, text: string): number {
  const bytes = read(text, BYTE_UNITS);
  if (bytes === null || !Number.isSafeInteger(Math.round(bytes))) {
    throw new DfError("usage", `read ${flag} ${text}: not a size`, {
      hint: "write bytes or a number with K, M, G (1024) or KB, MB, GB (1000)",
    });
  }
  return Math.round(bytes);
}

/**
 * Bytes per second of "20M", "20MB/s", "200Mbps"; null for 0, which means no limit.
 * @throws {DfError} usage, naming `flag`
 */
export function parseRate(flag: string, text: string): number | null {
  const bytes = read(text.replace(/\/s$/, ""), { ...BYTE_UNITS, ...BIT_UNITS });
  if (bytes === null || !Number.isSafeInteger(Math.round(bytes))) {
    throw new DfError("usage", `read ${flag} ${text}: not a rate`, {
      hint: "write bytes per second with K, M, G (1024), KB, MB, GB (1000), or bits with Mbps",
    });
  }
  return bytes === 0 ? null : Math.max(1, Math.round(bytes));
}

/** Timers count milliseconds in 31 bits: a longer wait would end at once. */
const DURATION_DAYS_MAX = 24;

/**
 * Milliseconds of "30" (seconds), "500ms", "5m".
 * @throws {DfError} usage, naming `flag`
 */
export function parseDuration(flag: string, text: string): number {
  const seconds = read(text, SECOND_UNITS);
  if (seconds !== null && seconds > DURATION_DAYS_MAX * SECOND_UNITS["d"]!) {
    throw new DfError("usage", `read ${flag} ${text}: too long`, {
      hint: `write at most ${DURATION_DAYS_MAX}d`,
    });
  }
  if (seconds === null) {
    throw new DfError("usage", `read ${flag} ${text}: not a duration`, {
      hint: "write seconds, or a number with ms, s, m, h, d",
    });
  }
  return Math.round(seconds * 1000);
}

/**
 * As parseDuration, for a wait that may be without end: 0 says so, as in wget.
 * @throws {DfError} usage, naming `flag`
 */
export function parseTimeout(flag: string, text: string): number {
  return parseDuration(flag, text) || DURATION_DAYS_MAX * SECOND_UNITS["d"]! * 1000;
}

/**
 * A whole number within bounds.
 * @throws {DfError} usage, naming `flag` and the range
 */
export function parseCount(
  flag: string,
  text: string,
  range: { min: number; max: number },
): number {
  const count = /^\d{1,15}$/.test(text) ? Number(text) : NaN;
  if (count >= range.min && count <= range.max) return count;
  throw new DfError("usage", `read ${flag} ${text}: not a number in range`, {
    hint: `write a whole number from ${range.min} to ${range.max}`,
  });
}

function read(text: string, units: Record<string, number>): number | null {
  const match = /^(\d{1,15}(?:\.\d{1,9})?)\s*([a-z]*)$/i.exec(text.trim());
  const unit = match?.[2]?.toLowerCase() ?? "";
  if (match === null || !Object.hasOwn(units, unit)) return null;
  return Number(match[1]) * units[unit]!;
}
