// How failures look on stderr.

import { expect, test } from "bun:test";
import { DfError, messageOf } from "../../src/errors.ts";
import { formatFailure } from "../../src/roles/command-line/failure.ts";

// "cause: ENOENT: Was there a typo in the url or port?" stood below a socket's path.
test("what the runtime asks back about a URL is left out, what the system said is kept", async () => {
  const refused = await fetch("http://127.0.0.1:1/").catch((error: unknown) => error);
  const absent = await fetch("http://peer/", { unix: "/nonexistent.sock" }).catch(
    (error: unknown) => error,
  );

  expect(messageOf(refused)).toStartWith("ECONNREFUSED");
  expect(messageOf(absent)).toStartWith("ENOENT");
  for (const error of [refused, absent]) expect(messageOf(error)).not.toContain("?");
});

test("error, hint and causes have a line each, whatever a server wrote", () => {
  const cause = new Error("first\nsecond\u001b[2J");
  const error = new DfError("network", "read http://files.test/a", { cause, hint: "try again" });

  expect(formatFailure(error, false).split("\n")).toEqual([
    "error: read http://files.test/a",
    "hint: try again",
    "cause: first second [2J",
  ]);
});
