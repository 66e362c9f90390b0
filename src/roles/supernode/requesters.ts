// Whose credentials a private content's source may be read with: those of requesters whose download
// runs. Kept in memory, while the source is being read and no longer.

import type { Secret } from "../../engine/bytes/secret.ts";
import type { Credentials } from "../../net/wire/task.ts";

export class Requesters {
  readonly #live = new Map<object, Secret<Credentials>>();
  /** What the source does not take any more. */
  #refused: Credentials[] = [];

  /** @param who its download, until `remove` or `clear` */
  add(who: object, credentials: Secret<Credentials>): void {
    this.#live.set(who, credentials);
  }

  remove(who: object): void {
    this.#live.delete(who);
  }

  /** Nobody's credentials are needed any more. */
  clear(): void {
    this.#live.clear();
    this.#refused = [];
  }

  /** Of one who downloads now; undefined: nobody does. */
  get anyone(): Secret<Credentials> | undefined {
    return this.#live.values().next().value;
  }

  /** The source refused these: others that it did not refuse yet, null when there are none. */
  instead(refused: Credentials): Secret<Credentials> | null {
    this.#refused.push(refused);
    const isRefused = (one: Secret<Credentials>): boolean =>
      this.#refused.some((other) => Bun.deepEquals(one.reveal(), other));
    // Who came last was proven last.
    return [...this.#live.values()].findLast((one) => !isRefused(one)) ?? null;
  }
}
