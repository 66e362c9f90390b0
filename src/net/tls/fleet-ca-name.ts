// By which a fleet's own CA is told from any other that a user may name: behind it servers are known by
// names of the fleet, behind others by their addresses.

import { X509Certificate } from "node:crypto";

export const FLEET_CA_NAME = "dragonfly fleet CA";

/** Whether a PEM text is a fleet's own CA; false also for what is no certificate. */
export function isFleetCa(pem: string): boolean {
  try {
    return new X509Certificate(pem).subject === `CN=${FLEET_CA_NAME}`;
  } catch {
    return false;
  }
}
