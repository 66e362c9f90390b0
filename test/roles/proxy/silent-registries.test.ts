// What a mirror remembers of registries that the swarm hears nothing from.

import { expect, test } from "bun:test";
import { SilentRegistries } from "../../../src/roles/proxy/silent-registries.ts";

const A = "https://a.test";
const B = "https://b.test";

test("nobody waits at a silent registry for a while, then one does, and nobody else meanwhile", () => {
  const silent = new SilentRegistries();

  silent.add(A, 0);

  expect([0, 59_999, 60_000, 60_001, 119_999, 120_000].map((at) => silent.mayWait(A, at))).toEqual([
    ...[false, false, true],
    ...[false, false, true],
  ]);
  expect(silent.mayWait(B, 0)).toBe(true);
});

test("a registry that was heard from is forgotten at once", () => {
  const silent = new SilentRegistries();

  silent.add(A, 0);
  silent.add(B, 0);
  silent.forget(A);

  expect([silent.mayWait(A, 1), silent.mayWait(A, 1), silent.mayWait(B, 1)]).toEqual([
    ...[true, true],
    false,
  ]);
});

test("a flood of silent registries pushes the oldest out, no more is kept", () => {
  const silent = new SilentRegistries();

  for (let i = 0; i < 300; i++) silent.add(`https://r${i}.test`, 0);

  expect(silent.mayWait("https://r0.test", 1)).toBe(true);
  expect(silent.mayWait("https://r299.test", 1)).toBe(false);
});
