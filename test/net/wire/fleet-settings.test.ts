// Which value of a setting counts for a machine, and what settings may be.

import { expect, test } from "bun:test";
import fc from "fast-check";
import {
  DEFAULT_SETTINGS,
  heardSettingsSchema,
  mergeSettings,
  resolveSettings,
  settingsSchema,
  type Settings,
  type SettingsLayers,
} from "../../../src/net/wire/fleet-settings.ts";

const settings: fc.Arbitrary<Settings> = fc.record(
  {
    downloadRate: fc.option(fc.integer({ min: 16_384, max: 1e9 })),
    uploadSlots: fc.nat(1024),
    backToSource: fc.boolean(),
    pieceLength: fc.constantFrom("auto" as const, 16_384, 1 << 20, 16 << 20),
    deny: fc.array(fc.constantFrom("a.org", "*.b.org")),
    logLevel: fc.constantFrom("error" as const, "debug" as const),
  },
  { requiredKeys: [] },
);
const labels = fc.dictionary(fc.constantFrom("idc", "rack", "role"), fc.constantFrom("a", "b"));
const layers: fc.Arbitrary<SettingsLayers> = fc.record({
  version: fc.nat(),
  fleet: settings,
  cluster: settings,
  labels: fc.array(fc.record({ selector: labels, settings }), { maxLength: 5 }),
});

test("each key has the value of the last layer that sets it and counts for the machine", () => {
  fc.assert(
    fc.property(layers, labels, (layers, labels) => {
      const resolved = resolveSettings(layers, labels);

      const counting = [
        layers.fleet,
        layers.cluster,
        ...layers.labels
          .filter(({ selector }) =>
            Object.entries(selector).every(([key, value]) => labels[key] === value),
          )
          .map(({ settings }) => settings),
      ];
      for (const key of Object.keys(DEFAULT_SETTINGS) as (keyof Settings)[]) {
        const last = counting.findLast((layer) => Object.hasOwn(layer, key));
        expect(resolved[key]).toEqual(last?.[key] as never);
        expect(Object.hasOwn(resolved, key)).toBe(last !== undefined);
      }
    }),
  );
});

test("layers without settings change nothing, and resolving changes no layer", () => {
  fc.assert(
    fc.property(layers, labels, (layers, labels) => {
      const before = structuredClone(layers);
      const more = { ...layers, labels: [...layers.labels, { selector: {}, settings: {} }] };

      expect(resolveSettings(more, labels)).toEqual(resolveSettings(layers, labels));
      expect(layers).toEqual(before);
    }),
  );
});

test("merging is associative, and a key without a value does not hide an earlier one", () => {
  fc.assert(
    fc.property(settings, settings, settings, (a, b, c) => {
      expect(mergeSettings(mergeSettings(a, b), c)).toEqual(mergeSettings(a, mergeSettings(b, c)));
    }),
  );
  expect(mergeSettings({ downloadRate: 20_000 }, { downloadRate: undefined })).toEqual({
    downloadRate: 20_000,
  });
});

test("what administrators may send travels to machines as it is", () => {
  fc.assert(
    fc.property(settings, (settings) => {
      const heard = heardSettingsSchema.parse(JSON.parse(JSON.stringify(settings)));

      expect(mergeSettings({}, heard)).toEqual(settingsSchema.parse(settings));
    }),
  );
});

test("the defaults are settings that may be set", () => {
  expect(settingsSchema.parse(DEFAULT_SETTINGS)).toEqual(DEFAULT_SETTINGS);
});

test.each([
  ["an unknown key", { downlaodRate: 1e6 }],
  ["a rate that would stop everything", { downloadRate: 0 }],
  ["a fraction of a byte", { uploadRate: 20_000.5 }],
  ["a piece length that is no power of two", { pieceLength: 100_000 }],
  ["a piece length beyond 16 MiB", { pieceLength: 32 << 20 }],
  ["more slots than a host can have", { uploadSlots: 1025 }],
  ["a pattern that is none", { deny: ["http://user@a/"] }],
  ["a cache rule without a meaning", { cacheRules: { "a.org": "never" } }],
  ["a mark beyond the disk", { diskHighMark: 1.2 }],
])("administrators cannot set %s", (_, wrong) => {
  expect(settingsSchema.safeParse(wrong).success).toBe(false);
});

test("a machine takes what it can read of settings that another version of df sent", () => {
  const heard = heardSettingsSchema.parse({
    downloadRate: 50_000,
    uploadRate: "fast",
    newKey: 1,
    deny: ["a.org", "pattern of a later version"],
  });

  expect(mergeSettings({}, heard)).toEqual({
    downloadRate: 50_000,
    deny: ["a.org", "pattern of a later version"],
  });
});
