// Which sources a fleet brings, and which query parameters it looks through.

import { expect, test } from "bun:test";
import { DfError } from "../../../src/errors.ts";
import { DEFAULT_SETTINGS } from "../../../src/net/wire/fleet-settings.ts";
import type { TaskRequest } from "../../../src/net/wire/task.ts";
import { underSourceRules, type SourceRules } from "../../../src/roles/settings/source-rules.ts";

function task(url: string, overrides: Partial<TaskRequest> = {}): TaskRequest {
  return { url, headers: {}, tag: "", filterQuery: [], checksum: "", ...overrides };
}

function refusal(url: string, rules: Partial<SourceRules>): DfError {
  try {
    underSourceRules(task(url), { ...DEFAULT_SETTINGS, ...rules });
  } catch (error) {
    if (error instanceof DfError) return error;
  }
  throw new Error(`${url} was not refused`);
}

test("without rules every source is brought as it was asked for", () => {
  const asked = task("http://a.org/x?b=1");

  expect(underSourceRules(asked, DEFAULT_SETTINGS)).toBe(asked);
});

test("a denied source is refused with the rule, even where it is allowed too, and shows no query", () => {
  const error = refusal("http://a.org/x?word=secret", { deny: ["a.org/x"], allow: ["a.org"] });

  expect(error.code).toBe("denied");
  expect(error.message).toContain("deny names a.org/x");
  expect(error.message).not.toContain("secret");
});

test("where sources are allowed by name, others are refused", () => {
  const rules = { ...DEFAULT_SETTINGS, allow: ["*.b.org"] };

  expect(refusal("http://a.org/x", rules).message).toContain("allow does not name it");
  expect(underSourceRules(task("http://www.b.org/x"), rules).url).toBe("http://www.b.org/x");
});

test("parameters of every rule that names the source are looked through, besides the user's", () => {
  const rules = { filterQuery: { "*": ["utm"], "a.org": ["sid", "utm"], "b.org": ["t"] } };

  const ruled = underSourceRules(task("http://a.org/x", { filterQuery: ["own"] }), {
    ...DEFAULT_SETTINGS,
    ...rules,
  });

  expect(ruled.filterQuery.toSorted()).toEqual(["own", "sid", "utm"]);
});
