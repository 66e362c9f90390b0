// Faults of a schema in one line, as they stand in an error's message.

import { expect, test } from "bun:test";
import { z } from "zod";
import { wordsOfFaults } from "../../src/net/schema-fault.ts";

const schema = z.strictObject({
  urls: z.array(z.url("no http or https URL")),
  set: z.strictObject({ rate: z.int("no whole number") }).optional(),
});

// They came over two lines with marks and arrows: "✖ no http or https URL → at urls[0]".
test.each([
  [{ urls: ["nonsense"] }, "urls[0]: no http or https URL"],
  [{ urls: [], set: { rate: "x" } }, "set.rate: no whole number"],
  [{ urls: ["x"], set: { rate: 0.5 } }, "urls[0]: no http or https URL; set.rate: no whole number"],
  [{ urls: [], more: 1 }, 'Unrecognized key: "more"'],
])("what is wrong with %j is told after its place", (value, words) => {
  expect(wordsOfFaults(schema.safeParse(value).error!)).toBe(words);
});
