// What the log says of registries that the swarm cannot ask.

import { expect, test } from "bun:test";
import { DfError } from "../../../src/errors.ts";
import { RegistryTroubles } from "../../../src/roles/proxy/registry-troubles.ts";

const DOWN = new DfError("network", "read https://a.test/v2/: no answer", { hint: "look there" });

test("a registry's trouble is told once in ten minutes, each kind of it and each registry's own", () => {
  const troubles = new RegistryTroubles();

  const first = troubles.tell("a.test", DOWN, 0);
  const again = troubles.tell("a.test", DOWN, 599_999);
  const other = troubles.tell("a.test", new DfError("timeout", "read it: silent"), 1);
  const elsewhere = troubles.tell("b.test", DOWN, 2);
  const later = troubles.tell("a.test", DOWN, 600_000);

  expect(first).toBe(
    "engines are sent to a.test itself: read https://a.test/v2/: no answer (look there)",
  );
  expect(again).toBeNull();
  expect(other).toBe("engines are sent to a.test itself: read it: silent");
  expect([elsewhere, later]).toEqual([expect.stringContaining("b.test"), first]);
});

test("what a registry refuses to an engine is no trouble", () => {
  const troubles = new RegistryTroubles();

  for (const code of ["source-not-found", "source-unauthorized", "source-forbidden"] as const) {
    expect(troubles.tell("a.test", new DfError(code, "read it: refused"), 0)).toBeNull();
  }
});

test("a flood of names pushes the oldest out, no more is kept", () => {
  const troubles = new RegistryTroubles();

  for (let i = 0; i < 300; i++) troubles.tell(`r${i}.test`, DOWN, 0);

  expect(troubles.tell("r0.test", DOWN, 1)).not.toBeNull();
  expect(troubles.tell("r299.test", DOWN, 1)).toBeNull();
});
