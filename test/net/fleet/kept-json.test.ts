// A machine's small files: whole at any time, whoever writes.

import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { z } from "zod";
import { KeptJson } from "../../../src/net/fleet/kept-json.ts";

test("writes at once are done in turn, and the last one counts", async () => {
  const folder = mkdtempSync(join(tmpdir(), "df-kept-"));
  try {
    const kept = new KeptJson(join(folder, "list.json"), z.string());
    // The later, the shorter: a write into an earlier one's file would leave a tail.
    const texts = Array.from({ length: 20 }, (_, i) => "x".repeat((20 - i) * 100_000));

    await Promise.all(texts.map((text) => kept.write(text)));

    expect((await kept.read())?.length).toBe(100_000);
  } finally {
    rmSync(folder, { recursive: true });
  }
});

test("a write that fails does not keep the next one", async () => {
  const folder = mkdtempSync(join(tmpdir(), "df-kept-"));
  try {
    const kept = new KeptJson(join(folder, "list.json"), z.unknown());
    const failed = kept.write({ value: 1n }).then(
      () => "written",
      () => "failed",
    );

    await kept.write("second");

    expect([await failed, await kept.read()]).toEqual(["failed", "second"]);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
