// Settings as people write them on a command line.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { DfError } from "../../../src/errors.ts";
import { DEFAULT_SETTINGS } from "../../../src/net/wire/fleet-settings.ts";
import {
  formatSetting,
  parseSettingKey,
  parseSettings,
} from "../../../src/roles/settings/setting-values.ts";

test.each([
  ["downloadRate=20M", { downloadRate: 20 << 20 }],
  ["uploadRate=200Mbps", { uploadRate: 25e6 }],
  ["sourceRate=none", { sourceRate: null }],
  ["diskRate=0", { diskRate: null }],
  ["quota=200GB", { quota: 200e9 }],
  ["pieceLength=auto", { pieceLength: "auto" }],
  ["pieceLength=1M", { pieceLength: 1 << 20 }],
  ["uploadSlots=0", { uploadSlots: 0 }],
  ["sourceReadersPerSec=2.5", { sourceReadersPerSec: 2.5 }],
  ["backToSource=off", { backToSource: false }],
  ["logLevel=debug", { logLevel: "debug" }],
  ["deny=a.org, *.b.org", { deny: ["a.org", "*.b.org"] }],
  ["allow=none", { allow: [] }],
  [
    "originAllow=127.0.0.1:9000,*.corp.example:8080",
    { originAllow: ["127.0.0.1:9000", "*.corp.example:8080"] },
  ],
  ["originPolicy=public-only", { originPolicy: "public-only" }],
  [
    'sourceProxy={"*":"http://p:3128","a.org":""}',
    { sourceProxy: { "*": "http://p:3128", "a.org": "" } },
  ],
  ['cacheRules={"a.org":"force"}', { cacheRules: { "a.org": "force" } }],
  ['filterQuery={"*":["utm"]}', { filterQuery: { "*": ["utm"] } }],
] as const)("%s is read", (text, settings) => {
  expect(parseSettings([text])).toEqual(settings as never);
});

test("everything wrong is told at once, with what would be right", () => {
  const attempt = () =>
    parseSettings(["dwnloadRate=1M", "uploadSlots=many", "quota", "pieceLength=100000", "deny={"]);

  expect(attempt).toThrow(DfError);
  for (const part of ["dwnloadRate", "uploadSlots=many", "set quota: no value", "a power of two"])
    expect(attempt).toThrow(part);
  expect(attempt).toThrow("broken JSON");
});

test("a proxy's password is no setting: every administrator reads those", () => {
  const attempt = () => parseSettings(['sourceProxy={"*":"http://me:s3cret@proxy:3128"}']);

  expect(attempt).toThrow("no proxy without a password");
});

test.each([
  ["sourceProxy=a.org=http://p:3128", `write sourceProxy='{`],
  ["originPolicy=public", "public-only: sources at private addresses"],
])("%s is refused with a hint that says how it is written", (text, part) => {
  let hint: string | undefined;
  try {
    parseSettings([text]);
  } catch (error) {
    hint = (error as DfError).hint;
  }

  expect(hint).toContain(part);
});

test("a mistyped key is answered with the nearest one", () => {
  let hint: string | undefined;
  try {
    parseSettingKey("uploadRates");
  } catch (error) {
    if (error instanceof DfError) ({ hint } = error);
  }

  expect(hint).toBe("did you mean uploadRate?");
});

test("what is shown can be set again", () => {
  const entries = Object.entries({
    ...DEFAULT_SETTINGS,
    ...{
      downloadRate: 50_000,
      quota: 1e9,
      deny: ["a.org", "b.org/x"],
      filterQuery: { "*": ["a"] },
    },
  });
  fc.assert(
    fc.property(fc.subarray(entries), (chosen) => {
      const texts = chosen.map(([key, value]) => `${key}=${formatSetting(value)}`);

      expect(parseSettings(texts)).toEqual(Object.fromEntries(chosen));
    }),
  );
});
