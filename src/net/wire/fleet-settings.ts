// Settings of a fleet that change while it runs: what may be set, in which layers it is kept, and
// which value counts for one machine. Versions and history are kept by `df config`.
//
//   fleet ◀ cluster ◀ label selectors, in their order      (the later one wins, key by key)
//
// What a machine was given itself (flags, environment, its file) wins over all of them.

import { z } from "zod";
import { PIECE_LENGTH_MAX, PIECE_LENGTH_MIN } from "../../engine/core/piece-layout.ts";
import { BACK_TO_SOURCE_PER_SEC, UPLOAD_SLOTS } from "../../limits.ts";
import { parseProxy } from "../egress/proxy-rules.ts";
import { isUrlPattern } from "../url-pattern.ts";

/** Below it a host cannot keep a piece's 10 s deadline; above it nothing is limited on today's links. */
const RATE_MIN = 16 << 10;
const RATE_MAX = 1e12;

const PATTERNS_MAX = 1024;

const rate = z.int().min(RATE_MIN).max(RATE_MAX).nullable();
const urlPattern = z
  .string()
  .max(1024)
  .refine(isUrlPattern, "no pattern of sources: write [http[s]://]HOST[:PORT][/PATH]");
const urlPatterns = z.array(urlPattern).max(PATTERNS_MAX);
const atMost = (rules: Record<string, unknown>): boolean =>
  Object.keys(rules).length <= PATTERNS_MAX;
/** What is set here every administrator reads: passwords are given to machines. */
const isOpenProxy = (text: string): boolean =>
  text === "" || parseProxy(text)?.authorization === null;
const NO_OPEN_PROXY = "no proxy without a password: write http://HOST:PORT, or leave it empty";
const diskMark = z.number().min(0.05).max(0.99);

/**
 * Every key is optional: what no layer sets is as flags and defaults say. Null: no limit. An unknown
 * key or a value out of bounds is refused: this is what administrators send.
 */
export const settingsSchema = z.strictObject({
  downloadRate: rate.describe("bytes per second of all downloads of a host").optional(),
  uploadRate: rate.describe("bytes per second that a machine uploads to peers").optional(),
  diskRate: rate.describe("bytes per second to and from the disk of contents").optional(),
  sourceRate: rate.describe("bytes per second that a supernode reads from all sources").optional(),
  uploadSlots: z.int().min(0).max(1024).describe("uploads of a host at once; 0: none").optional(),
  pieceLength: z
    .union([
      z.literal("auto"),
      z
        .int()
        .min(PIECE_LENGTH_MIN)
        .max(PIECE_LENGTH_MAX)
        .refine((bytes) => (bytes & (bytes - 1)) === 0, "a power of two"),
    ])
    .describe("bytes of a piece of new contents; auto: by their length")
    .optional(),
  digest: z
    .enum(["md5", "sha256"])
    .describe("digest of whole files beside MD5 that supernodes compute; md5: none")
    .optional(),
  filterQuery: z
    .record(urlPattern, z.array(z.string().min(1).max(256)).max(64))
    .refine(atMost, `at most ${PATTERNS_MAX} patterns`)
    .describe("query parameters that do not make the bytes differ, by sources")
    .optional(),
  deny: urlPatterns.describe("sources that are not brought").optional(),
  allow: urlPatterns
    .describe("sources that alone may be brought; none: all that are not denied")
    .optional(),
  originAllow: urlPatterns
    .describe("sources that are read for others whatever their addresses are, loopback too")
    .optional(),
  originPolicy: z
    .enum(["private-allowed", "public-only"])
    .describe("public-only: sources at private addresses are not read for others")
    .optional(),
  sourceProxy: z
    .record(urlPattern, z.string().max(1024).refine(isOpenProxy, NO_OPEN_PROXY))
    .refine(atMost, `at most ${PATTERNS_MAX} patterns`)
    .describe("proxies on the way to sources; empty: none. With a password: --source-proxy")
    .optional(),
  cacheRules: z
    .record(urlPattern, z.enum(["standard", "force"]))
    .refine(atMost, `at most ${PATTERNS_MAX} patterns`)
    .describe("force: contents are kept and shared whatever the source's headers say")
    .optional(),
  sourceReadersPerSec: z
    .number()
    .min(0.01)
    .max(10_000)
    .describe("peers of one swarm that begin to read the source per second without a supernode")
    .optional(),
  backToSource: z
    .boolean()
    .describe("whether peers may read a source when no supernode answers")
    .optional(),
  quota: z
    .int()
    .min(64 << 20)
    .max(1e15)
    .nullable()
    .describe("bytes of contents that a machine keeps; the least recently used go")
    .optional(),
  diskHighMark: diskMark.describe("share of the disk in use at which contents go").optional(),
  diskLowMark: diskMark.describe("share of the disk in use down to which they go").optional(),
  compression: z
    .enum(["auto", "off"])
    .describe("auto: pieces that shrink travel and rest compressed; of new contents")
    .optional(),
  encryption: z
    .enum(["private", "always", "off"])
    .describe("contents whose pieces travel and rest sealed; off: private ones need tickets alone")
    .optional(),
  logLevel: z.enum(["error", "warning", "info", "debug"]).describe("what is logged").optional(),
});
export type Settings = z.infer<typeof settingsSchema>;
export type SettingKey = keyof Settings;

/** What counts on a machine: every key has a value. */
export type SettingsInForce = { [Key in SettingKey]-?: Exclude<Settings[Key], undefined> };

/** What counts where neither the machine nor the fleet says anything. */
export const DEFAULT_SETTINGS: SettingsInForce = {
  downloadRate: null,
  uploadRate: null,
  diskRate: null,
  sourceRate: null,
  uploadSlots: UPLOAD_SLOTS,
  pieceLength: "auto",
  digest: "md5",
  filterQuery: {},
  deny: [],
  allow: [],
  originAllow: [],
  originPolicy: "private-allowed",
  sourceProxy: {},
  cacheRules: {},
  sourceReadersPerSec: BACK_TO_SOURCE_PER_SEC,
  backToSource: true,
  quota: null,
  diskHighMark: 0.95,
  diskLowMark: 0.9,
  compression: "auto",
  encryption: "private",
  logLevel: "info",
};

type Shape = typeof settingsSchema.shape;

/**
 * As machines hear settings: what another version of df sends and this one cannot read is not set.
 * A pattern that cannot be read matches nothing, but the rest of its list still counts.
 */
export const heardSettingsSchema = z.object({
  ...(Object.fromEntries(
    Object.entries(settingsSchema.shape).map(([key, schema]: [string, z.ZodType]) => [
      key,
      schema.catch(undefined),
    ]),
  ) as unknown as { [Key in keyof Shape]: z.ZodCatch<Shape[Key]> }),
  deny: z.array(z.string()).optional().catch(undefined),
  allow: z.array(z.string()).optional().catch(undefined),
});

/** The labels that a machine must have all of. */
export const selectorSchema = z.record(z.string().min(1).max(64), z.string().max(256));
export type Selector = z.infer<typeof selectorSchema>;

export const settingsLayersSchema = z.object({
  version: z.int().min(0),
  fleet: heardSettingsSchema,
  /** Of the asking supernode's cluster. */
  cluster: heardSettingsSchema,
  labels: z.array(z.object({ selector: selectorSchema, settings: heardSettingsSchema })),
});
export type SettingsLayers = z.infer<typeof settingsLayersSchema>;

/** Each machine has this label without being given it: it tells supernodes from hosts in selectors. */
export const ROLE_LABEL = "role";

export function isSelected(selector: Selector, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(selector).every(([key, value]) => labels[key] === value);
}

/** The values that layers give a machine with these labels. */
export function resolveSettings(
  layers: SettingsLayers,
  labels: Readonly<Record<string, string>>,
): Settings {
  const matching = layers.labels.filter(({ selector }) => isSelected(selector, labels));
  return mergeSettings(layers.fleet, layers.cluster, ...matching.map((layer) => layer.settings));
}

/** The later one wins, key by key; a key without a value is not set. */
export function mergeSettings<T extends Settings>(first: T, ...others: readonly Settings[]): T {
  const set = others.map((settings) =>
    Object.fromEntries(Object.entries(settings).filter(([, value]) => value !== undefined)),
  );
  return Object.assign({}, first, ...set) as T;
}
