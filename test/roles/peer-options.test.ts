// What the flags and environment of `df peer` mean.

import { expect, test } from "bun:test";
import { parseFlags } from "../../src/roles/command-line/flags.ts";
import { formatJoinString } from "../../src/net/fleet/join-string.ts";
import { FLAGS, isLoopback, readPeerOptions } from "../../src/roles/peer/peer-options.ts";

function read(args: string[], env: Record<string, string> = {}, uid = 1000) {
  return readPeerOptions(parseFlags(args, FLAGS), { XDG_STATE_HOME: "/s", ...env }, uid);
}

test("without flags a peer listens on loopback and keeps its state where it belongs", () => {
  const asUser = read([], { XDG_RUNTIME_DIR: "/run/user/1000" });
  const asRoot = read([], {}, 0);

  expect(asUser).toMatchObject({
    listen: { hostname: "127.0.0.1", port: 65_002 },
    socketPath: "/run/user/1000/dragonfly/peer.sock",
    dataDir: "/s/dragonfly/peer",
    supernodes: [],
    quotaBytes: undefined,
  });
  expect(asRoot).toMatchObject({
    socketPath: "/run/dragonfly/peer.sock",
    dataDir: "/var/lib/dragonfly/peer",
  });
});

test("flags win over the environment, and units are understood", () => {
  const env = { DRAGONFLY_SUPERNODE: "env:1", DRAGONFLY_UPLOAD_RATE: "10M" };

  const options = read(["--supernode", "a,[::1]:9000", "--quota", "2GB", "--linger", "5m"], env);

  expect(options).toMatchObject({
    supernodes: ["a:8002", "[::1]:9000"],
    uploadRateBytesPerSec: 10 << 20,
    quotaBytes: 2e9,
    lingerMs: 300_000,
  });
  expect(read([], env).supernodes).toEqual(["env:1"]);
});

test("--advertise names one address for all and one for each further zone", () => {
  const flags = ["10.0.0.1:1", "192.0.2.7:2@east", "[2001:db8::1]@west"];
  const options = read(flags.flatMap((address) => ["--advertise", address]));

  expect(options).toMatchObject({
    advertise: "10.0.0.1:1",
    zonedAddresses: [
      { address: "192.0.2.7:2", zone: "east" },
      { address: "[2001:db8::1]:65002", zone: "west" },
    ],
  });
  expect(read([])).toMatchObject({ advertise: null, zonedAddresses: [] });
  expect(() => read(["--advertise", "a:1@"])).toThrow("not an address");
});

test("listening beyond loopback asks for --open", () => {
  expect(() => read(["--listen", "0.0.0.0:65002"])).toThrow("anyone who reaches it");
  expect(read(["--listen", "10.0.0.7:1", "--open"]).listen).toEqual({
    hostname: "10.0.0.7",
    port: 1,
  });
});

test.each([
  ["--open=false", [], {}],
  ["DRAGONFLY_OPEN=0", [], { DRAGONFLY_OPEN: "0" }],
])("%s is no --open", (flag, args: string[], env) => {
  const given = flag.startsWith("--") ? [flag] : args;

  expect(() => read(["--listen", "0.0.0.0:65002", ...given], env)).toThrow("anyone who reaches it");
});

test("supernodes may be given in parts, and a group by name or number", () => {
  const options = read(["--supernode", "a", "--supernode", "b:1", "--socket-group", "root"]);

  expect(options).toMatchObject({ supernodes: ["a:8002", "b:1"], socketGroupId: 0 });
  expect(read(["--socket-group", "1234"]).socketGroupId).toBe(1234);
  expect(() => read(["--socket-group", "no-such-group"])).toThrow("no such group");
});

test("everything wrong is told at once", () => {
  const wrong = ["--listen", "a:b:c", "--quota", "much", "--upload-slots", "-1"];

  expect(() => read(wrong)).toThrow(/--listen.*--quota.*--upload-slots/);
});

test.each([
  ["127.0.0.1", true],
  ["localhost", true],
  ["[::1]", true],
  ["0.0.0.0", false],
  ["[::]", false],
  ["10.1.2.3", false],
  ["files", false],
])("%s is loopback: %p", (hostname, expected) => {
  expect(isLoopback(hostname)).toBe(expected);
});

const fleetKey = Buffer.alloc(32, 7).toString("base64");
const joinFor = (url: string): string =>
  formatJoinString({ urls: [url], token: "dfj_x", fleetKey });

test("a host with a join string listens for others unless its fleet is on loopback", () => {
  const shared = read(["--join", joinFor("http://10.0.0.2:8000")]);
  const alone = read(["--join", joinFor("http://127.0.0.1:8000")]);

  expect(shared.listen.hostname).toBe("0.0.0.0");
  expect(alone.listen.hostname).toBe("127.0.0.1");
  const { token, ...place } = shared.fleet!;
  expect(place).toEqual({ urls: ["http://10.0.0.2:8000"], fleetKey });
  expect(token?.reveal()).toBe("dfj_x");
});

test("the address of an open fleet needs no scheme: TLS beyond loopback; a join string wins over it", () => {
  const urls = ["https://a:8000", "http://b", "http://127.0.0.1:8000"];
  expect(read(["--config-service", "a:8000,http://b,127.0.0.1:8000"]).fleet).toEqual({ urls });

  const both = ["--config-service", "a:8000", "--join", joinFor("http://c:8000")];
  expect(read(both).fleet?.urls).toEqual(["http://c:8000"]);
});

test("labels are given one by one or together; what is none is told", () => {
  const labels = { idc: "paris", location: "europe|fr", "team/tier": "web=1" };

  expect(
    read(["--label", "idc=paris,location=europe|fr", "--label", "team/tier=web=1"]).labels,
  ).toEqual(labels);
  expect(() => read(["--label", "paris"])).toThrow("not a label");
});

test("a damaged join string is told without repeating it", () => {
  expect(() => read(["--join", "df1.c2VjcmV0"])).toThrow(
    "read the join string: it is damaged or not one",
  );
});
