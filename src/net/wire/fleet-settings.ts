// Settings of a fleet that change while it runs: what may be set, in which layers it is kept, and
// which value counts for one machine. Versions and history are kept by `df config`.
//
//   fleet ◀ cluster ◀ label selectors, in their order      (the later one wins, key by key)

import { z } from "zod";

const bytesPerSec = z.int().min(0).max(Number.MAX_SAFE_INTEGER);

/** Every key is optional: what no layer sets is as flags and defaults say. Null: no limit. */
export const settingsSchema = z.strictObject({
  downloadRate: bytesPerSec.nullable().optional(),
  uploadRate: bytesPerSec.nullable().optional(),
  diskRate: bytesPerSec.nullable().optional(),
  /** Of a supernode, all sources together. */
  sourceRate: bytesPerSec.nullable().optional(),
});
export type Settings = z.infer<typeof settingsSchema>;

export const settingsLayersSchema = z.object({
  version: z.int().min(0),
  fleet: settingsSchema,
  /** Of the asking supernode's cluster. */
  cluster: settingsSchema,
  /** Each counts for machines that have all of its labels. */
  labels: z.array(
    z.object({ selector: z.record(z.string(), z.string()), settings: settingsSchema }),
  ),
});
export type SettingsLayers = z.infer<typeof settingsLayersSchema>;

/** The values that count for a machine with these labels. */
export function resolveSettings(layers: SettingsLayers, labels: Record<string, string>): Settings {
  const matching = layers.labels.filter(({ selector }) =>
    Object.entries(selector).every(([key, value]) => labels[key] === value),
  );
  return Object.assign({}, layers.fleet, layers.cluster, ...matching.map((l) => l.settings));
}
