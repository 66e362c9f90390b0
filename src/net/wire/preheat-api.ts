// What administrators say to `df config` about preheats, and what they are answered: bring contents
// to supernodes or hosts before anyone asks.
//
//   POST   /api/v1/preheats                 NewPreheat → the job, also of a request sent before
//   POST   /api/v1/preheats/images          NewImagePreheat → the job: an image's manifests and blobs
//   GET    /api/v1/preheats                 newest first
//   GET    /api/v1/preheats/{id}
//   GET    /api/v1/preheats/{id}/targets    each URL on each machine, by page
//   DELETE /api/v1/preheats/{id}            ends it everywhere; what it brought may be evicted again
//
// One request makes one job: by the header Idempotency-Key for ever, else by its content for as long
// as the job is not over.
//
//   job:     planning ─▶ running ─▶ done | failed ─▶ running (a job kept fresh) …
//   target:  pending ─▶ sent ─▶ running ─▶ done | failed ─▶ pending (again)
//   any that is not over ─▶ cancelling ─▶ cancelled

import { z } from "zod";
import { parsePlatforms } from "../registry/image-platform.ts";
import { clusterNameSchema } from "./admin-api.ts";
import type { Selector } from "./fleet-settings.ts";
import { plainText } from "./plain-text.ts";
import { parseSelector } from "./settings-api.ts";

const hostId = z.string().regex(/^[0-9a-f]{64}$/);
const instant = z.int().min(0).meta({ description: "Unix milliseconds" });
const byteCount = z.int().min(0);

const DAY_SECONDS = 86_400;

/** How long a preheated content is wanted and kept from eviction, unless it is said. */
export const PREHEAT_KEEP_SECONDS = DAY_SECONDS;

export const PREHEAT_URLS_MAX = 10_000;

/** An answer to a heartbeat has 1,000 commands, each with all headers and its URL: 24 MB of its 32 MiB. */
const HEADER_CHARS_MAX = 16 << 10;

/** URLs times machines of one job: each is a row that heartbeats change. */
export const PREHEAT_TARGETS_MAX = 200_000;

export type PreheatScope =
  | { kind: "supernodes" }
  /** That share of the hosts that have all of these labels. */
  | { kind: "peers"; percent: number; selector: Selector };

/** Reads "supernodes", "peers", "25%" or a selector as "idc=eu,rack=r1"; null for what is none. */
export function parsePreheatScope(text: string): PreheatScope | null {
  if (text === "supernodes") return { kind: "supernodes" };
  if (text === "peers") return { kind: "peers", percent: 100, selector: {} };
  const percent = /^(\d{1,3}(?:\.\d{1,3})?)%$/.exec(text)?.[1];
  if (percent !== undefined) {
    const isShare = Number(percent) > 0 && Number(percent) <= 100;
    return isShare ? { kind: "peers", percent: Number(percent), selector: {} } : null;
  }
  const selector = parseSelector(text);
  return selector === null ? null : { kind: "peers", percent: 100, selector };
}

/** Where it shall be, and for how long. */
const wishFields = {
  /** "supernodes", "peers", "25%" of the peers, or labels of peers: "idc=eu,rack=r1". */
  scope: z
    .string()
    .max(4096)
    .refine(
      (text) => parsePreheatScope(text) !== null,
      "write supernodes, peers, a share as 25%, or labels as idc=eu,rack=r1",
    )
    .default("supernodes"),
  /** None: all. */
  clusters: z.array(clusterNameSchema).max(64).default([]),
  keepSeconds: z
    .int()
    .min(60)
    .max(366 * DAY_SECONDS)
    .default(PREHEAT_KEEP_SECONDS)
    .describe("how long it is wanted and kept from eviction; a job kept fresh begins anew"),
};

export const newPreheatSchema = z
  .strictObject({
    urls: z
      .array(
        z
          .string()
          .max(8192)
          .refine((url) => /^https?:/i.test(url) && URL.canParse(url), "no http or https URL"),
      )
      .min(1)
      .max(PREHEAT_URLS_MAX),
    /** Sent to the sources. One that is not neutral must be named in `publicHeaders`. */
    headers: z
      .record(z.string().max(256), z.string().max(8192))
      .refine(
        (headers) => Object.entries(headers).flat().join("").length <= HEADER_CHARS_MAX,
        `all headers together have more than ${HEADER_CHARS_MAX} characters`,
      )
      .default({}),
    /** Names of headers whose values are no secret and make the bytes differ. */
    publicHeaders: z.array(z.string().max(256)).max(64).default([]),
    tag: z.string().max(256).default(""),
    filterQuery: z.array(z.string().max(256)).max(64).default([]),
    /** Pieces travel and rest sealed; to be had by those who ask for them sealed. */
    isSealed: z.boolean().optional(),
    ...wishFields,
    refreshSeconds: z
      .int()
      .min(60)
      .max(30 * DAY_SECONDS)
      .nullable()
      .default(null)
      .describe("how often it is done again with the same machines; null: once"),
  })
  .refine(({ refreshSeconds, keepSeconds }) => (refreshSeconds ?? 0) <= keepSeconds, {
    error: "keepSeconds is shorter than refreshSeconds: nothing would be kept in between",
    path: ["keepSeconds"],
  });
export type NewPreheat = z.input<typeof newPreheatSchema>;
/** With everything that was left out. */
export type PreheatRequest = z.infer<typeof newPreheatSchema>;

/** Once: what a tag means changes when somebody pushes, and then the registry's notification orders it anew. */
export const newImagePreheatSchema = z.strictObject({
  image: z
    .string()
    .min(1)
    .max(1024)
    .describe("as engines name it, ghcr.io/team/app:1.2, or the URL of its manifest"),
  platforms: z
    .string()
    .max(1024)
    .refine((text) => parsePlatforms(text) !== null, "write linux/amd64,linux/arm/v7 or all")
    .optional()
    .describe("of an image for several platforms; none: linux on the machine of df config's kind"),
  authorization: z
    .string()
    .max(8192)
    .regex(/^(?:Basic|Bearer) [\x21-\x7e]+$/i, "write Basic or Bearer and what follows")
    .optional()
    .describe("as its registry is asked, where it is not for everybody; forgotten with the job"),
  ...wishFields,
});
export type NewImagePreheat = z.input<typeof newImagePreheatSchema>;
/** With everything that was left out. */
export type ImagePreheatRequest = z.infer<typeof newImagePreheatSchema>;

/** What an image's preheat brings. */
export const preheatedImageSchema = z.object({
  /** With its registry, as engines name it. */
  name: z.string(),
  /** Of the manifest or index that the name meant. */
  digest: z.string(),
  /** "linux/amd64,…" or "all". */
  platforms: z.string(),
  /** Whether its registry gives it only to whom it knows; so does the swarm then. */
  isPrivate: z.boolean(),
});

export const preheatStateSchema = z.enum(["planning", "running", "done", "failed", "cancelled"]);
export type PreheatState = z.infer<typeof preheatStateSchema>;

export const preheatTargetStateSchema = z.enum([
  ...(["pending", "sent", "running", "done", "failed"] as const),
  ...(["cancelling", "cancelled"] as const),
]);
export type PreheatTargetState = z.infer<typeof preheatTargetStateSchema>;

const preheatErrorSchema = z.object({ code: z.string(), message: z.string() });

export const preheatSchema = z.object({
  id: z.string(),
  state: preheatStateSchema,
  urls: z.array(z.string()),
  /** Null: it is of URLs. Absent from older services. */
  image: preheatedImageSchema.nullable().default(null),
  /** Their values are never shown. */
  headerNames: z.array(z.string()),
  scope: z.string(),
  clusters: z.array(z.string()),
  /** ID of the admin token. */
  author: z.string(),
  createdAt: instant,
  updatedAt: instant,
  /** Of the present round: machines that come back later are not asked any more. */
  expiresAt: instant,
  keepSeconds: z.int(),
  refreshSeconds: z.int().nullable(),
  /** From 1 on. */
  round: z.int(),
  /** Null: never again. */
  nextRunAt: instant.nullable(),
  /** How many targets are in each state. */
  counts: z.record(preheatTargetStateSchema, z.int()),
  doneBytes: byteCount,
  /** Why no machine was chosen; what failed on machines is told with their targets. */
  error: preheatErrorSchema.nullable(),
});
export type Preheat = z.infer<typeof preheatSchema>;

export const preheatsQuerySchema = z.strictObject({
  state: preheatStateSchema.optional(),
  /** `next` of the page before. */
  after: plainText(64).optional(),
  limit: z.coerce.number().int().min(1).max(100).default(20),
});

export const preheatsPageSchema = z.object({
  preheats: z.array(preheatSchema),
  /** Null: this was the last page. */
  next: z.string().nullable(),
});

export const preheatTargetSchema = z.object({
  url: z.string(),
  hostId,
  role: z.enum(["supernode", "peer"]),
  state: preheatTargetStateSchema,
  /** The supernode that passes the command on; null: none that the host has a channel to. */
  supernodeId: hostId.nullable(),
  attempts: z.int(),
  doneBytes: byteCount,
  length: byteCount.nullable(),
  error: preheatErrorSchema.nullable(),
  updatedAt: instant,
});
export type PreheatTarget = z.infer<typeof preheatTargetSchema>;

export const preheatTargetsQuerySchema = z.strictObject({
  state: preheatTargetStateSchema.optional(),
  after: z.string().max(128).optional(),
  limit: z.coerce.number().int().min(1).max(1_000).default(100),
});

export const preheatTargetsPageSchema = z.object({
  targets: z.array(preheatTargetSchema),
  next: z.string().nullable(),
});
