// The settings that count on this machine while it runs: what it was given itself ▶ what its fleet
// says ▶ defaults. Who uses a value reads it when it is needed, or hears of changes.

import { isDeepStrictEqual } from "node:util";
import {
  DEFAULT_SETTINGS,
  mergeSettings,
  type SettingKey,
  type Settings,
  type SettingsInForce,
} from "../../net/wire/fleet-settings.ts";

/** What one supernode, or `df config`, said last. */
interface Word {
  version: number;
  settings: Settings;
}

export interface LiveSettingsOptions {
  /** From flags, environment and file of this machine: no word of the fleet changes them; see `give`. */
  given?: Settings;
  /**
   * The speakers whom this machine believes in this order when they name the same version: the layers
   * of two clusters may differ. @defaultValue whoever spoke last
   */
  preferred?: () => readonly string[];
  /** What the fleet said before this start; counts until it is heard anew. */
  remembered?: Settings | undefined;
  /** Keeps what the fleet says for the next start. */
  remember?: (settings: Settings) => void;
}

type Listener = (now: SettingsInForce, changed: ReadonlySet<SettingKey>) => void;

export class LiveSettings {
  readonly #options: LiveSettingsOptions;
  readonly #words = new Map<string, Word>();
  readonly #listeners = new Set<Listener>();
  #given: Settings;
  #fleet: Settings;
  #current: SettingsInForce;

  constructor(options: LiveSettingsOptions = {}) {
    this.#options = options;
    this.#given = options.given ?? {};
    this.#fleet = options.remembered ?? {};
    this.#current = this.#merged();
  }

  get current(): SettingsInForce {
    return this.#current;
  }

  /** Takes what `speaker` says now; its earlier words count no more. */
  hear(speaker: string, version: number, settings: Settings): void {
    this.#words.delete(speaker);
    this.#words.set(speaker, { version, settings });
    const fleet = this.#believed();
    if (isDeepStrictEqual(fleet, this.#fleet)) return;
    this.#fleet = fleet;
    this.#options.remember?.(fleet);
    this.#change(this.#merged());
  }

  /** This machine's own settings were read again. */
  give(given: Settings): void {
    this.#given = given;
    this.#change(this.#merged());
  }

  /** Calls `listener` now, as if every key had changed, and whenever a value that counts changes. */
  follow(listener: Listener): void {
    this.#listeners.add(listener);
    listener(this.#current, new Set(Object.keys(DEFAULT_SETTINGS) as SettingKey[]));
  }

  #change(next: SettingsInForce): void {
    const keys = Object.keys(next) as SettingKey[];
    const changed = new Set(
      keys.filter((key) => !isDeepStrictEqual(next[key], this.#current[key])),
    );
    if (changed.size === 0) return;
    this.#current = next;
    for (const listener of this.#listeners) listener(next, changed);
  }

  /**
   * The newest version's; of several that name it, the most preferred one's. Who is not among the
   * preferred ones any more is believed only while none of these has spoken.
   */
  #believed(): Settings {
    const order = this.#options.preferred?.() ?? [];
    const words = [...this.#words].toReversed();
    const preferred = words.filter(([speaker]) => order.includes(speaker));
    const [best] = (preferred.length > 0 ? preferred : words).toSorted(
      ([a, x], [b, y]) => y.version - x.version || order.indexOf(a) - order.indexOf(b),
    );
    return mergeSettings({}, best?.[1].settings ?? {});
  }

  #merged(): SettingsInForce {
    return mergeSettings(DEFAULT_SETTINGS, this.#fleet, this.#given);
  }
}
