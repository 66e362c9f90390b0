// Installing into a folder that stands for "/": what is written, kept and taken back.

import { afterEach, beforeEach, expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Installation } from "../../../src/roles/install/installation.ts";

const RECORD = "/etc/dragonfly/.installed-peer.json";
const UNIT = "/etc/systemd/system/dragonfly-peer.service";
const SETTINGS = "/etc/dragonfly/peer.yaml";
let root = "";

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "df-install-"));
});
afterEach(() => rmSync(root, { recursive: true }));

function read(path: string): string {
  return readFileSync(join(root, path), "utf8");
}

function place(path: string, content: string): void {
  mkdirSync(join(root, path, ".."), { recursive: true });
  writeFileSync(join(root, path), content);
}

test("an installation writes its files with their modes, and the undo leaves none of them", () => {
  const files = [
    { path: UNIT, mode: 0o644, content: "unit" },
    { path: "/etc/dragonfly/join", mode: 0o600, content: "secret" },
  ];

  new Installation(root, RECORD).write(files);
  expect(read(UNIT)).toBe("unit");
  expect(statSync(join(root, "/etc/dragonfly/join")).mode & 0o777).toBe(0o600);
  new Installation(root, RECORD).undo();

  expect(files.filter(({ path }) => existsSync(join(root, path)))).toEqual([]);
  expect(existsSync(join(root, RECORD))).toBe(false);
});

test("the undo brings back the unit that was there before, also after a second installation", () => {
  place(UNIT, "from a package");
  const install = (content: string) =>
    new Installation(root, RECORD).write([{ path: UNIT, mode: 0o644, content }]);

  install("first");
  install("second");
  const outcomes = new Installation(root, RECORD).undo();

  expect(outcomes).toEqual([{ path: UNIT, outcome: "restored" }]);
  expect(read(UNIT)).toBe("from a package");
});

test("settings that exist are the operator's: neither written nor removed", () => {
  place(SETTINGS, "quota: 1T\n");
  const file = { path: SETTINGS, mode: 0o644, content: "# ours\n", keepsExisting: true };

  const written = new Installation(root, RECORD).write([
    file,
    { path: UNIT, mode: 0o644, content: "unit" },
  ]);
  new Installation(root, RECORD).undo();

  expect(written[0]).toEqual({ path: SETTINGS, outcome: "kept" });
  expect(read(SETTINGS)).toBe("quota: 1T\n");
});

test("a file that the operator changed since is not taken back", () => {
  new Installation(root, RECORD).write([{ path: UNIT, mode: 0o644, content: "unit" }]);
  place(UNIT, "edited by hand");

  const outcomes = new Installation(root, RECORD).undo();

  expect(outcomes).toEqual([{ path: UNIT, outcome: "kept" }]);
  expect(read(UNIT)).toBe("edited by hand");
});

test("an undo without an installation says that there is none", () => {
  expect(() => new Installation(root, RECORD).undo()).toThrow("there is no /etc/dragonfly");
});

test("what two services use goes with the last of them, whichever that is", () => {
  const binary = "/usr/local/bin/dragonfly";
  place(binary, "from a package");
  const roleFixture = (name: string) => {
    const installation = new Installation(root, `/etc/dragonfly/.installed-${name}.json`);
    const files = (content: string) => [{ path: binary, mode: 0o755, content }];
    return {
      install: (content: string) => installation.write(files(content))[0]!.outcome,
      undo: () => installation.undo()[0]!.outcome,
    };
  };
  const [peer, supernode] = [roleFixture("peer"), roleFixture("supernode")];

  const installed = [peer.install("1.0"), supernode.install("1.0"), supernode.install("1.1")];
  const first = supernode.undo();
  const between = read(binary);
  const last = peer.undo();

  expect(installed).toEqual(["written", "unchanged", "written"]);
  expect([first, between, last]).toEqual(["shared", "1.1", "restored"]);
  expect(read(binary)).toBe("from a package");
});
