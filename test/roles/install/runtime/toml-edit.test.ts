// Edits of TOML documents: lines more, every other byte as it was, and nothing at all where that would
// mean something else.

import { expect, test } from "bun:test";
import { withText } from "../../../../src/roles/install/runtime/toml-edit.ts";

const edit = { table: ["a", "b.c"], key: "path", value: "/x" };

test.each([
  ["no table yet", "v = 2\n", 'v = 2\n\n[a."b.c"]\n  path = "/x"\n'],
  ["nothing yet", "", '[a."b.c"]\n  path = "/x"\n'],
  ["no end of the last line", "v = 2", 'v = 2\n\n[a."b.c"]\n  path = "/x"\n'],
  [
    "the table with comments",
    '# one\n  [a."b.c"] # two\n    other = 1\n[z]\n',
    '# one\n  [a."b.c"] # two\n    path = "/x"\n    other = 1\n[z]\n',
  ],
  ["another value", `[a.'b.c']\n path = "" # why\n`, `[a.'b.c']\n path = "/x" # why\n`],
  [
    "a table within it alone",
    '[a."b.c".d]\n  path = "/y"\n',
    '[a."b.c".d]\n  path = "/y"\n\n[a."b.c"]\n  path = "/x"\n',
  ],
])("a text is set in a document that has %s", (_what, before, after) => {
  expect(withText(before, edit)).toBe(after);
});

test.each([
  ["is no TOML", "a = \n"],
  ["has the table inline", 'a = { "b.c" = { other = 1 } }\n'],
  ["has the table by dotted keys", '[a]\n"b.c".other = 1\n'],
  ["has a text that looks like the table", 't = """\n[a."b.c"]\n"""\n'],
  ["has a value of several lines", '[a."b.c"]\npath = [\n  "/y",\n]\n'],
])("nothing is set in a document that %s", (_what, text) => {
  expect(withText(text, edit)).toBeNull();
});
