// What a supernode must tell its fleet and keeps until a heartbeat that carried it was answered.

import type { CommandResult } from "../wire/command.ts";
import type { Heartbeat } from "../wire/fleet-api.ts";

/**
 * Entries of one kind in one heartbeat; the rest goes with the next, at once. 1,000 results with messages
 * of 1,024 characters are 3.2 MB at the most, 40,000 host IDs 2.7 MB: below the 8 MiB that are taken.
 */
const RESULTS_MAX = 1_000;
const HOSTS_MAX = 20_000;

export class HeartbeatOutbox {
  /** By command and host: a later result takes the place of an earlier one. */
  readonly #results = new Map<string, CommandResult>();
  /** Whether the host is here now; only what the fleet has not heard. */
  readonly #hosts = new Map<string, boolean>();
  /** The first heartbeat of a process names all hosts: what an earlier one told is void. */
  #isFirst = true;

  /** Whether something waits that somebody waits for. */
  get isUrgent(): boolean {
    for (const { state } of this.#results.values()) if (state !== "running") return true;
    return false;
  }

  report(result: CommandResult): void {
    this.#results.set(keyOf(result), result);
  }

  hostsChanged({
    arrived = [],
    gone = [],
  }: {
    arrived?: readonly string[];
    gone?: readonly string[];
  }): void {
    for (const hostId of arrived) this.#hosts.set(hostId, true);
    for (const hostId of gone) this.#hosts.set(hostId, false);
  }

  /** What the next heartbeat carries; everything stays here until `heard`. */
  contents(): Pick<Heartbeat, "results" | "hosts"> {
    const arrived: string[] = [];
    const gone: string[] = [];
    for (const [hostId, isHere] of this.#hosts) {
      const list = isHere ? arrived : gone;
      if (list.length < HOSTS_MAX) list.push(hostId);
    }
    return {
      results: [...this.#results.values()].slice(0, RESULTS_MAX),
      hosts: { arrived, gone, isAll: this.#isFirst },
    };
  }

  /** A heartbeat with these contents was answered; what changed since stays. */
  heard({ results, hosts }: Pick<Heartbeat, "results" | "hosts">): void {
    for (const result of results) {
      if (this.#results.get(keyOf(result)) === result) this.#results.delete(keyOf(result));
    }
    for (const hostId of hosts?.arrived ?? []) this.#forget(hostId, true);
    for (const hostId of hosts?.gone ?? []) this.#forget(hostId, false);
    this.#isFirst = false;
  }

  #forget(hostId: string, wasHere: boolean): void {
    if (this.#hosts.get(hostId) === wasHere) this.#hosts.delete(hostId);
  }
}

function keyOf({ id, hostId }: CommandResult): string {
  return `${id} ${hostId}`;
}
