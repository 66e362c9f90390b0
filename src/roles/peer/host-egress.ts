// Where the sources of this host may be: what its settings say, and whom its own ports serve.

import type { EgressPolicy } from "../../net/egress/egress-policy.ts";
import type { SettingsInForce } from "../../net/wire/fleet-settings.ts";
import { egressOf } from "../settings/egress-of.ts";
import { isLoopback, type PeerOptions } from "./peer-options.ts";

/** @param port of the piece server; undefined: it is not open yet */
export function hostEgress(
  { listen, advertise, zonedAddresses = [], sourceCa, otherListeners = [] }: PeerOptions,
  now: SettingsInForce,
  port: number | undefined,
): EgressPolicy {
  const isAdvertised = advertise !== null || zonedAddresses.length > 0;
  const isPrivate = isLoopback(listen.hostname) && !isAdvertised;
  const own = port === undefined ? [] : [{ hostname: listen.hostname, port }];
  return egressOf(now, { isPrivate, listeners: [...own, ...otherListeners], sourceCa });
}
