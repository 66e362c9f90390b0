// One version of the fleet's settings with all its layers, as a value: what a change makes of it, how
// two versions differ, and what of it counts for whom. No I/O.

import { isDeepStrictEqual } from "node:util";
import {
  DEFAULT_SETTINGS,
  isSelected,
  mergeSettings,
  type Selector,
  type SettingKey,
  type Settings,
  type SettingsLayers,
} from "../../../net/wire/fleet-settings.ts";
import {
  formatSelector,
  LABEL_LAYERS_MAX,
  type SettingDifference,
  type SettingsDocument,
} from "../../../net/wire/settings-api.ts";
import { DfError } from "../../../errors.ts";

/** Names a layer. */
export type LayerName =
  | { kind: "fleet" }
  | { kind: "cluster"; cluster: string }
  | { kind: "labels"; selector: Selector };

export const NO_SETTINGS: SettingsDocument = { version: 0, fleet: {}, clusters: {}, labels: [] };

export function formatLayer(layer: LayerName): string {
  switch (layer.kind) {
    case "fleet":
      return "fleet";
    case "cluster":
      return `clusters/${layer.cluster}`;
    case "labels":
      return `labels/${formatSelector(layer.selector)}`;
  }
}

/** A layer that was never set is empty. */
export function layerOf(document: SettingsDocument, layer: LayerName): Settings {
  return layersByName(document).get(formatLayer(layer)) ?? {};
}

/**
 * The document with one layer replaced; an empty one is left out. The version stays.
 * @throws {DfError} usage, naming all that contradicts itself
 */
export function withLayer(
  document: SettingsDocument,
  layer: LayerName,
  settings: Settings,
): SettingsDocument {
  const next = replaced(document, layer, settings);
  if (next.labels.length > LABEL_LAYERS_MAX) {
    throw new DfError("usage", `set ${formatLayer(layer)}: ${LABEL_LAYERS_MAX} selectors are set`, {
      hint: "empty one of them first",
    });
  }
  const faults = contradictionsOf(next);
  if (faults.length > 0)
    throw new DfError("usage", `set ${formatLayer(layer)}: ${faults.join("; ")}`);
  return next;
}

/** Every key of every layer that is not the same, by layer and key. */
export function differencesOf(from: SettingsDocument, to: SettingsDocument): SettingDifference[] {
  const [before, after] = [layersByName(from), layersByName(to)];
  return [...new Set([...before.keys(), ...after.keys()])].toSorted().flatMap((layer) => {
    const [old, now] = [before.get(layer) ?? {}, after.get(layer) ?? {}];
    const keys = Object.keys(DEFAULT_SETTINGS) as SettingKey[];
    return keys
      .filter((key) => !isDeepStrictEqual(old[key], now[key]))
      .map((key) => ({
        ...{ layer, key },
        ...(old[key] === undefined ? {} : { before: old[key] }),
        ...(now[key] === undefined ? {} : { after: now[key] }),
      }));
  });
}

/** What supernodes of a cluster are told. */
export function layersFor(document: SettingsDocument, cluster: string): SettingsLayers {
  const { version, fleet, clusters, labels } = document;
  const own = Object.hasOwn(clusters, cluster) ? clusters[cluster]! : {};
  return { version, fleet, cluster: own, labels };
}

/** For each key that counts for a machine, the name of the layer that says so. */
export function decidingLayers(
  document: SettingsDocument,
  { cluster, labels }: { cluster: string; labels: Readonly<Record<string, string>> },
): Partial<Record<SettingKey, string>> {
  const deciding: Partial<Record<SettingKey, string>> = {};
  const names: LayerName[] = [
    { kind: "fleet" },
    { kind: "cluster", cluster },
    ...document.labels
      .filter(({ selector }) => isSelected(selector, labels))
      .map(({ selector }) => ({ kind: "labels", selector }) as const),
  ];
  for (const name of names) {
    for (const key of Object.keys(layerOf(document, name)) as SettingKey[])
      deciding[key] = formatLayer(name);
  }
  return deciding;
}

function layersByName({ fleet, clusters, labels }: SettingsDocument): Map<string, Settings> {
  return new Map([
    ["fleet", fleet],
    ...Object.entries(clusters).map(
      ([cluster, settings]) => [formatLayer({ kind: "cluster", cluster }), settings] as const,
    ),
    ...labels.map(
      ({ selector, settings }) => [formatLayer({ kind: "labels", selector }), settings] as const,
    ),
  ]);
}

function replaced(
  document: SettingsDocument,
  layer: LayerName,
  settings: Settings,
): SettingsDocument {
  const isEmpty = Object.keys(settings).length === 0;
  switch (layer.kind) {
    case "fleet":
      return { ...document, fleet: settings };
    case "cluster": {
      const others = Object.entries(document.clusters).filter(([name]) => name !== layer.cluster);
      const own: [string, Settings][] = isEmpty ? [] : [[layer.cluster, settings]];
      return { ...document, clusters: Object.fromEntries([...others, ...own].toSorted(byName)) };
    }
    case "labels": {
      const name = formatSelector(layer.selector);
      const others = document.labels.filter(({ selector }) => formatSelector(selector) !== name);
      const own = isEmpty ? [] : [{ selector: layer.selector, settings }];
      return { ...document, labels: [...others, ...own].toSorted(byWeight) };
    }
  }
}

function byName([a]: [string, unknown], [b]: [string, unknown]): number {
  return a < b ? -1 : 1;
}

/** The more labels a selector names, the more it says; of equal ones the text decides. */
function byWeight(a: { selector: Selector }, b: { selector: Selector }): number {
  const more = Object.keys(a.selector).length - Object.keys(b.selector).length;
  return more || (formatSelector(a.selector) < formatSelector(b.selector) ? -1 : 1);
}

/** Where a machine would get marks that make no sense together, by the layers that give them. */
function contradictionsOf({ fleet, clusters, labels }: SettingsDocument): string[] {
  const above: [string, Settings][] = [
    ["fleet", fleet],
    ...Object.entries(clusters).map(([cluster, settings]): [string, Settings] => [
      `clusters/${cluster}`,
      mergeSettings(fleet, settings),
    ]),
  ];
  const all = above.flatMap(([name, settings]): [string, Settings][] => [
    [name, settings],
    ...labels.map((layer): [string, Settings] => [
      `labels/${formatSelector(layer.selector)} over ${name}`,
      mergeSettings(settings, layer.settings),
    ]),
  ]);
  return all.flatMap(([name, settings]) => {
    const { diskHighMark, diskLowMark } = mergeSettings(DEFAULT_SETTINGS, settings);
    if (diskLowMark < diskHighMark) return [];
    return [`${name}: diskLowMark ${diskLowMark} is not below diskHighMark ${diskHighMark}`];
  });
}
