// `df ca` as a user runs it.

import { afterEach, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Cleanups, tempFolder } from "../peer-fixture.ts";

const MAIN = join(import.meta.dir, "../../../src/main.ts");

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

async function ca(dir: string, ...args: string[]) {
  const child = Bun.spawn([process.execPath, MAIN, "ca", ...args, "--data-dir", dir], {
    ...{ stdout: "pipe", stderr: "pipe" },
    env: { PATH: process.env["PATH"]!, HOME: dir },
  });
  const [output, errors] = await Promise.all([
    new Response(child.stdout).text(),
    new Response(child.stderr).text(),
  ]);
  return { exitCode: await child.exited, output, errors };
}

test("a CA is made for named hosts, shown with how to trust it, and exported", async () => {
  const dir = join(await tempFolder(cleanups), "peer");

  const none = await ca(dir, "show");
  expect(none.exitCode).toBe(2);
  expect(none.errors).toContain("df ca show --for");

  const shown = await ca(dir, "show", "--for", "registry.test:5000,*.files.test");
  expect(shown.exitCode).toBe(0);
  for (const text of ["registry.test, *.files.test", "/etc/docker/certs.d/registry.test/ca.crt"]) {
    expect(shown.output).toContain(text);
  }
  expect(shown.output).not.toContain("PRIVATE");

  const path = (await ca(dir, "path")).output.trim();
  const file = join(dir, "exported.pem");
  await ca(dir, "export", file);
  const { output } = await ca(dir, "export");
  const fingerprints = [
    await readFile(path),
    await readFile(file),
    output,
    shown.output.slice(shown.output.indexOf("-----BEGIN")),
  ];
  expect(new Set(fingerprints.map((pem) => new X509Certificate(pem).fingerprint256)).size).toBe(1);
}, 30_000);

test("a CA is replaced only when that is said, and nonsense is refused", async () => {
  const dir = join(await tempFolder(cleanups), "peer");
  await ca(dir, "--for", "a.test");

  const kept = await ca(dir, "--for", "b.test");
  const replaced = await ca(dir, "--for", "b.test", "--replace");

  expect(kept.exitCode).toBe(1);
  expect(kept.errors).toContain("there is one, for a.test");
  expect(replaced.output).toContain("speaks for   b.test");
  for (const args of [
    ["nonsense"],
    ["show", "extra"],
    ["--for", "a b"],
    ["--for", "http://x/y", "--replace"],
  ]) {
    expect((await ca(dir, ...args)).exitCode).toBe(2);
  }
}, 30_000);
