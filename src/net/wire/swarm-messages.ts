// The control messages between a peer and a supernode: JSON text frames on one WebSocket,
// `GET /v1/swarm`. The hot ones (pull, assign, rows) are binary: see swarm-frames.ts.
//
//   peer                                   supernode
//    │ hello ────────────────────────────────▶ │   first message on every channel, both ways
//    │ ◀──────────────────────────────── hello │
//    │ hold (contents it can share) ─────────▶ │
//    │ join {request} ───────────────────────▶ │   may wait for the source's headers
//    │ ◀────────────── joined | moved | refused │
//    │ pull (binary) ────────────────────────▶ │
//    │ ◀──────────────── rows, assign (binary) │
//    │ ◀─ signed (binary), closed | failed     │
//    │ ◀──────────── ticket (private contents) │
//    │ leave | drop ─────────────────────────▶ │
//    │ ◀── neighbours, settings, command, routes, notice │   at any time
//    │ ◀────────── takePart (to supernodes only) │
//    │ commandResult ────────────────────────▶ │
//
// Unknown fields are ignored, so that N and N−1 interoperate.

import { z } from "zod";
import { commandResultSchema, commandSchema } from "./command.ts";
import { heardSettingsSchema } from "./fleet-settings.ts";
import { keyProofSchema } from "./key-proof.ts";
import { keptAnswerSchema } from "./kept-answer.ts";
import { taskSchema } from "./task.ts";

export const PROTOCOL_VERSION = 1;

const id = z.string().regex(/^[0-9a-f]{64}$/);
const handle = z.int().min(0).max(0xffffffff);
/** A JWT: nothing that could end a header field. See piece-ticket.ts. */
const ticket = z.string().regex(/^[A-Za-z0-9_.-]{1,2048}$/);
const count = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

const helloSchema = z.object({
  type: z.literal("hello"),
  protocol: z.object({ min: z.int().min(1), max: z.int().min(1) }),
  version: z.string().max(64),
  capabilities: z.array(z.string().max(64)).max(64),
  /** Ed25519 public key, base64; proves identity once channels are authenticated. */
  publicKey: z.string().max(128),
  /** Stable across restarts. */
  hostId: id,
  hostname: z.string().max(255),
  /** "host:port" of the piece server; null for a host that only downloads. */
  pieceAddress: z.string().max(262).nullable(),
  uploadSlots: z.int().min(0).max(1024),
  labels: z.record(z.string().max(64), z.string().max(256)).default({}),
  /** A supernode that takes part as one more seed says so. @defaultValue peer */
  role: z.enum(["peer", "supernode"]).optional(),
  /** Further addresses of the piece server, each for the hosts of one zone. */
  zonedAddresses: z
    .array(z.object({ address: z.string().max(262), zone: z.string().max(64) }))
    .max(16)
    .optional(),
  /** Of a supernode: how many peers have a channel to it, the greeted one among them. */
  peerCount: count.optional(),
  /** What `df config` gave this machine when it joined the fleet. */
  credential: z.string().max(4096).optional(),
  /** That this is the machine whose key the credential is bound to: see key-proof.ts. */
  proof: keyProofSchema.optional(),
});
export type Hello = z.infer<typeof helloSchema>;

/** What a machine of a fleet says in its hello to be believed: one goes with the other. */
export type ShownMembership = Required<Pick<Hello, "credential" | "proof">>;

const wireErrorSchema = z.object({
  code: z.string().max(64),
  message: z.string().max(4096),
  hint: z.string().max(4096).optional(),
  taskId: id.optional(),
  /** What the source itself answered, and for how long others need not ask it. */
  refusal: z.object({ status: count, holdsForSeconds: count }).optional(),
});

export const peerMessageSchema = z.discriminatedUnion("type", [
  helloSchema,
  z.object({
    type: z.literal("hold"),
    contents: z
      .array(
        z.object({
          contentId: id,
          have: z.string().max(200_000),
          /** Of which task it is a version: a supernode that lost it finds it again by that. */
          taskId: id.optional(),
        }),
      )
      .max(1024),
  }),
  z.object({
    type: z.literal("join"),
    /** Repeated in the answer. */
    request: handle,
    task: taskSchema,
    /** What the peer already has of a version it knows: base64 of PieceSet.toBytes. */
    known: z.object({ contentId: id, have: z.string().max(200_000) }).optional(),
    /** Whose pieces the peer takes. @defaultValue any */
    from: z.enum(["any", "supernode"]).optional(),
    /** Asks a member that does not own the task: the owner sent this peer, or does not answer it. */
    isDelegated: z.boolean().optional(),
    /** Wants what is here, whole or under way: no source is asked for it. */
    onlyHeld: z.boolean().optional(),
    /** Asks which content would be told, as a further user of the host: takes no part, has no handle. */
    isQuestion: z.boolean().optional(),
    /** Host IDs of the supernodes that pass this join on, first one first: none is asked twice. */
    hops: z.array(id).max(16).optional(),
  }),
  z.object({ type: z.literal("leave"), handle }),
  /** The content was evicted here. */
  z.object({ type: z.literal("drop"), contentId: id }),
  z.object({ type: z.literal("commandResult"), result: commandResultSchema }),
]);
export type PeerMessage = z.infer<typeof peerMessageSchema>;

const joinedSchema = z.object({
  type: z.literal("joined"),
  request: handle,
  /** Names the content on this channel, in binary frames. */
  handle,
  contentId: id,
  taskId: id,
  length: count.nullable(),
  pieceLength: z.int().min(1),
  validator: z.string().max(1024).nullable(),
  lastModified: z.string().max(64).nullable(),
  /** What the source said of the content's use; absent from supernodes that do not know. */
  answer: keptAnswerSchema.nullable().optional(),
  /** Why this version is given although its source did not confirm it. */
  stale: z.string().max(4096).optional(),
  md5: z
    .string()
    .regex(/^[0-9a-f]{32}$/)
    .nullable(),
  sha256: id.nullable(),
  swarmSize: count,
  /** The whole content, base64, when it is at most INLINE_BYTES_MAX. */
  inline: z.string().max(12_000).optional(),
  /** Only who was proven at the source may have it: pieces, rows and bitmap are given against a ticket. */
  isPrivate: z.boolean().optional(),
  /** Opens sealed pieces, 32 bytes in base64; sent over TLS or loopback alone, kept in memory alone. */
  key: z.base64().length(44).optional(),
  /** Of a private content: see piece-ticket.ts. A later one comes before it ends. */
  ticket: ticket.optional(),
  /** The fleet's signature over the complete content (signed-rows.ts), base64. */
  signature: z.base64().length(88).optional(),
});
export type Joined = z.infer<typeof joinedSchema>;

export const supernodeMessageSchema = z.discriminatedUnion("type", [
  helloSchema,
  joinedSchema,
  /** Another member owns this task. */
  z.object({
    type: z.literal("moved"),
    request: handle,
    address: z.string().max(262),
    /** Of the supernode there, and whether it speaks TLS: who knows no better believes this. */
    hostId: id.optional(),
    isTls: z.boolean().optional(),
    /** The owner hands this peer over: it joins there with `isDelegated`. */
    isDelegated: z.boolean().optional(),
  }),
  z.object({ type: z.literal("refused"), request: handle, error: wireErrorSchema }),
  /** The source was read to its end: length and digests are final. */
  z.object({
    type: z.literal("closed"),
    handle,
    length: count,
    md5: z.string().regex(/^[0-9a-f]{32}$/),
    sha256: id.nullable(),
    /** As in `joined`. */
    signature: z.base64().length(88).optional(),
  }),
  /** A fresh ticket for a private content that is being downloaded. */
  z.object({ type: z.literal("ticket"), handle, ticket }),
  /** The content cannot be finished, e.g. the source changed; code `source-changed` asks for a new join. */
  z.object({ type: z.literal("failed"), handle, error: wireErrorSchema }),
  /** Whom to turn to when this supernode falls silent: piece addresses, same rack and idc first. */
  z.object({
    type: z.literal("neighbours"),
    handle,
    addresses: z.array(z.string().max(262)).max(64),
    /** Hosts that take part in the content now: how far they share the ration of source reads. */
    swarmSize: count.optional(),
  }),
  /** To a member of the cluster: joins this task's swarm here and takes part as one more seed. */
  z.object({ type: z.literal("takePart"), task: taskSchema }),
  /** What counts for this host now; also right after hello where the fleet sets anything. */
  z.object({ type: z.literal("settings"), version: count, settings: heardSettingsSchema }),
  z.object({ type: z.literal("command"), command: commandSchema }),
  /** Something that whoever runs this host should know; said once. */
  z.object({ type: z.literal("notice"), text: z.string().max(1024) }),
  /** The fleet's lists of supernodes changed: ask for this host's again, spread over a few seconds. */
  z.object({ type: z.literal("routes"), version: count }),
]);
export type SupernodeMessage = z.infer<typeof supernodeMessageSchema>;
