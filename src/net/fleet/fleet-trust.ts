// What a machine believes its fleet by, beside the fleet's key: kept with the membership, in the same
// 0600 file, so that a machine trusts the same after a restart while `df config` is down.

import { z } from "zod";
import { supernodeSecretsSchema } from "../wire/fleet-api.ts";

export const fleetTrustSchema = z.object({
  /** PEM: who signs the certificates of `df config` and of supernodes; null: the fleet has none. */
  ca: z.string().nullable().default(null),
  /** Whether `df config` stands behind a proxy that proves itself as any server does. */
  isProxied: z.boolean().default(false),
  /** By which manifests and tickets are checked: Ed25519 SPKI, base64; null: the fleet has none. */
  clusterKey: z.string().nullable().default(null),
  /** Of supernodes; null on hosts. */
  secrets: supernodeSecretsSchema.nullable().default(null),
});
export type FleetTrust = z.infer<typeof fleetTrustSchema>;
