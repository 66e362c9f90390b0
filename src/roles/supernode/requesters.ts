// With whose requests the source of a content may be read for which each who asks is proven at the source:
// those of requesters whose download runs. Kept in memory, while the source is being read and no longer.

import type { Secret } from "../../engine/bytes/secret.ts";
import { namedDigestOf } from "../../net/registry/registry-task.ts";
import type { TaskRequest } from "../../net/wire/task.ts";

export class Requesters {
  readonly #live = new Map<object, Secret<TaskRequest>>();
  /** What the source does not take any more. */
  #refused: TaskRequest[] = [];

  /** @param who its download, until `remove` or `clear` */
  add(who: object, request: Secret<TaskRequest>): void {
    this.#live.set(who, request);
  }

  remove(who: object): void {
    this.#live.delete(who);
  }

  /** Nobody's request is needed any more. */
  clear(): void {
    this.#live.clear();
    this.#refused = [];
  }

  /** Of one who downloads now; undefined: nobody does. */
  get anyone(): Secret<TaskRequest> | undefined {
    return this.#live.values().next().value;
  }

  /** The source refused this one: another that it did not refuse yet, null when there is none. */
  instead(refused: TaskRequest): Secret<TaskRequest> | null {
    this.#refused.push(refused);
    const isRefused = (one: Secret<TaskRequest>): boolean =>
      this.#refused.some((other) => asksAlike(one.reveal(), other));
    // Who came last was proven last.
    return [...this.#live.values()].findLast((one) => !isRefused(one)) ?? null;
  }
}

/** Whether each requester is let in by what the source says to his own request: his credentials, or his URL. */
export function isProvenSingly(request: TaskRequest): boolean {
  return request.credentials !== undefined || namedDigestOf(request) !== null;
}

function asksAlike(a: TaskRequest, b: TaskRequest): boolean {
  return a.url === b.url && Bun.deepEquals(a.credentials, b.credentials);
}
