// How failures look on stderr.

import { expect, test } from "bun:test";
import { DfError, messageOf } from "../../src/errors.ts";
import { formatFailure } from "../../src/roles/command-line/failure.ts";

// "cause: ENOENT: Was there a typo in the url or port?" stood below a socket's path, and a peer's log
// told to "pass `verbose: true` in the second argument to fetch()" when df config was killed.
test("what the runtime advises its programmers is left out, what the system said is kept", async () => {
  using cutting = Bun.listen({
    ...{ hostname: "127.0.0.1", port: 0 },
    socket: { data: (socket) => socket.terminate() },
  });
  const failureOf = (url: string, init?: BunFetchRequestInit) =>
    fetch(url, init).then(
      () => "",
      (error: unknown) => messageOf(error),
    );

  const refused = await failureOf("http://127.0.0.1:1/");
  const absent = await failureOf("http://peer/", { unix: "/nonexistent.sock" });
  const cut = await failureOf(`http://127.0.0.1:${cutting.port}/`);

  expect(refused).toStartWith("ECONNREFUSED");
  expect(absent).toStartWith("ENOENT");
  expect(cut).toStartWith("ECONNRESET");
  for (const told of [refused, absent, cut]) expect(told).not.toMatch(/\?|verbose/);
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
