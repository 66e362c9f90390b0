// Who is believed when a child says that a parent gave it wrong bytes: nobody, but the supernode itself.
// An accusation makes it fetch that very piece from the accused; only what comes then counts.
//
//   accused ──▶ probed: wrong bytes ──▶ quarantined ──▶ (some time) pardoned
//                 └── right bytes: a false accusation; after a few the accuser is heard no more

import type { HostColumns } from "./host-columns.ts";
import type { HostIndex, SchedulerEffect, SchedulerEvent } from "./scheduler-events.ts";

/** A link that spoils bytes makes honest accusers too; one that goes on accusing in vain costs probes. */
const FALSE_ACCUSATIONS_MAX = 3;

/** Has the accused probed: not twice at once, and not on the word of who was often wrong. */
export function accuse(
  hosts: HostColumns,
  accusation: Omit<SchedulerEffect & { kind: "probe" }, "kind">,
  effects: SchedulerEffect[],
): void {
  const { host, accuser } = accusation;
  if (hosts.isQuarantined[host] === 1 || hosts.isProbed[host] === 1) return;
  if (hosts.falseAccusations[accuser]! >= FALSE_ACCUSATIONS_MAX) return;
  hosts.isProbed[host] = 1;
  effects.push({ kind: "probe", ...accusation });
}

/** Ends a host's quarantine. */
export function pardon(hosts: HostColumns, host: HostIndex): void {
  if (hosts.isPresent(host)) hosts.isQuarantined[host] = 0;
}

/** Takes the verdict of a probe into the books. */
export function judge(
  hosts: HostColumns,
  { host, accuser, verdict }: SchedulerEvent & { kind: "probed" },
  effects: SchedulerEffect[],
): void {
  if (accuser !== null && verdict === "honest" && hosts.isPresent(accuser))
    hosts.falseAccusations[accuser] = Math.min(255, hosts.falseAccusations[accuser]! + 1);
  if (!hosts.isPresent(host)) return;
  hosts.isProbed[host] = 0;
  if (verdict !== "liar" || hosts.isQuarantined[host] === 1) return;
  hosts.isQuarantined[host] = 1;
  effects.push({ kind: "quarantined", host });
}
