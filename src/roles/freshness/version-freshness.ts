// What a supernode knows of one version's freshness while it runs: when the source confirmed it,
// that the source is down and for how long it need not be asked again.
//
//   fresh ──▶ stale ── asked: unchanged ──▶ fresh
//              │  ▲
//              ▼  │ a while later
//            held: the source is down, the copy is given with a notice

import {
  freshForMs,
  isUsableIfError,
  type Freshness,
  type KeptAnswer,
} from "../../engine/core/freshness.ts";
import type { DfError } from "../../errors.ts";
import { UNVALIDATED_SHARE_MS, VALIDATED_FRESH_MS } from "../../limits.ts";
import { updatedAnswer } from "../../net/source/cache-terms.ts";
import { isSourceDown } from "../../net/source/source-fault.ts";
import type { SettingsInForce } from "../../net/wire/fleet-settings.ts";
import type { StoredContent } from "../../store/piece-store.ts";
import {
  freshnessOfContent,
  revalidatorOf,
  type UsedTask,
  usedTaskOf,
} from "./content-freshness.ts";

/** How long a source that is down is left alone: everyone who asks meanwhile gets the copy at once. */
const HOLD_SECONDS = 30;

export interface Outage {
  readonly error: DfError;
  /** `performance.now()`. */
  readonly untilMs: number;
}

export class VersionFreshness {
  #task: UsedTask;
  readonly #stored: StoredContent;
  readonly #cacheRules: () => SettingsInForce["cacheRules"];
  /** `performance.now()` when the source last said so, to this process. */
  #confirmedAtMs = -Infinity;
  #outage: Outage | null = null;

  constructor(
    stored: StoredContent,
    { task, cacheRules }: { task: UsedTask; cacheRules: () => SettingsInForce["cacheRules"] },
  ) {
    this.#stored = stored;
    this.#task = task;
    this.#cacheRules = cacheRules;
  }

  /** Someone asked for the task: now it is known what it is. */
  expect(task: UsedTask): void {
    this.#task = usedTaskOf(task);
  }

  /** What rules, digest and source say. */
  get verdict(): Freshness {
    return freshnessOfContent(this.#stored, this.#task, this.#cacheRules());
  }

  /** Whether it may be given to those who ask later than its read. */
  get isKept(): boolean {
    return this.verdict.kind !== "inFlight";
  }

  /** Whether a complete version may be given without asking the source. */
  get isUsable(): boolean {
    const { verdict } = this;
    if (verdict.kind === "inFlight") return false;
    if (performance.now() - this.#confirmedAtMs < this.#sharedMs(verdict)) return true;
    return freshForMs(verdict, Date.now()) > 0 || this.#isHeld(verdict);
  }

  /** What a source can be asked with; null: only a new read tells whether it changed. */
  get revalidator(): string | null {
    return this.isKept ? revalidatorOf(this.#stored.facts) : null;
  }

  /** The failure because of which the version is given unconfirmed; null: it is not. */
  get outage(): Outage | null {
    return this.#outage;
  }

  get isUsableIfError(): boolean {
    return isUsableIfError(this.verdict, Date.now());
  }

  /** Whether it may be given although asking for it ends with `error`. */
  outlives(error: unknown): error is DfError {
    return isSourceDown(error) && this.isUsableIfError;
  }

  /** The source has just this version; `answer` is what it said with that. */
  confirm(answer: KeptAnswer | null): void {
    this.#confirmedAtMs = performance.now();
    this.#outage = null;
    if (answer !== null) this.#stored.noteAnswer(updatedAnswer(this.#stored.facts.answer, answer));
  }

  /** The source could not be asked: the version is given for a while without trying again. */
  hold(error: DfError): void {
    const seconds = Math.max(HOLD_SECONDS, error.refusal?.holdsForSeconds ?? 0);
    this.#outage = { error, untilMs: performance.now() + seconds * 1_000 };
  }

  #isHeld(verdict: Freshness): boolean {
    const isLeftAlone = this.#outage !== null && performance.now() < this.#outage.untilMs;
    return isLeftAlone && isUsableIfError(verdict, Date.now());
  }

  /** Those who ask within it after a confirmation ask about the same moment. */
  #sharedMs({ rule }: Freshness): number {
    const isUnsaid = rule === "unspecified" || rule === "heuristic";
    return isUnsaid && this.revalidator === null ? UNVALIDATED_SHARE_MS : VALIDATED_FRESH_MS;
  }
}
