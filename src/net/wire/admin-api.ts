// What administrators of a fleet say to `df config` and what they are answered: clusters, rules,
// supernodes, hosts, tokens. Unknown fields are refused. The paths are in roles/config/access.ts.

import { z } from "zod";
import { plainText } from "./plain-text.ts";
import { labelsSchema, zonedAddressSchema } from "./fleet-api.ts";

const hostId = z.string().regex(/^[0-9a-f]{64}$/);
const instant = z.int().min(0).meta({ description: "Unix milliseconds" });
const comment = plainText(256).default("");

export const clusterNameSchema = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/i);

export const clusterSchema = z.object({
  name: clusterNameSchema,
  /** `idc` and `location` bring hosts near; a supernode's own labels count before. */
  labels: labelsSchema,
  /** The cluster from which its supernodes get contents instead of from sources. */
  upstream: clusterNameSchema.nullable(),
  createdAt: instant,
});
export type Cluster = z.infer<typeof clusterSchema>;

export const newClusterSchema = z.strictObject({
  name: clusterNameSchema,
  labels: labelsSchema.default({}),
  upstream: clusterNameSchema.nullable().default(null),
});

export const clusterChangeSchema = z
  .strictObject({
    labels: labelsSchema.optional(),
    upstream: clusterNameSchema.nullable().optional(),
  })
  .refine((change) => Object.keys(change).length > 0, "nothing to change");

export const ruleBodySchema = z.strictObject({
  /** The highest comes first. */
  priority: z.int().min(0).max(1_000_000).default(0),
  /** All that are given must hold; none: every host. */
  conditions: z
    .strictObject({
      /** "10.0.0.0/8", "fd00::/8": one of the host's addresses lies in one of them. */
      cidrs: z.array(z.string().max(49)).min(1).max(256).optional(),
      labels: labelsSchema.optional(),
      /** Glob with `*` and `?`; case does not matter. */
      hostname: z.string().min(1).max(255).optional(),
    })
    .default({}),
  /** Nearest first. */
  clusters: z.array(clusterNameSchema).min(1).max(16),
  comment,
});

export const ruleSchema = ruleBodySchema.extend({ id: z.string(), createdAt: instant });

export const supernodeSchema = z.object({
  hostId,
  cluster: clusterNameSchema,
  hostname: z.string(),
  version: z.string(),
  addresses: z.array(zonedAddressSchema),
  labels: labelsSchema,
  /** Only an alive one is in any list. */
  state: z.enum(["joined", "alive", "silent", "left"]),
  joinedAt: instant,
  heartbeatAt: instant.nullable(),
  leaseExpiresAt: instant,
  /** From its last heartbeat. */
  report: z
    .object({
      load: z.object({
        peers: z.int(),
        downloads: z.int(),
        uploadBytesPerSec: z.int(),
        sourceBytesPerSec: z.int(),
      }),
      disk: z.object({ usedBytes: z.int(), quotaBytes: z.int().nullable(), freeBytes: z.int() }),
      contents: z.int(),
      settingsVersion: z.int(),
    })
    .nullable(),
});
export type Supernode = z.infer<typeof supernodeSchema>;

export const hostSchema = z.object({
  hostId,
  hostname: z.string(),
  addresses: z.array(z.string()),
  labels: labelsSchema,
  version: z.string(),
  cluster: z.string().nullable(),
  firstSeenAt: instant,
  /** To within half a minute. */
  seenAt: instant,
  /** IDs of the supernodes that it has a channel to. */
  supernodes: z.array(hostId),
});
export type Host = z.infer<typeof hostSchema>;

/** Rows of a page at most. */
export const HOSTS_PAGE_MAX = 1_000;

export const hostsQuerySchema = z.strictObject({
  cluster: clusterNameSchema.optional(),
  version: plainText(64).optional(),
  /** Part of the host name. */
  hostname: plainText(255).min(1).optional(),
  /** "key=value"; may be given several times: all must hold. */
  label: z
    .union([z.string(), z.array(z.string())])
    .transform((labels) => [labels].flat())
    .pipe(z.array(z.string().regex(/^[^=]{1,64}=.{0,256}$/s)).max(16))
    .optional(),
  /** Unix milliseconds. */
  seenSince: z.coerce.number().int().min(0).optional(),
  /** `next` of the page before. */
  after: z
    .string()
    .regex(/^[0-9a-f]{0,64}$/)
    .default(""),
  limit: z.coerce.number().int().min(1).max(HOSTS_PAGE_MAX).default(100),
});

export const hostsPageSchema = z.object({
  hosts: z.array(hostSchema),
  /** Of all pages. */
  total: z.int(),
  /** Null: this was the last page. */
  next: z.string().nullable(),
});

export const adminRoleSchema = z.enum(["admin", "operator", "viewer"]);
export type AdminRole = z.infer<typeof adminRoleSchema>;

export const joinRoleSchema = z.enum(["supernode", "peer"]);

export const tokenSchema = z.object({
  id: z.string(),
  kind: z.enum(["admin", "join"]),
  /** What an administrator may do, or the only role that may join; null: both may. */
  role: z.union([adminRoleSchema, joinRoleSchema]).nullable(),
  /** The only cluster that may be joined; null: any. */
  cluster: clusterNameSchema.nullable(),
  /** Null: any number. */
  usesMax: z.int().nullable(),
  useCount: z.int(),
  comment: z.string(),
  /** ID of the token by which it was made; null: the first start. */
  createdBy: z.string().nullable(),
  createdAt: instant,
  usedAt: instant.nullable(),
  expiresAt: instant.nullable(),
  revokedAt: instant.nullable(),
});
export type Token = z.infer<typeof tokenSchema>;

/** Ten years: longer is for ever, which is said by leaving it out. */
const expiresInSeconds = z
  .int()
  .min(1)
  .max(10 * 366 * 86_400)
  .optional();

export const newTokenSchema = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("admin"),
    role: adminRoleSchema,
    expiresInSeconds,
    comment,
  }),
  z.strictObject({
    kind: z.literal("join"),
    role: joinRoleSchema.optional(),
    cluster: clusterNameSchema.optional(),
    /** @defaultValue any number */
    usesMax: z.int().min(1).max(1_000_000).optional(),
    expiresInSeconds,
    comment,
  }),
]);
export type NewToken = z.input<typeof newTokenSchema>;

/** The only time that the secret is told. */
export const createdTokenSchema = tokenSchema.extend({
  secret: z.string(),
  /** Of a join token: what is pasted after `--join`. */
  joinString: z.string().nullable(),
});

export const tokenRevocationQuerySchema = z.strictObject({
  /** "true": also what was joined with it is no longer believed. */
  credentials: z.enum(["true", "false"]).default("false"),
});

export const whoamiSchema = z.object({
  tokenId: z.string(),
  role: adminRoleSchema,
  comment: z.string(),
  expiresAt: instant.nullable(),
});
