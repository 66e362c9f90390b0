// The CA of a proxy: where it is kept, what it may sign for, and what it is not.

import { afterEach, expect, test } from "bun:test";
import { X509Certificate } from "node:crypto";
import { chmod, chown, mkdir, readdir, readFile, stat, symlink, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { isFleetCa } from "../../../src/net/tls/fleet-ca-name.ts";
import { leafIssuer } from "../../../src/roles/ca/leaf-issuer.ts";
import { isPermitted, nameConstraints } from "../../../src/roles/ca/name-constraints.ts";
import {
  certificatePathOf,
  hostIn,
  makeProxyCa,
  openProxyCa,
  readProxyCa,
} from "../../../src/roles/ca/proxy-ca.ts";
import { Cleanups, tempFolder } from "../peer-fixture.ts";

const cleanups = new Cleanups();
afterEach(() => cleanups.run());

const openssl = Bun.which("openssl");
if (openssl === null) console.warn("SKIPPED: openssl is not installed");

test("a CA is made once, with a key that its owner alone can read", async () => {
  const dir = await tempFolder(cleanups);
  expect(readProxyCa(dir)).toBeUndefined();

  const [first, second] = await Promise.all([
    openProxyCa(dir, ["registry.test:5000", "https://*.files.test"]),
    openProxyCa(dir, ["other.test"]),
  ]);

  expect(second).toEqual(first);
  expect(await openProxyCa(dir, ["third.test"])).toEqual(first);
  expect((await stat(join(dir, "proxy-ca/ca.json"))).mode & 0o777).toBe(0o600);
  expect((await stat(certificatePathOf(dir))).mode & 0o777).toBe(0o644);
  expect(await readFile(certificatePathOf(dir), "utf8")).toBe(first.certificate);
  expect(await readFile(certificatePathOf(dir), "utf8")).not.toContain("PRIVATE");
});

const isRoot = process.getuid?.() === 0;
if (!isRoot) console.warn("SKIPPED: making another user's CA needs root");

test.if(isRoot)("what root makes in another user's data directory is that user's", async () => {
  const dir = await tempFolder(cleanups);
  await chown(dir, 12_345, 12_345);

  await openProxyCa(dir, ["a.test"]);

  for (const path of ["proxy-ca", "proxy-ca/ca.json", "proxy-ca/ca.pem"]) {
    expect((await stat(join(dir, path))).uid).toBe(12_345);
  }
  expect(process.geteuid!()).toBe(0);
});

test.if(isRoot)("T-17: links in another user's data directory lead root nowhere", async () => {
  const dir = await tempFolder(cleanups);
  const [data, foreign] = [join(dir, "data"), join(dir, "foreign")];
  for (const folder of [data, foreign]) await mkdir(folder, { mode: 0o700 });
  await chmod(dir, 0o755);
  await writeFile(join(foreign, "ca.pem"), "the system's own");
  await chown(data, 12_345, 12_345);
  await symlink(foreign, join(data, "proxy-ca"));

  await expect(makeProxyCa(data, ["a.test"])).rejects.toMatchObject({ code: "file-unwritable" });

  expect(await readdir(foreign)).toEqual(["ca.pem"]);
  expect(await readFile(join(foreign, "ca.pem"), "utf8")).toBe("the system's own");
  expect((await stat(join(foreign, "ca.pem"))).uid).toBe(0);
  expect(process.geteuid!()).toBe(0);
});

test("T-19: the proxy's CA is no fleet's, signs no CA, and each one is its own", async () => {
  const [one, other] = [await tempFolder(cleanups), await tempFolder(cleanups)];
  const cas = [await openProxyCa(one, ["*"]), await openProxyCa(other, ["*"])];
  const [first, second] = cas.map(({ certificate }) => new X509Certificate(certificate));

  expect(cas.some(({ certificate }) => isFleetCa(certificate))).toBe(false);
  expect(first!.issuer).toBe(first!.subject);
  expect(first!.subject).not.toBe(second!.subject);
  expect(first!.toString()).not.toBe(second!.toString());
  expect(first!.checkIssued(second!)).toBe(false);
});

test("T-17: a key that others can read, or that is damaged, is refused", async () => {
  const dir = await tempFolder(cleanups);
  await openProxyCa(dir, ["a.test"]);
  const path = join(dir, "proxy-ca/ca.json");

  await chmod(path, 0o640);
  expect(() => readProxyCa(dir)).toThrow("other users can read its key");
  await chmod(path, 0o600);
  await writeFile(path, '{"certificate":"x"}');
  expect(() => readProxyCa(dir)).toThrow("damaged");
  await makeProxyCa(dir, ["b.test"]);
  expect(readProxyCa(dir)?.hosts).toEqual(["b.test"]);
});

test.if(openssl !== null)(
  "T-19: what a CA was not made for, it cannot speak for",
  async () => {
    const folder = await tempFolder(cleanups);
    const names = ["a.test", "b.a.test", "xa.test", "bank.test", "127.0.0.1", "10.0.0.1", "::1"];
    const believed: Record<string, string[]> = {};
    for (const hosts of [["a.test"], ["*.a.test", "10.0.0.1"], ["127.0.0.1", "[::1]"], ["*"]]) {
      const ca = await makeProxyCa(folder, hosts);
      const permitted = (name: string): boolean => isPermitted(ca.hosts, name);
      const issue = leafIssuer(ca);
      const verified: string[] = [];
      for (const name of names) {
        await writeFile(join(folder, "leaf.pem"), (await issue(name)).certificate);
        const command = [openssl!, "verify", "-CAfile", certificatePathOf(folder), "leaf.pem"];
        if (Bun.spawnSync(command, { cwd: folder }).exitCode === 0) verified.push(name);
        expect(verified.includes(name) || !permitted(name)).toBe(true);
      }
      believed[hosts.join()] = verified;
    }

    expect(believed).toEqual({
      "a.test": ["a.test", "b.a.test"],
      "*.a.test,10.0.0.1": ["a.test", "b.a.test", "10.0.0.1"],
      "127.0.0.1,[::1]": ["127.0.0.1", "::1"],
      "*": names,
    });
  },
  30_000,
);

test("constraints are whole DER, however many names and how long", () => {
  const name = fc.stringMatching(/^[a-z]{1,60}(\.[a-z]{1,60}){0,3}$/);
  const host = fc.oneof(
    name,
    fc.ipV4(),
    fc.ipV6(),
    name.map((text) => `*.${text}`),
  );

  fc.assert(
    fc.property(fc.array(host, { minLength: 1, maxLength: 40 }), (hosts) => {
      const der = nameConstraints(hosts)!;
      const long = der[1]! - 0x80;
      const length = long < 0 ? der[1]! : Number(`0x${der.subarray(2, 2 + long).toString("hex")}`);
      expect(der[0]).toBe(0x30);
      expect(der.length).toBe(length + 2 + Math.max(0, long));
    }),
  );
  expect(nameConstraints(["a.test", "*"])).toBeNull();
});

test.each([
  ["registry.test", "registry.test"],
  ["https://Registry.test:5000/", "registry.test"],
  ["*.files.test", "*.files.test"],
  ["[::1]:443", "::1"],
  ["127.0.0.1:5000", "127.0.0.1"],
  ["*", "*"],
])("the host of %s is %s", (pattern, host) => {
  expect(hostIn(pattern)).toBe(host);
});
