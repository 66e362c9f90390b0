// What the guard lets through: by the URL's form, by what its name resolves to, by the policy; and that
// nothing is connected to that was not checked.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import fc from "fast-check";
import { addressKind } from "../../../src/net/egress/address-kind.ts";
import { describePolicy, type EgressPolicy } from "../../../src/net/egress/egress-policy.ts";
import type { ResolveName } from "../../../src/net/egress/resolve-name.ts";
import { SourceClient } from "../../../src/net/source/source-client.ts";
import type { DfError } from "../../../src/errors.ts";
import { startBadSource } from "../../fixtures/bad-source.ts";
import { egressFixture } from "../../fixtures/egress-fixture.ts";
import { type Sentinel, startSentinel } from "../../fixtures/sentinel.ts";

const never = new AbortController().signal;
let sentinel: Sentinel;
beforeAll(async () => {
  sentinel = await startSentinel();
});
afterAll(() => sentinel.stop());

const nobody: ResolveName = (hostname) =>
  Promise.reject(
    Object.assign(new Error(`getaddrinfo ENOTFOUND ${hostname}`), { code: "ENOTFOUND" }),
  );

/** Names to addresses, as a name server answers. */
const names =
  (table: Record<string, string[]>): ResolveName =>
  (hostname) => {
    const addresses = table[hostname.replace(/\.$/, "")];
    if (addresses === undefined) return nobody(hostname);
    return Promise.resolve(
      addresses.map((address) => ({ address, family: address.includes(":") ? 6 : 4 })),
    );
  };

/** Asks as a source read does; the status, or the code of the failure. */
async function ask(
  url: string,
  policy: Partial<EgressPolicy> = {},
  resolve: ResolveName = nobody,
): Promise<number | string> {
  const egress = egressFixture({ reach: "network", ...policy }, { resolve });
  const timeoutMs = { connect: 500, firstByte: 10_000 };
  const client = new SourceClient({ url, headers: {}, egress, timeoutMs });
  try {
    const answer = await client.ask({}, never);
    answer.close();
    return answer.status;
  } catch (error) {
    return (error as { error: DfError }).error.code;
  } finally {
    client.close();
  }
}

// Every form in which a URL can say "this machine", its link or nobody's address.
const FORMS = [
  ...["127.0.0.1", "127.1", "127.0.1", "127.255.255.254", "0x7f.1", "0x7f.0.0.1", "0x7f000001"],
  ...["2130706433", "017700000001", "0177.0.0.1", "0177.1", "0x7F.0x00.0x00.0x01", "127.0.0.1."],
  ...[
    "①②⑦.⓪.⓪.①",
    "１２７.０.０.１",
    "127。0。0。1",
    "127．0．0．1",
    "127｡0｡0｡1",
    "%31%32%37.0.0.1",
  ],
  ...["%3127.0.0.1", "12%37.1", "0", "0.0.0.0", "0x0", "0.1.2.3", "user@127.0.0.1"],
  ...["user:pass@127.0.0.1", "example.org@127.0.0.1", "example.org%40x:y@127.0.0.1"],
  ...["[::1]", "[0:0:0:0:0:0:0:1]", "[0000::0001]", "[::]", "[::ffff:127.0.0.1]"],
  ...["[::ffff:7f00:1]", "[::FFFF:7F00:0001]", "[0:0:0:0:0:ffff:127.0.0.1]", "[::127.0.0.1]"],
  ...["[::7f00:1]", "[::ffff:0:127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b::127.0.0.1]"],
  ...["[64:ff9b:1::7f00:1]", "[64:ff9b:1:7f00:0:100::]", "[2002:7f00:1::]", "[2002:a9fe:a9fe::1]"],
  ...["169.254.169.254", "0xa9fea9fe", "2852039166", "[::ffff:169.254.169.254]"],
  ...["[64:ff9b::a9fe:a9fe]", "[fd00:ec2::254]", "[fd20:ce::254]", "100.100.100.200"],
  ...["168.63.129.16", "169.254.170.2", "[fe80::1]", "[febf::1]", "[fec0::1]", "[ff02::1]"],
  ...["192.0.2.1", "192.0.0.192", "192.88.99.1", "198.18.0.1", "198.51.100.7", "203.0.113.7"],
  ...["224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255", "[100::1]"],
  ...["[2001::1]", "[2001:db8::1]", "[3fff::1]", "metadata.google.internal"],
  ...["metadata.google.internal.", "METADATA.google.internal", "metadata。google。internal"],
];

describe("T-12: no form of a URL leads a service into its own machine, link or cloud", () => {
  test.each(FORMS)("http://%s/", async (form) => {
    const before = sentinel.connections;

    expect(await ask(`http://${form}:${sentinel.port}/`)).toBe("not-shareable");

    expect(sentinel.connections).toBe(before);
  });

  test.each([
    ["localhost"],
    ["LOCALHOST."],
    ["a.localhost"],
    ["ⓛocalhost"],
    ["loca\u00adlhost"],
    ["l\tocalhost"],
  ])("the name %j, whatever resolves it to loopback", async (name) => {
    const resolve: ResolveName = () => Promise.resolve([{ address: "127.0.0.1", family: 4 }]);

    expect(await ask(`http://${name}:${sentinel.port}/`, {}, resolve)).toBe("not-shareable");
    expect(sentinel.connections).toBe(0);
  });

  test.each([
    ["one address", ["127.0.0.1"]],
    ["a public address and loopback", ["93.184.216.34", "127.0.0.1"]],
    ["loopback behind a public address of the other family", ["2606:2800:220:1::1", "::1"]],
    ["an IPv4 address within IPv6", ["::ffff:127.0.0.1"]],
    ["the cloud's metadata", ["169.254.169.254"]],
    ["this host", ["0.0.0.0"]],
  ])("a DNS name that resolves to %s", async (_what, addresses) => {
    const resolve = names({ "files.example": addresses });

    expect(await ask(`http://files.example:${sentinel.port}/`, {}, resolve)).toBe("not-shareable");
    expect(sentinel.connections).toBe(0);
  });

  test("a name server that alternates between a good address and loopback gains nothing", async () => {
    let asked = 0;
    // The first word is checked and connected to; a second one is never asked for.
    const source = await startBadSource((reply) => reply.serve(new Uint8Array(9)));
    const resolve: ResolveName = () => {
      const address = asked++ % 2 === 0 ? "127.0.0.1" : "127.0.0.2";
      return Promise.resolve([{ address, family: 4 }]);
    };
    const egress = egressFixture({ reach: "host" }, { resolve });
    const timeoutMs = { connect: 10_000, firstByte: 10_000 };
    const url = `http://files.example:${source.port}/`;
    const client = new SourceClient({ url, headers: {}, egress, timeoutMs });

    const first = await client.ask({}, never);
    for await (const _ of first.body());
    const second = await client.ask({}, never);
    second.close();
    client.close();
    await source.stop();

    expect([first.status, second.status, asked]).toEqual([200, 200, 1]);
    // The field still names the host: only the connection goes to what was checked.
    expect(source.requests[0]!.headers["host"]).toBe(`files.example:${source.port}`);
  });

  test("for every 2nd look-up that says loopback there is a refusal and no connection", async () => {
    let asked = 0;
    const resolve: ResolveName = () => {
      const address = asked++ % 2 === 0 ? "127.0.0.1" : "192.168.255.254";
      return Promise.resolve([{ address, family: 4 }]);
    };
    const egress = egressFixture({ reach: "network" }, { resolve });
    const url = new URL(`http://files.example:${sentinel.port}/`);
    const refusals: unknown[] = [];
    for (let i = 0; i < 10; i++) {
      const checked = await egress
        .check(url, { from: null }, never)
        .catch((error: DfError) => error);
      refusals.push("code" in checked ? checked.code : checked.addresses[0]!.address);
    }

    expect(refusals.filter((one) => one === "not-shareable")).toHaveLength(5);
    expect(refusals).not.toContain("127.0.0.1");
    expect(sentinel.connections).toBe(0);
  });

  test.each([["file:///etc/passwd"], ["ftp://files.example/"], ["gopher://files.example/"]])(
    "the scheme of %s is none of ours",
    async (url) => {
      expect(await ask(url)).toBe("denied");
    },
  );

  test.each([22, 25, 53, 111, 2049, 6000, 6667, 10_080])(
    "nor is port %d a source's",
    async (port) => {
      const resolve = names({ "files.example": ["10.0.0.1"] });

      expect(await ask(`http://files.example:${port}/`, {}, resolve)).toBe("not-shareable");
    },
  );

  test("a refusal names no address, and says what would allow it", async () => {
    const resolve = names({ "files.example": ["127.0.0.1"] });
    const egress = egressFixture({ reach: "network" }, { resolve });
    const error = await egress
      .check(new URL("http://files.example/x?token=s3cret"), { from: null }, never)
      .catch((failure: DfError) => failure);

    expect(`${(error as DfError).message} ${(error as DfError).hint}`).not.toMatch(/127|s3cret/);
    expect((error as DfError).hint).toContain("--origin-allow files.example");
  });
});

describe("the policy", () => {
  const resolve = names({
    "lan.example": ["10.1.2.3"],
    "cgnat.example": ["100.64.0.1"],
    "ula.example": ["fd12::1"],
    "nat64.example": ["64:ff9b::a01:203"],
    "public.example": ["93.184.216.34"],
    "loop.example": ["127.0.0.1"],
  });
  const check = (url: string, policy: Partial<EgressPolicy>): Promise<string> =>
    egressFixture(policy, { resolve })
      .check(new URL(url), { from: null }, never)
      .then(
        () => "allowed",
        (error: DfError) => error.code,
      );

  test.each([
    ["http://lan.example/", {}, "allowed"],
    ["http://10.1.2.3/", {}, "allowed"],
    ["http://cgnat.example/", {}, "allowed"],
    ["http://ula.example/", {}, "allowed"],
    ["http://lan.example/", { isPublicOnly: true }, "not-shareable"],
    ["http://192.168.7.7/", { isPublicOnly: true }, "not-shareable"],
    ["http://[::ffff:10.1.2.3]/", { isPublicOnly: true }, "not-shareable"],
    ["http://cgnat.example/", { isPublicOnly: true }, "not-shareable"],
    ["http://ula.example/", { isPublicOnly: true }, "not-shareable"],
    ["http://nat64.example/", { isPublicOnly: true }, "not-shareable"],
    ["http://public.example/", { isPublicOnly: true }, "allowed"],
    ["http://lan.example:8080/", { isPublicOnly: true, allow: ["*.example:8080"] }, "allowed"],
    ["http://lan.example/", { isPublicOnly: true, allow: ["*.example:8080"] }, "not-shareable"],
    ["http://loop.example/", { allow: ["loop.example"] }, "allowed"],
    ["http://127.0.0.1:9000/", { allow: ["127.0.0.1:9000"] }, "allowed"],
    ["http://127.0.0.1:9001/", { allow: ["127.0.0.1:9000"] }, "not-shareable"],
    ["http://169.254.169.254/", { allow: ["169.254.169.254"] }, "allowed"],
    ["http://127.0.0.1/", { reach: "host" }, "allowed"],
    ["http://[::ffff:127.0.0.1]/", { reach: "host" }, "allowed"],
    ["http://169.254.169.254/", { reach: "host" }, "not-shareable"],
    ["http://0.0.0.0/", { reach: "host" }, "not-shareable"],
    ["http://169.254.169.254/", { reach: "own" }, "allowed"],
    ["http://127.0.0.1:22/", { reach: "own" }, "allowed"],
  ] as [string, Partial<EgressPolicy>, string][])(
    "%s under %j is %s",
    async (url, policy, result) => {
      expect(await check(url, { reach: "network", ...policy })).toBe(result);
    },
  );

  test.each([
    ["127.0.0.1", "127.0.0.1", "not-shareable"],
    ["127.0.0.1", "[::ffff:127.0.0.1]", "not-shareable"],
    ["0.0.0.0", "127.0.0.1", "not-shareable"],
    ["::", "[::1]", "not-shareable"],
    ["[::1]", "[::1]", "not-shareable"],
    ["10.9.9.9", "10.9.9.9", "not-shareable"],
    ["10.9.9.9", "127.0.0.1", "allowed"],
    ["127.0.0.1", "0.0.0.0", "not-shareable"],
    ["localhost", "[::1]", "not-shareable"],
    ["localhost", "10.9.9.9", "allowed"],
    ["127.0.0.1", "127.0.0.2", "allowed"],
    ["host-1.example", "127.0.0.1", "not-shareable"],
    ["host-1.example", "10.9.9.9", "allowed"],
  ])("a port of this process at %s is no source at %s: %s", async (hostname, host, result) => {
    const listeners = [{ hostname, port: 8_002 }];
    const url = `http://${host}:8002/`;

    expect(await check(url, { reach: "host", listeners })).toBe(result);
    // Not even where an operator allows everything: it would ask itself for ever.
    if (result !== "allowed")
      expect(await check(url, { reach: "network", listeners, allow: ["*"] })).toBe(result);
  });
});

describe("no string leads the guard to a forbidden address", () => {
  const word = fc.oneof(
    fc.nat(0xffffffff).map(String),
    fc.nat(0xffffffff).map((n) => `0x${n.toString(16)}`),
    fc.nat(0xffffffff).map((n) => `0${n.toString(8)}`),
    fc.ipV4(),
    fc.ipV4Extended(),
    fc.ipV6().map((ip) => `[${ip}]`),
    fc.ipV4().map((ip) => `[::ffff:${ip}]`),
    fc.ipV4().map((ip) => `[64:ff9b::${ip}]`),
    fc.constantFrom(...FORMS),
    fc.domain(),
    fc.string(),
    fc.string({ unit: "grapheme" }),
  );

  test("whatever is written before, behind and around the host", async () => {
    const anywhere: ResolveName = (hostname) =>
      Promise.resolve([
        { address: hostname.length % 2 === 0 ? "127.0.0.1" : "10.0.0.1", family: 4 },
      ]);
    const egress = egressFixture({ reach: "network" }, { resolve: anywhere });
    const url = fc.tuple(
      fc.constantFrom("http://", "https://", "http:", "HTTP:\\\\", "http:////"),
      fc.oneof(
        fc.constant(""),
        fc.string().map((user) => `${user}@`),
      ),
      word,
      fc.oneof(
        fc.constant(""),
        fc.nat(70_000).map((port) => `:${port}`),
      ),
      fc.oneof(fc.constant("/"), fc.string()),
    );
    await fc.assert(
      fc.asyncProperty(url, async (parts) => {
        const text = parts.join("");
        if (!URL.canParse(text)) return;
        const checked = await egress
          .check(new URL(text), { from: null }, never)
          .catch((error: DfError) => error);
        if ("code" in checked) {
          expect(["not-shareable", "denied"]).toContain(checked.code);
          return;
        }
        expect(checked.addresses.length).toBeGreaterThan(0);
        for (const { address } of checked.addresses)
          expect(["public", "private"]).toContain(addressKind(address));
      }),
      { numRuns: 2_000 },
    );
  });
});

test("T-12: others are not told which ports of a private network are closed, silent or speak no HTTP", async () => {
  const silent = await startBadSource(() => {});
  const noise = await startBadSource((reply) => reply.body("SSH-2.0-x\r\n").close());
  const gone = await startBadSource(() => {});
  await gone.stop();
  const resolve = names({ "files.example": ["127.0.0.1"] });
  const failures: DfError[] = [];
  for (const { port } of [silent, noise, gone]) {
    const egress = egressFixture({ reach: "network", allow: ["files.example"] }, { resolve });
    const url = `http://files.example:${port}/`;
    const timeoutMs = { connect: 100, firstByte: 100 };
    const client = new SourceClient({ url, headers: {}, egress, timeoutMs });
    const fault = await client.ask({}, never).catch((error: { error: DfError }) => error);
    failures.push((fault as { error: DfError }).error);
    client.close();
  }
  await Promise.all([silent.stop(), noise.stop()]);

  const told = failures.map(({ code, message, hint }) => `${code} ${message} ${hint}`);
  expect(new Set(told.map((text) => text.replace(/:\d+/, ""))).size).toBe(1);
  expect(told[0]).toStartWith("network read http://files.example");
});

test("a service says at its start where sources may be", () => {
  expect(describePolicy(egressFixture({ reach: "network" }).policy)).toBe(
    "sources may be at public, private addresses",
  );
  expect(
    describePolicy(egressFixture({ reach: "network", isPublicOnly: true, allow: ["a:1"] }).policy),
  ).toBe("sources may be at public addresses, and a:1");
  expect(describePolicy(egressFixture({ reach: "host", isPublicOnly: true }).policy)).toBe(
    "sources may be at public, loopback addresses",
  );
});
