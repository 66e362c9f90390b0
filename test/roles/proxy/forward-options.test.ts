// What the flags and settings of the forward proxy mean, and what is refused.

import { afterEach, expect, test } from "bun:test";
import { chmod, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { DfError } from "../../../src/errors.ts";
import { parseFlags, type ParsedFlags } from "../../../src/roles/command-line/flags.ts";
import { parseSettings } from "../../../src/roles/command-line/settings-file.ts";
import { FLAGS, readPeerOptions } from "../../../src/roles/peer/peer-options.ts";
import { readForwardOptions } from "../../../src/roles/proxy/forward-options.ts";
import { Cleanups, tempFolder } from "../peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

function forwardOf(values: Record<string, string[]>) {
  return readForwardOptions((name) => values[name] ?? []);
}

function proxyOf(parsed: ParsedFlags, env: Record<string, string> = {}) {
  return readPeerOptions(parsed, { HOME: "/nowhere", ...env }, 1000).proxy;
}

function faultOf(work: () => unknown): DfError {
  try {
    work();
  } catch (error) {
    if (error instanceof DfError) return error;
    throw error;
  }
  throw new Error("it was taken");
}

async function passwordFile(text: string, mode = 0o600): Promise<string> {
  const path = join(await tempFolder(cleanups), "passwords");
  await writeFile(path, text);
  await chmod(path, mode);
  return `@${path}`;
}

test("rules, hosts and targets are read from flags, in their order", () => {
  const args = [
    "--proxy-rule",
    "b.test=direct",
    "--proxy-rule=a.test/x=y/*=swarm",
    "--proxy-intercept",
  ];
  const flags = [
    ...args,
    "a.test, b.test:8443",
    "--proxy-allow",
    "*.test",
    "--proxy-allow",
    "c.org:22",
  ];

  const forward = proxyOf(parseFlags(flags, FLAGS))?.forward;

  expect(forward?.rules.map(({ pattern, way }) => `${pattern} ${way}`)).toEqual([
    ...["b.test direct", "a.test/x=y/* swarm"],
  ]);
  expect(forward).toMatchObject({
    ...{ intercept: ["a.test", "b.test:8443"], allow: ["*.test", "c.org:22"], credentials: null },
  });
});

test("the same stands in the settings file, one item a line", () => {
  const text = [
    ...["proxy-rule:", "  - registry.npmjs.org/*.tgz=swarm", '  - "*.lan=tls+direct"'],
    "proxy-intercept: [registry.npmjs.org, pypi.org]",
  ].join("\n");
  const values = parseSettings("peer.yaml", text, FLAGS);

  const forward = proxyOf({ values, positionals: [] })?.forward;

  expect(forward?.rules).toHaveLength(2);
  expect(forward?.intercept).toEqual(["registry.npmjs.org", "pypi.org"]);
  expect(forward?.allow).toBeNull();
});

test("everything that is wrong is told at once, and no password is shown", async () => {
  const fault = faultOf(() =>
    forwardOf({
      ...{ "proxy-rule": ["a.test=fast"], "proxy-intercept": ["a.test/path"] },
      ...{ "proxy-allow": ["a b"] },
    }),
  );

  for (const text of ["a.test=fast", "a.test/path", "a b"]) expect(fault.message).toContain(text);
  const inline = faultOf(() => forwardOf({ "proxy-auth": ["me:secret"] }));
  expect(inline.message + String(inline.hint)).not.toContain("secret");
});

test("T-27: passwords come from a file that others cannot read", async () => {
  const good = await passwordFile("me:secret\r\nyou:a:b\n\n");
  const open = await passwordFile("me:secret\n", 0o644);
  const broken = await passwordFile("secret\n");

  expect(forwardOf({ "proxy-auth": [good] }).credentials?.reveal()).toEqual([
    "me:secret",
    "you:a:b",
  ]);
  expect(faultOf(() => forwardOf({ "proxy-auth": [open] })).code).toBe("denied");
  for (const file of [broken, await passwordFile("\n")]) {
    const fault = faultOf(() => forwardOf({ "proxy-auth": [file] }));
    expect(fault.code).toBe("usage");
    expect(fault.message + String(fault.hint)).not.toContain("secret");
  }
  expect(faultOf(() => forwardOf({ "proxy-auth": ["@/nowhere/at/all"] })).code).toBe(
    "file-unreadable",
  );
});

test("T-27: beyond loopback the port wants passwords and a list of targets", async () => {
  const auth = ["--proxy-auth", await passwordFile("me:secret\n")];
  const allow = ["--proxy-allow", "*.test"];
  const listen = (...rest: string[]) => {
    return () => proxyOf(parseFlags(["--proxy-listen", "0.0.0.0:65001", ...rest], FLAGS));
  };

  for (const rest of [[], auth, allow]) {
    const { message, hint } = faultOf(listen(...rest));
    expect(message).toContain("anyone could use");
    expect(hint).toContain("--proxy-auth @FILE and --proxy-allow");
  }
  expect(listen(...auth, ...allow)()?.listen).toEqual({ hostname: "0.0.0.0", port: 65_001 });
  expect(proxyOf(parseFlags(["--proxy-listen", "[::1]:1234"], FLAGS))?.forward?.allow).toBeNull();
});
