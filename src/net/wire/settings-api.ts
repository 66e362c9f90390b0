// What administrators say to `df config` about the fleet's settings, and what they are answered.
//
//   GET            /api/v1/settings                      every layer, and the version
//   GET PUT PATCH  /api/v1/settings/fleet
//   GET PUT PATCH  /api/v1/settings/clusters/{cluster}
//   GET PUT PATCH  /api/v1/settings/labels/{selector}    selector: "idc=eu,rack=r1"
//   GET            /api/v1/settings/resolved?cluster=&label=   what counts for one machine
//   GET            /api/v1/settings/history              what changed, newest first
//   GET            /api/v1/settings/versions/{version}   every layer as it was
//   GET            /api/v1/settings/diff?from=&to=
//   POST           /api/v1/settings/rollback             every layer as it was becomes a new version
//
// One version counts all changes of the fleet's settings: it is the ETag of every layer. PUT replaces
// a layer and needs If-Match; elsewhere If-Match is optional. The machines' end is fleet-settings.ts.

import { z } from "zod";
import { clusterNameSchema } from "./admin-api.ts";
import {
  type Selector,
  selectorSchema,
  settingsSchema,
  type SettingKey,
} from "./fleet-settings.ts";
import { plainText } from "./plain-text.ts";

const version = z.int().min(0);
const settingKey = z.enum(Object.keys(settingsSchema.shape) as [SettingKey, ...SettingKey[]]);
const changeComment = plainText(256).default("");

/** Layers of labels that a fleet may have: each is looked at for every machine. */
export const LABEL_LAYERS_MAX = 256;

/** Every layer of the fleet, as one version of it. */
export const settingsDocumentSchema = z.object({
  version,
  fleet: settingsSchema,
  clusters: z.record(clusterNameSchema, settingsSchema),
  /** In the order in which they count: those with more labels later, then by their text. */
  labels: z.array(z.object({ selector: selectorSchema, settings: settingsSchema })),
});
export type SettingsDocument = z.infer<typeof settingsDocumentSchema>;

export const settingsLayerSchema = z.object({
  version,
  /** "fleet", "clusters/NAME" or "labels/SELECTOR". */
  layer: z.string(),
  settings: settingsSchema,
});

/** Null is a value ("no limit"), so a key is taken out by name. */
export const settingsChangeSchema = z
  .strictObject({
    set: settingsSchema.default({}),
    unset: z.array(settingKey).default([]),
    comment: changeComment,
  })
  .refine(({ set, unset }) => unset.every((key) => !Object.hasOwn(set, key)), {
    error: "a key is in set and in unset",
  });

/** One key of one layer; absent before: it was not set, absent after: it is not set any more. */
export const settingDifferenceSchema = z.object({
  layer: z.string(),
  key: settingKey,
  before: z.unknown().optional(),
  after: z.unknown().optional(),
});
export type SettingDifference = z.infer<typeof settingDifferenceSchema>;

export const settingsHistorySchema = z.object({
  versions: z.array(
    z.object({
      version,
      /** ID of the admin token. */
      author: z.string(),
      comment: z.string(),
      createdAt: z.int().meta({ description: "Unix milliseconds" }),
      changes: z.array(settingDifferenceSchema),
    }),
  ),
  /** `before` of the next page; null: this was the last one. */
  next: version.nullable(),
});
export type SettingsHistory = z.infer<typeof settingsHistorySchema>;

export const settingsHistoryQuerySchema = z.strictObject({
  /** Versions below this one. */
  before: z.coerce.number().int().min(1).optional(),
  limit: z.coerce.number().int().min(1).max(100).default(20),
});

export const settingsDiffQuerySchema = z.strictObject({
  from: z.coerce.number().int().min(0),
  /** @defaultValue the present version */
  to: z.coerce.number().int().min(0).optional(),
});

export const settingsDiffSchema = z.object({
  from: version,
  to: version,
  changes: z.array(settingDifferenceSchema),
});

export const rollbackSchema = z.strictObject({ version, comment: changeComment });

export const resolvedQuerySchema = z.strictObject({
  role: z.enum(["peer", "supernode"]).default("peer"),
  cluster: clusterNameSchema.optional(),
  /** "key=value"; may be given several times. */
  label: z
    .union([z.string(), z.array(z.string())])
    .transform((labels) => [labels].flat())
    .pipe(z.array(z.string().regex(/^[^=]{1,64}=.{0,256}$/s)).max(64))
    .default([]),
});

/** What counts for a machine, and which layer says so; keys that no layer sets are left out. */
export const resolvedSettingsSchema = z.object({
  version,
  settings: settingsSchema,
  layers: z.partialRecord(settingKey, z.string()),
});

/**
 * Reads "idc=eu,rack=r1".
 * @returns null for what is none; labels whose values hold commas cannot be selected
 */
export function parseSelector(text: string): Selector | null {
  const pairs = text.split(",").map((pair) => /^([^=]{1,64})=(.{0,256})$/s.exec(pair.trim()));
  const entries = pairs.flatMap((pair) => (pair === null ? [] : [[pair[1]!, pair[2]!] as const]));
  const selector = Object.fromEntries(entries);
  const isWhole = entries.length === pairs.length && Object.keys(selector).length === pairs.length;
  return isWhole && pairs.length <= 16 ? selector : null;
}

/** The one text of a selector: labels by name. */
export function formatSelector(selector: Selector): string {
  return Object.entries(selector)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${value}`)
    .join(",");
}
