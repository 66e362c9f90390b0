// A value that must never be shown: whoever prints it shows nothing.

import { expect, test } from "bun:test";
import { inspect } from "node:util";
import { Secret } from "../../../src/engine/bytes/secret.ts";

test("a secret shows itself to who asks for it, and to nobody who prints it", () => {
  const secret = new Secret({ authorization: "Bearer canary" });

  const printed = [
    String(secret),
    secret.toString(),
    JSON.stringify({ secret }),
    inspect({ deep: [secret] }, { depth: 9, showHidden: true }),
    Bun.inspect({ deep: [secret] }),
    JSON.stringify(structuredClone(Object.assign({}, secret))),
  ].join("\n");

  expect(secret.reveal().authorization).toBe("Bearer canary");
  expect(printed).not.toContain("canary");
  expect(printed).toContain("[redacted]");
});
