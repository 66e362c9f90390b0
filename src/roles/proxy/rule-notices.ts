// What this host's log tells of requests that a rule gives to the swarm and that this peer reads by itself: their
// clients have the file all the same, so nobody else would see that the swarm has no part in it.

import { redactUrl } from "../../net/task-request.ts";

/** A rule may name all hosts. */
const TOLD_MAX = 1_000;

export class RuleNotices {
  readonly #told = new Set<string>();

  /**
   * The line for the log; null: as much was told of that host before.
   * @param notice what `df get` would tell of the URL
   */
  tell(url: URL, notice: string): string | null {
    const line = `a rule gives ${url.origin} to the swarm: ${notice.replaceAll(redactUrl(url.href), url.origin)}`;
    if (this.#told.has(line) || this.#told.size >= TOLD_MAX) return null;
    this.#told.add(line);
    return line;
  }
}
