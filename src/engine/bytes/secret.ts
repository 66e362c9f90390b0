// A value that must never be shown: credentials, keys, what signs tickets. Whoever needs it says
// `reveal()`, which a reader finds by searching; every way of printing it gives "[redacted]".

import { inspect } from "node:util";

const SHOWN = "[redacted]";

export class Secret<T> {
  /** A true private field: neither JSON, structured clones nor debuggers' listings reach it. */
  readonly #value: T;

  constructor(value: T) {
    this.#value = value;
  }

  /** The value itself; the caller sees to it that it goes no further than it must. */
  reveal(): T {
    return this.#value;
  }

  toString(): string {
    return SHOWN;
  }

  toJSON(): string {
    return SHOWN;
  }

  [inspect.custom](): string {
    return SHOWN;
  }
}
