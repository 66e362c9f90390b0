// The part of the API of `df config` by which supernodes and hosts take part in a fleet. What
// administrators do has files of its own beside this one.
//
//   GET  /api/v1/ca          anybody; CaAnswer: who signs the fleet's certificates
//   POST /api/v1/join        join token (Bearer), or the machine's credential, to have it renewed
//                            → JoinAnswer: a credential of its own for this machine
//   POST /api/v1/heartbeat   a supernode's credential; Heartbeat → HeartbeatAnswer; renews the lease
//   POST /api/v1/routes      a host's credential; RouteRequest → RouteAnswer: its supernodes, best first;
//                            held for `waitSeconds` while the answer would be the known version
//
// Everything a fleet tells its supernodes (members, settings, commands) travels in the answer to the
// heartbeat; what is for hosts goes on from there over the swarm channels. So no message is lost
// that a later heartbeat would not bring again. Errors are problem+json (RFC 9457).

import { z } from "zod";
import { commandResultSchema, commandSchema } from "./command.ts";
import { settingsLayersSchema } from "./fleet-settings.ts";
import { keyProofSchema } from "./key-proof.ts";
import { plainText } from "./plain-text.ts";

const hostId = z.string().regex(/^[0-9a-f]{64}$/);
/** "host:port"; IPv6 in brackets. */
const address = z.string().max(262);
const name = z.string().regex(/^[a-z0-9][a-z0-9._-]{0,62}$/i);
const byteCount = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
const version = plainText(64);

export const labelsSchema = z
  .record(z.string().max(64), z.string().max(256))
  .refine((labels) => Object.keys(labels).length <= 64, "at most 64 labels");
/** `idc`, `rack`, `location` ("asia|cn|hangzhou", coarse to fine), `zone`, and a fleet's own. */
export type Labels = z.infer<typeof labelsSchema>;

/** An address and who can use it: hosts of that zone only, or all when `zone` is absent. */
export const zonedAddressSchema = z.object({ address, zone: name.optional() });
export type ZonedAddress = z.infer<typeof zonedAddressSchema>;

export const joinRequestSchema = z.object({
  role: z.enum(["supernode", "peer"]),
  hostId,
  hostname: plainText(255),
  version,
  /** Ed25519, base64; the credential is bound to it. */
  publicKey: z.string().max(128),
  /** @defaultValue the join token's cluster, else "default" */
  cluster: name.optional(),
  /** That the machine holds the key it names. */
  proof: keyProofSchema.optional(),
  /** Of a supernode: the key of its TLS certificate, P-256 SPKI in base64. All else in it `df config` decides. */
  tlsPublicKey: z.base64().max(256).optional(),
});
export type JoinFleetRequest = z.infer<typeof joinRequestSchema>;

/** What a supernode needs to be believed by the fleet's hosts; it keeps them in a 0600 file. */
export const supernodeSecretsSchema = z.object({
  /** Content keys are derived from it: 32 bytes, base64. */
  contentSecret: z.base64().length(44),
  /** Signs manifests and tickets: Ed25519 PKCS #8, base64. */
  clusterPrivateKey: z.base64().max(256),
  /** PEM, for `tlsPublicKey`: its names are tlsNameOf(host ID) and SUPERNODE_TLS_NAME. */
  certificate: z.string().max(8192).optional(),
});
export type SupernodeSecrets = z.infer<typeof supernodeSecretsSchema>;

/** Answer to `GET /api/v1/ca`, which anybody may ask: the fleet's CA, vouched for by the fleet's key. */
export const caAnswerSchema = z.object({
  /** PEM. */
  ca: z.string().max(8192),
  /** By the fleet's key (Ed25519) over "df ca 1" LF and the PEM text; base64. */
  signature: z.base64().length(88),
});
export type CaAnswer = z.infer<typeof caAnswerSchema>;

/** What the fleet's key signs. @param ca PEM */
export function caStatement(ca: string): Buffer {
  return Buffer.from(`df ca 1\n${ca}`);
}

/** The name in a supernode's certificate: addresses change and prove nothing, the key's digest stays. */
export function tlsNameOf(hostId: string): string {
  // A DNS label has 63 characters at most (RFC 1035 §2.3.4).
  return `${hostId.slice(0, 40)}.df`;
}

/** What every supernode may show who knows its address alone: people's tools, not the fleet's machines. */
export const SUPERNODE_TLS_NAME = "supernode.df";

/** The name in the certificate of every replica of `df config`. */
export const CONFIG_TLS_NAME = "config.df";

export const joinAnswerSchema = z.object({
  /** A JWT signed by the fleet's key (EdDSA): role, host ID, cluster. Shown to `df config` and to supernodes. */
  credential: z.string().max(4096),
  cluster: name,
  /** The fleet's public key (raw Ed25519, base64), by which credentials are checked without asking. */
  fleetKey: z.string().max(128),
  /** By which manifests and tickets are checked: Ed25519 SPKI, base64. Supernodes hold the private half. */
  clusterKey: z.base64().max(128).optional(),
  /** To supernodes alone. */
  secrets: supernodeSecretsSchema.optional(),
});
export type JoinFleetAnswer = z.infer<typeof joinAnswerSchema>;

export const heartbeatSchema = z.object({
  hostId,
  version,
  /** Control addresses, as hosts reach them. */
  addresses: z.array(zonedAddressSchema).min(1).max(16),
  /** Whether they speak TLS, with a certificate of the fleet's CA. */
  isTls: z.boolean().optional(),
  /** Its own, over its cluster's; `idc` and `location` count in routing. */
  labels: labelsSchema.default({}),
  load: z.object({
    peers: z.int().min(0),
    /** Downloads that the scheduler serves now. */
    downloads: z.int().min(0),
    uploadBytesPerSec: byteCount,
    sourceBytesPerSec: byteCount,
  }),
  disk: z.object({
    usedBytes: byteCount,
    quotaBytes: byteCount.nullable(),
    freeBytes: byteCount,
  }),
  contents: z.int().min(0),
  /** Hosts with an open channel here, as far as they changed since the last answered heartbeat. */
  hosts: z
    .object({
      arrived: z.array(hostId).max(20_000),
      gone: z.array(hostId).max(20_000),
      /** The first heartbeat of a process: no other hosts are here than those that arrived. */
      isAll: z.boolean().default(false),
    })
    .optional(),
  /** What is known already: the answer leaves out what did not change. */
  settingsVersion: z.int().min(0),
  results: z.array(commandResultSchema).max(10_000),
  /** Leaving for good: the lease ends now. */
  isLeaving: z.boolean().optional(),
});
export type Heartbeat = z.infer<typeof heartbeatSchema>;

const memberSchema = z.object({
  hostId,
  addresses: z.array(zonedAddressSchema),
  isTls: z.boolean().optional(),
});

export const heartbeatAnswerSchema = z.object({
  /** Without a heartbeat for so long a supernode leaves every list. */
  leaseSeconds: z.number().positive(),
  /** When the next heartbeat is wanted. */
  intervalSeconds: z.number().positive(),
  cluster: name,
  /** The cluster's living members, this one among them, by host ID: what ownership is hashed over. */
  members: z.array(memberSchema).max(1024),
  /** The living members of the cluster from which this one gets contents instead of from sources. */
  upstream: z
    .object({
      cluster: name,
      members: z.array(memberSchema),
    })
    .nullable(),
  /** Changes whenever a list of supernodes of any host may differ; passed on to connected hosts. */
  routesVersion: z.int().min(0),
  /** Null: as known. */
  settings: settingsLayersSchema.nullable(),
  /** Not yet answered with a result, oldest first; each may come again. */
  commands: z.array(commandSchema).max(1_000),
  /** IDs (`jti`) of credentials that are no longer believed. */
  revoked: z.array(z.string().max(64)).max(10_000),
});
export type HeartbeatAnswer = z.infer<typeof heartbeatAnswerSchema>;

export const routeRequestSchema = z.object({
  hostId,
  hostname: plainText(255),
  /** Own addresses, without port. */
  addresses: z.array(z.string().max(64)).max(32),
  labels: labelsSchema.default({}),
  version,
  /** Measured round trips to supernodes, by address: milliseconds. */
  latencyMs: z.record(address, z.number().min(0).max(60_000)).default({}),
  /** The list that is at hand; 0: none. */
  knownVersion: z.int().min(0).default(0),
  waitSeconds: z.number().min(0).max(60).default(0),
});
export type RouteRequest = z.infer<typeof routeRequestSchema>;

export const routeAnswerSchema = z.object({
  /** Of the list: equal versions of one fleet give one host equal lists. */
  version: z.int().min(0),
  /** Best first: the members of the nearest cluster, then of the next. Never empty in a 200 answer. */
  supernodes: z
    .array(z.object({ hostId, address, cluster: name, isTls: z.boolean().optional() }))
    .max(64),
  /** When to ask again at the latest. */
  refreshSeconds: z.number().positive(),
});
export type RouteAnswer = z.infer<typeof routeAnswerSchema>;
