// The layers of the fleet's settings as a value: what a change makes of them and how versions differ.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { resolveSettings, type Settings } from "../../../src/net/wire/fleet-settings.ts";
import {
  formatSelector,
  parseSelector,
  type SettingsDocument,
} from "../../../src/net/wire/settings-api.ts";
import {
  decidingLayers,
  differencesOf,
  formatLayer,
  type LayerName,
  layerOf,
  layersFor,
  NO_SETTINGS,
  withLayer,
} from "../../../src/roles/config/settings/settings-document.ts";

const selectors = fc.dictionary(fc.constantFrom("idc", "rack", "role"), fc.constantFrom("a", "b"), {
  minKeys: 1,
});
const layers: fc.Arbitrary<LayerName> = fc.oneof(
  fc.constant({ kind: "fleet" } as const),
  fc.record({ kind: fc.constant("cluster" as const), cluster: fc.constantFrom("default", "eu") }),
  fc.record({ kind: fc.constant("labels" as const), selector: selectors }),
);
const settings: fc.Arbitrary<Settings> = fc.record(
  {
    downloadRate: fc.option(fc.integer({ min: 16_384, max: 99_999 })),
    uploadSlots: fc.nat(9),
    backToSource: fc.boolean(),
  },
  { requiredKeys: [] },
);
const changes = fc.array(fc.tuple(layers, settings), { maxLength: 12 });

function changed(start: SettingsDocument, changes: readonly [LayerName, Settings][]) {
  return changes.reduce((document, [layer, value]) => withLayer(document, layer, value), start);
}

test("a layer is what it was set to last, and setting it leaves the others alone", () => {
  fc.assert(
    fc.property(changes, layers, settings, (changes, layer, value) => {
      const before = changed(NO_SETTINGS, changes);

      const after = withLayer(before, layer, value);

      expect(layerOf(after, layer)).toEqual(value);
      const others = differencesOf(before, after).filter(
        (difference) => difference.layer !== formatLayer(layer),
      );
      expect(others).toEqual([]);
    }),
  );
});

test("in whatever order layers were set, the same ones make the same document", () => {
  fc.assert(
    fc.property(changes, (changes) => {
      const last = new Map(changes.map((change) => [formatLayer(change[0]), change]));
      const once = [...last.values()];

      const document = changed(NO_SETTINGS, changes);

      expect(changed(NO_SETTINGS, once)).toEqual(document);
      expect(changed(NO_SETTINGS, once.toReversed())).toEqual(document);
    }),
  );
});

test("differences lead from one version to the other and are none between equal ones", () => {
  fc.assert(
    fc.property(changes, changes, (first, second) => {
      const [from, to] = [changed(NO_SETTINGS, first), changed(NO_SETTINGS, second)];

      const there = differencesOf(from, to);
      const back = differencesOf(to, from);

      expect(differencesOf(from, from)).toEqual([]);
      expect(
        back.map(({ before, after, ...rest }) => ({ ...rest, before: after, after: before })),
      ).toEqual(there.map(({ before, after, ...rest }) => ({ ...rest, before, after })));
    }),
  );
});

test("the layer that is named for a key is the one whose value counts", () => {
  fc.assert(
    fc.property(changes, selectors, (changes, labels) => {
      const document = changed(NO_SETTINGS, changes);
      const resolved = resolveSettings(layersFor(document, "eu"), labels);
      const deciding = decidingLayers(document, { cluster: "eu", labels });

      expect(Object.keys(deciding).toSorted()).toEqual(Object.keys(resolved).toSorted());
    }),
  );
});

test("a selector of more labels counts after one of fewer", () => {
  const document = changed(NO_SETTINGS, [
    [{ kind: "labels", selector: { idc: "a", rack: "b" } }, { uploadSlots: 1 }],
    [{ kind: "labels", selector: { role: "peer" } }, { uploadSlots: 2 }],
    [{ kind: "cluster", cluster: "eu" }, { uploadSlots: 3 }],
  ]);

  const slots = (labels: Record<string, string>) =>
    resolveSettings(layersFor(document, "eu"), labels).uploadSlots;
  expect(slots({ role: "peer", idc: "a", rack: "b" })).toBe(1);
  expect(slots({ role: "peer", idc: "a" })).toBe(2);
  expect(slots({ idc: "a" })).toBe(3);
});

test("marks that contradict each other are refused, also where they come from two layers", () => {
  const fleet = withLayer(NO_SETTINGS, { kind: "fleet" }, { diskLowMark: 0.6 });

  const attempt = () => withLayer(fleet, { kind: "cluster", cluster: "eu" }, { diskHighMark: 0.5 });

  expect(attempt).toThrow("clusters/eu: diskLowMark 0.6 is not below diskHighMark 0.5");
});

test("selectors are read as they are written", () => {
  fc.assert(
    fc.property(selectors, (selector) => {
      expect(parseSelector(formatSelector(selector))).toEqual(selector);
    }),
  );
});

test.each(["", "idc", "=eu", "idc=eu,", "idc=eu,idc=us"])("%p is no selector", (text) => {
  expect(parseSelector(text)).toBeNull();
});
