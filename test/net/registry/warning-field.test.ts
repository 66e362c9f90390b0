// What an engine is told beside what it pulls.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { formatWarning } from "../../../src/net/registry/warning-field.ts";

test("a warning is quoted as the specification wants it", () => {
  expect(formatWarning('the "old" one')).toBe('299 - "the \\"old\\" one"');
});

test("whatever is told, the field is one line of at most 4,096 bytes whose quotes are closed", () => {
  fc.assert(
    fc.property(fc.string({ maxLength: 9_000, unit: "binary" }), (text) => {
      const field = formatWarning(text);

      expect(field).toMatch(/^299 - "(?:[^"\\]|\\["\\])*"$/);
      expect(field).toMatch(/^[\x20-\x7e]*$/);
      expect(Buffer.byteLength(field)).toBeLessThanOrEqual(4_096);
    }),
  );
});
