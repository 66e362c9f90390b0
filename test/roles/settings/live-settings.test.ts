// Which value counts on a machine that hears several speakers and was given some values itself.

import { expect, test } from "bun:test";
import { LiveSettings } from "../../../src/roles/settings/live-settings.ts";
import type { Settings } from "../../../src/net/wire/fleet-settings.ts";

test("what the machine was given wins over the fleet, the fleet over defaults", () => {
  const settings = new LiveSettings({ given: { uploadRate: null, diskRate: undefined } });

  settings.hear("a:1", 1, { uploadRate: 50_000, diskRate: 60_000 });

  expect(settings.current).toMatchObject({ uploadRate: null, diskRate: 60_000, uploadSlots: 3 });
});

test("a newer version counts whoever says it, and of one version the preferred speaker's", () => {
  const settings = new LiveSettings({ preferred: () => ["near:1", "far:1"] });
  const rateAfter = (speaker: string, version: number, downloadRate: number) => {
    settings.hear(speaker, version, { downloadRate });
    return settings.current.downloadRate;
  };

  expect(rateAfter("far:1", 4, 40_000)).toBe(40_000);
  expect(rateAfter("near:1", 4, 41_000)).toBe(41_000);
  expect(rateAfter("far:1", 4, 42_000)).toBe(41_000);
  expect(rateAfter("far:1", 5, 50_000)).toBe(50_000);
  expect(rateAfter("near:1", 5, 51_000)).toBe(51_000);
});

test("who is not among the preferred ones any more does not hold back an older version", () => {
  let preferred = ["a:1", "b:1"];
  const settings = new LiveSettings({ preferred: () => preferred });
  settings.hear("a:1", 9, { downloadRate: 90_000 });

  preferred = ["b:1"];
  settings.hear("b:1", 3, { downloadRate: 30_000 });

  expect(settings.current.downloadRate).toBe(30_000);
});

test("a speaker's later word replaces its earlier one, also when its version went back", () => {
  const settings = new LiveSettings();

  settings.hear("a:1", 9, { downloadRate: 90_000 });
  settings.hear("a:1", 2, {});

  expect(settings.current.downloadRate).toBeNull();
});

test("a listener hears at once, and then only of keys whose value that counts changed", () => {
  const settings = new LiveSettings({ given: { uploadRate: 70_000 } });
  const heard: string[][] = [];
  settings.follow((_, changed) => heard.push([...changed]));

  settings.hear("a:1", 1, { downloadRate: 50_000, uploadRate: 60_000 });
  settings.hear("a:1", 2, { downloadRate: 50_000, uploadRate: 80_000 });
  settings.hear("a:1", 3, { downloadRate: 50_000, deny: ["a.org"] });

  expect(heard[0]).toContain("logLevel");
  expect(heard.slice(1)).toEqual([["downloadRate"], ["deny"]]);
});

test("what was remembered counts until the fleet is heard, and what it says is remembered", () => {
  const kept: Settings[] = [];
  const settings = new LiveSettings({
    remembered: { downloadRate: 50_000 },
    remember: (fleet) => kept.push(fleet),
  });

  const before = settings.current.downloadRate;
  settings.hear("a:1", 1, { downloadRate: 50_000 });
  settings.hear("a:1", 2, {});

  expect(before).toBe(50_000);
  expect(settings.current.downloadRate).toBeNull();
  expect(kept).toEqual([{}]);
});
