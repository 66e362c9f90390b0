// Edits of JSON objects: one member more, every other byte as it was.

import { expect, test } from "bun:test";
import fc from "fast-check";
import { withFirstItem, withMember } from "../../../../src/roles/install/runtime/json-edit.ts";

test.each([
  ["", '{\n  "k": [\n    "v"\n  ]\n}\n'],
  ["{}", '{\n  "k": ["v"]\n}'],
  ["{ }\n", '{\n  "k": ["v"]\n}\n'],
  ['{"a":1}', '{"k": ["v"], "a":1}'],
  ['{\n\t"a": {"k": 1}\n}\n', '{\n\t"k": ["v"],\n\t"a": {"k": 1}\n}\n'],
])("a member is added to %j as its first, set off as the others are", (before, after) => {
  expect(withMember(before, "k", ["v"])).toBe(after);
});

test.each(["[]", "1", "{,}", '{"a":1} // why', '{"k":[]}'])("nothing is added to %j", (text) => {
  expect(withMember(text, "k", ["v"])).toBeNull();
});

test.each([
  ['{"k":[]}', '{"k":["v"]}'],
  ['{ "a": "k", "k" : [ "x" ] }', '{ "a": "k", "k" : ["v",  "x" ] }'],
  ['{"b":{"k":["no"]},"k":["x"]}', '{"b":{"k":["no"]},"k":["v", "x"]}'],
])("an item is put first into the array of %j", (before, after) => {
  expect(withFirstItem(before, "k", "v")).toBe(after);
});

test.each(['{"k":1}', '{"k":["a"],"k":["b"]}', '{"b":{"k":[]}}', "", "no"])(
  "no item is put into %j",
  (text) => {
    expect(withFirstItem(text, "k", "v")).toBeNull();
  },
);

test("whatever an object holds and however it is set, all of it is there afterwards", () => {
  const space = fc.constantFrom(undefined, 2, "\t");
  const object = fc.dictionary(fc.string(), fc.jsonValue());
  fc.assert(
    fc.property(object, space, fc.string(), (value, indent, item) => {
      const text = JSON.stringify({ ...value, list: [1] }, null, indent);
      // As JSON says it: it has no -0.
      const before = JSON.parse(text) as Record<string, unknown>;

      expect(JSON.parse(withFirstItem(text, "list", item)!)).toEqual({
        ...before,
        list: [item, 1],
      });
      if ("k" in value) return;
      expect(JSON.parse(withMember(text, "k", item)!)).toEqual({ ...before, k: item });
    }),
  );
});
