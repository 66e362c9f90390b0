// Settings from YAML files: what wins, and what is told of a file that is wrong.

import { afterEach, expect, test } from "bun:test";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Flag, parseFlags } from "../../src/roles/command-line/flags.ts";
import {
  parseSettings,
  settingsPaths,
  withSettings,
} from "../../src/roles/command-line/settings-file.ts";

const TABLE: Flag[] = [
  { name: "upload-rate", variable: "DF_UPLOAD_RATE", value: "RATE", help: "…" },
  { name: "quota", value: "SIZE", help: "…" },
  { name: "supernode", value: "HOST:PORT,…", help: "…" },
  { name: "open", help: "…" },
  { name: "config", value: "FILE", help: "…" },
  { name: "background" },
];

const folders: string[] = [];
afterEach(async () => {
  for (const folder of folders.splice(0)) await rm(folder, { recursive: true });
});

async function fileFixture(text: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "df-settings-"));
  folders.push(folder);
  const path = join(folder, "peer.yaml");
  await writeFile(path, text);
  return path;
}

function settled(args: string[], paths: string[], env: Record<string, string> = {}) {
  return Object.fromEntries(withSettings(parseFlags(args, TABLE), TABLE, { env, paths }).values);
}

test("a key is a long flag; numbers, switches and lists are as on a command line", () => {
  const text = "# ours\nquota: 1000\nopen: false\nsupernode: [a:1, b:2]\n";

  expect(Object.fromEntries(parseSettings("f", text, TABLE))).toEqual({
    quota: ["1000"],
    open: ["false"],
    supernode: ["a:1", "b:2"],
  });
  expect(parseSettings("f", "", TABLE).size).toBe(0);
  expect(parseSettings("f", "# nothing yet\n", TABLE).size).toBe(0);
});

test("flags win over the environment, this over the user's file, and that over the host's", async () => {
  const host = await fileFixture("upload-rate: 1M\nquota: 1G\nopen: true\n");
  const user = await fileFixture("quota: 2G\n");

  expect(settled([], [host, user])).toEqual({
    "upload-rate": ["1M"],
    quota: ["2G"],
    open: ["true"],
  });
  expect(settled(["--quota", "3G"], [host, user])["quota"]).toEqual(["3G"]);
  expect(settled([], [host, user], { DF_UPLOAD_RATE: "9M" })["upload-rate"]).toBeUndefined();
  expect(settled(["--upload-rate", "5M"], [host], { DF_UPLOAD_RATE: "9M" })["upload-rate"]).toEqual(
    ["5M"],
  );
});

test("a file that is named is the only one, and must be there", async () => {
  const host = await fileFixture("quota: 1G\n");
  const named = await fileFixture("open: true\n");

  expect(settled(["--config", named], [host])).toEqual({ open: ["true"], config: [named] });
  expect(settled([], ["/nowhere/peer.yaml"])).toEqual({});
  expect(() => settled(["--config", "/nowhere/peer.yaml"], [])).toThrow(
    expect.objectContaining({ code: "file-unreadable" }),
  );
});

test("files lie in /etc and in the user's configuration folder", () => {
  expect(settingsPaths("get", { XDG_CONFIG_HOME: "/c" })).toEqual([
    "/etc/dragonfly/get.yaml",
    "/c/dragonfly/get.yaml",
  ]);
});

test.each([
  ["an unknown key", "quota: 1\nuplod-rate: 1M\n", "line 2: unknown key uplod-rate", "upload-rate"],
  ["a hidden flag", "background: true\n", "line 1: unknown key background", "long flags"],
  ["a file within a file", "\n\nconfig: x\n", "line 3: unknown key config", ""],
  ["a switch with a word", "open: on\n", "line 1: open is a switch", "true or false"],
  ["a key without a value", "quota:\n", "line 1: quota needs a value", "quota: SIZE"],
  ["a map", "quota:\n  size: 1\n", "line 1: quota needs a value", "quota: SIZE"],
  ["no YAML", "quota: 1\nopen: true\nsupernode: [a\n", "line 3: YAML", ""],
  ["a list", "- quota\n", "not a list of settings", "key: value"],
])("%s is one clear error", (_, text, message, hint) => {
  const read = () => parseSettings("peer.yaml", text, TABLE);

  expect(read).toThrow(
    expect.objectContaining({ code: "usage", message: expect.stringContaining(message) }),
  );
  if (hint === "") return;
  expect(read).toThrow(expect.objectContaining({ hint: expect.stringContaining(hint) }));
});

test("everything wrong is told at once", () => {
  expect(() => parseSettings("f", "a-b: 1\nopen: 7\n", TABLE)).toThrow(/line 1.*line 2/);
});

test("a command reads the file that it is given and refuses what it does not know", async () => {
  const path = await fileFixture("listen: 0.0.0.0:1\nopen: false\n");
  const main = new URL("../../src/main.ts", import.meta.url).pathname;
  const stderrOf = async (...args: string[]): Promise<string> => {
    const child = Bun.spawn([process.execPath, main, ...args], { stderr: "pipe" });
    const stderr = await new Response(child.stderr).text();
    expect(await child.exited).toBe(2);
    return stderr;
  };

  expect(await stderrOf("peer", "-c", path)).toContain("listen on 0.0.0.0: anyone");
  expect(await stderrOf("supernode", "-c", path)).toContain("listen on 0.0.0.0: every host");
  expect(await stderrOf("get", "--config", path, "http://a.test/")).toContain(
    "peer.yaml line 1: unknown key listen",
  );
});
