// Shows a transfer on stderr: a bar that redraws itself for a person, a plain line now and then for
// a log. Where bytes come from is always in view: that is what a swarm is for.

import type { BytesBySource } from "../../net/wire/local-api.ts";
import type { ProgressStyle } from "./options.ts";
import type { TransferProgress } from "./transfer.ts";

/** A person sees no more than ten changes a second. */
const BAR_INTERVAL_MS = 100;
/** A log should tell a stalled transfer from a slow one without drowning in lines. */
const PLAIN_INTERVAL_MS = 10_000;
/** The shown rate forgets half of the past in this time. */
const RATE_HALF_LIFE_MS = 2_000;
const BAR_CELLS = 20;

export interface Screen {
  /** Columns of the terminal. */
  readonly columns: number;
  write(text: string): void;
}

export class ProgressDisplay {
  readonly #style: ProgressStyle;
  readonly #name: string;
  readonly #screen: Screen;
  readonly #startedAtMs: number;
  #shownAtMs = -Infinity;
  #rate: RateMeter;
  #isBarDrawn = false;

  constructor(style: ProgressStyle, name: string, screen: Screen, nowMs: number) {
    this.#style = style;
    this.#name = name;
    this.#screen = screen;
    this.#startedAtMs = nowMs;
    this.#rate = new RateMeter(nowMs);
    // A log hears of a transfer only if it lasts.
    if (style === "plain") this.#shownAtMs = nowMs;
  }

  update(progress: TransferProgress, nowMs: number): void {
    if (this.#style === "none") return;
    const intervalMs = this.#style === "bar" ? BAR_INTERVAL_MS : PLAIN_INTERVAL_MS;
    if (nowMs - this.#shownAtMs < intervalMs) return;
    this.#shownAtMs = nowMs;
    const rate = this.#rate.update(progress.doneBytes - progress.bytes.cache, nowMs);
    if (this.#style === "plain") {
      this.#screen.write(`${this.#name}: ${describe(progress, rate)}\n`);
      return;
    }
    this.#isBarDrawn = true;
    this.#screen.write(`\r${this.#barLine(progress, rate)}\u001B[K`);
  }

  /** Prints a line without breaking the bar. */
  line(text: string): void {
    this.#screen.write(`${this.#isBarDrawn ? "\r\u001B[K" : ""}${text}\n`);
    this.#isBarDrawn = false;
  }

  /** Ends the display; the last state becomes one line. */
  finish(progress: TransferProgress, nowMs: number): void {
    if (this.#style === "none") return;
    const seconds = Math.max(0.001, (nowMs - this.#startedAtMs) / 1000);
    const broughtBytes = progress.doneBytes - progress.bytes.cache;
    // What was on this host already came at no rate.
    const rate = broughtBytes > 0 ? `, ${formatBytes(broughtBytes / seconds)}/s` : "";
    const size = formatBytes(progress.doneBytes);
    const whence = `${origins(progress.bytes)}${wireWords(progress.bytes, progress.wireBytes)}`;
    this.line(`${this.#name}: ${size} in ${seconds.toFixed(1)} s${rate}, from ${whence}`);
  }

  /** Leaves the terminal clean after a failure. */
  clear(): void {
    if (this.#isBarDrawn) this.#screen.write("\r\u001B[K");
    this.#isBarDrawn = false;
  }

  #barLine(progress: TransferProgress, rate: number): string {
    const text = describe(progress, rate);
    if (progress.length === null || progress.length === 0)
      return text.slice(0, this.#screen.columns);
    const filled = Math.round((progress.doneBytes / progress.length) * BAR_CELLS);
    const bar = `[${"█".repeat(filled)}${"·".repeat(Math.max(0, BAR_CELLS - filled))}]`;
    return `${bar} ${text}`.slice(0, Math.max(20, this.#screen.columns - 1));
  }
}

/** Bytes per second with a memory of a few seconds. */
class RateMeter {
  #atMs: number;
  #bytes = 0;
  #rate = 0;
  #weight = 0;

  constructor(nowMs: number) {
    this.#atMs = nowMs;
  }

  update(bytes: number, nowMs: number): number {
    const elapsedMs = nowMs - this.#atMs;
    if (elapsedMs <= 0) return this.#weight === 0 ? 0 : this.#rate / this.#weight;
    const keep = 0.5 ** (elapsedMs / RATE_HALF_LIFE_MS);
    const current = (Math.max(0, bytes - this.#bytes) * 1000) / elapsedMs;
    this.#rate = this.#rate * keep + current * (1 - keep);
    this.#weight = this.#weight * keep + (1 - keep);
    this.#atMs = nowMs;
    this.#bytes = bytes;
    return this.#rate / this.#weight;
  }
}

function describe(progress: TransferProgress, rate: number): string {
  const { doneBytes, length, bytes, parents } = progress;
  const parts = [
    length === null
      ? formatBytes(doneBytes)
      : `${length === 0 ? 100 : Math.floor((doneBytes / length) * 100)}% of ${formatBytes(length)}`,
    `${formatBytes(rate)}/s`,
  ];
  if (length !== null && rate >= 1) parts.push(`ETA ${formatSeconds((length - doneBytes) / rate)}`);
  parts.push(origins(bytes));
  if (parents > 0) parts.push(`${parents} ${parents === 1 ? "parent" : "parents"}`);
  return parts.join("  ");
}

/** "source 20%, peers 80%"; what brought nothing is not named. */
function origins(bytes: BytesBySource): string {
  const total = bytes.source + bytes.supernode + bytes.peers + bytes.cache;
  const shares = (["source", "supernode", "peers", "cache"] as const)
    .filter((name) => bytes[name] > 0)
    .map((name) => `${name} ${Math.round((bytes[name] / total) * 100)}%`);
  return shares.length === 0 ? "waiting" : shares.join(", ");
}

/** ", wire 4.1 MB of 10 MB" where compressed pieces came; else nothing. */
export function wireWords({ source, supernode, peers }: BytesBySource, wireBytes: number): string {
  const broughtBytes = source + supernode + peers;
  if (wireBytes >= broughtBytes) return "";
  return `, wire ${formatBytes(wireBytes)} of ${formatBytes(broughtBytes)}`;
}

/** Decimal units, as everywhere in what `df` prints: 1 MB is 10^6 bytes. */
export function formatBytes(bytes: number): string {
  const units = ["B", "kB", "MB", "GB", "TB"];
  let value = bytes;
  let unit = 0;
  while (value >= 999.5 && unit < units.length - 1) {
    value /= 1000;
    unit++;
  }
  return `${unit === 0 || value >= 99.95 ? Math.round(value) : value.toFixed(1)} ${units[unit]}`;
}

export function formatSeconds(seconds: number): string {
  const whole = Math.ceil(seconds);
  if (whole < 60) return `${whole}s`;
  if (whole < 3600) return `${Math.floor(whole / 60)}m${String(whole % 60).padStart(2, "0")}s`;
  return `${Math.floor(whole / 3600)}h${String(Math.floor((whole % 3600) / 60)).padStart(2, "0")}m`;
}
