// When a condition names the version that a client has.

import { expect, test } from "bun:test";
import { namesTag } from "../../src/net/entity-tag.ts";

test.each([
  ['"a"', true],
  ['W/"a"', true],
  ['"b", "a"', true],
  ['"b" ,W/"a"', true],
  ["*", true],
  ['"b"', false],
  ['"ab"', false],
  ["a", false],
  ["", false],
  [undefined, false],
])("%p names the tag: %p", (field, isNamed) => {
  expect(namesTag(field, '"a"')).toBe(isNamed);
});
