// Where this machine's requests to sources may go: what its flags and its fleet say, and whom it serves.

import type { EgressPolicy } from "../../net/egress/egress-policy.ts";
import type { Listener } from "../../net/egress/own-ports.ts";
import type { SettingsInForce } from "../../net/wire/fleet-settings.ts";

/** What no setting changes. */
export interface MachineEgress {
  /** Whether only this machine reaches any of its listeners: then loopback is the same to all it serves. */
  readonly isPrivate: boolean;
  readonly listeners: readonly Listener[];
  /** PEM certificates of private CAs that sources have theirs from; undefined: none. */
  readonly sourceCa: string | undefined;
}

export function egressOf(
  { originAllow, originPolicy, sourceProxy }: SettingsInForce,
  { isPrivate, listeners, sourceCa }: MachineEgress,
): EgressPolicy {
  return {
    reach: isPrivate ? "host" : "network",
    isPublicOnly: originPolicy === "public-only",
    allow: originAllow,
    listeners,
    proxies: sourceProxy,
    ca: sourceCa ?? null,
  };
}
