// Memory that is given back before the collector comes.

import { expect, test } from "bun:test";
import { freeMemoryOf } from "../../../src/roles/proxy/free-memory.ts";

test("bytes that have memory of their own give it back", () => {
  const part = new Uint8Array(128 << 10).fill(1);
  const { buffer } = part;

  freeMemoryOf(part);

  expect(buffer.detached).toBe(true);
  expect(part.length).toBe(0);
});

test("bytes that lie among others leave them theirs", () => {
  const all = new Uint8Array(8).fill(1);

  freeMemoryOf(all.subarray(0, 4));

  expect(all).toEqual(new Uint8Array(8).fill(1));
});
