// Which supernodes serve a host: the order of what decides, and that spreading is even and calm.

import { expect, test } from "bun:test";
import fc from "fast-check";
import ipaddr from "ipaddr.js";
import {
  FleetRouting,
  type FleetSupernode,
  type RoutedHost,
  type RoutingRule,
  SUPERNODES_ROUTED_MAX,
} from "../../src/engine/core/routing.ts";
import { AddressBlocks, compileGlob } from "../../src/engine/core/routing-match.ts";
import { parseAddressBlock, parseAddressWords } from "../../src/net/fleet/address-words.ts";

function supernodeFixture(name: string, change: Partial<FleetSupernode> = {}): FleetSupernode {
  const [cluster] = name.split("-");
  return {
    ...{ hostId: name, cluster: cluster!, labels: {} },
    addresses: [{ address: `${name}:8002` }],
    ...change,
  };
}

function hostFixture(change: Partial<RoutedHost> = {}): RoutedHost {
  return {
    ...{ hostId: "host-1", hostname: "web-1.example.org", labels: {}, latencyMs: {} },
    addresses: [parseAddressWords("10.1.2.3")!],
    ...change,
  };
}

function routed(
  fleet: { supernodes: FleetSupernode[]; rules?: RoutingRule[] },
  host: Partial<RoutedHost> = {},
): string[] {
  return new FleetRouting({ rules: [], ...fleet })
    .route(hostFixture(host))
    .map(({ hostId }) => hostId);
}

const block = (text: string) => parseAddressBlock(text)!;

const near = { idc: "paris", location: "europe|fr|paris" };
const FLEET = [
  supernodeFixture("a-1"),
  supernodeFixture("b-1", { labels: { idc: "paris" } }),
  supernodeFixture("c-1", { labels: { location: "europe|fr|lyon" } }),
  supernodeFixture("d-1", { labels: { location: "europe|de|bonn" } }),
];

test.each<[string, Partial<RoutedHost>, RoutingRule[], string]>([
  ["a rule is first", { labels: near }, [{ priority: 1, clusters: ["a"] }], "a-1"],
  ["then the same idc", { labels: near, cluster: "a" }, [], "b-1"],
  [
    "then the longest location",
    { labels: { location: "europe|fr|nice" }, cluster: "a" },
    [],
    "c-1",
  ],
  ["then the joined cluster", { cluster: "d", latencyMs: { "a-1:8002": 0.2 } }, [], "d-1"],
  ["then the least latency", { latencyMs: { "a-1:8002": 30, "c-1:8002": 3 } }, [], "c-1"],
])("of what decides, %s", (_, host, rules, first) => {
  expect(routed({ supernodes: FLEET, rules }, host)[0]).toBe(first);
});

test.each<[string, Omit<RoutingRule, "priority" | "clusters">, boolean]>([
  ["an IPv4 block around it", { blocks: [block("10.1.0.0/16")] }, true],
  ["one of several blocks", { blocks: [block("fd00::/8"), block("10.0.0.0/8")] }, true],
  ["a block beside it", { blocks: [block("10.2.0.0/16")] }, false],
  ["no block at all", { blocks: [] }, false],
  ["all of its labels", { labels: { team: "web", tier: "1" } }, true],
  ["one label that is another", { labels: { team: "web", tier: "2" } }, false],
  ["a label that it lacks", { labels: { os: "linux" } }, false],
  ["a host name glob", { hostname: "WEB-*.example.org" }, true],
  ["another host name", { hostname: "db-*" }, false],
  ["all conditions", { blocks: [block("10.1.2.3")], hostname: "web-?.*" }, true],
  ["some of them", { blocks: [block("10.1.2.3")], hostname: "db*" }, false],
])("a rule with %s", (_, conditions, isTaken) => {
  const rules = [{ priority: 1, clusters: ["d"], ...conditions }];
  const host = { labels: { team: "web", tier: "1", idc: "paris" } };

  expect(routed({ supernodes: FLEET, rules }, host)[0]).toBe(isTaken ? "d-1" : "b-1");
});

test("rules count by priority, then in their order, and each adds its clusters", () => {
  const rules = [
    { priority: 1, clusters: ["a"] },
    { priority: 5, clusters: ["c", "d"] },
    { priority: 5, clusters: ["d", "b"] },
  ];

  expect(routed({ supernodes: FLEET, rules })).toEqual(["c-1", "d-1", "b-1", "a-1"]);
});

test("an address of another zone is not offered, one of the host's zone before one for all", () => {
  const supernodes = [
    supernodeFixture("a-1", { addresses: [{ address: "dmz:1", zone: "dmz" }] }),
    supernodeFixture("a-2", {
      addresses: [{ address: "all:1" }, { address: "lab:1", zone: "lab" }],
    }),
  ];
  const addresses = (zone?: string): string[] =>
    new FleetRouting({ supernodes, rules: [] })
      .route(hostFixture({ labels: zone === undefined ? {} : { zone } }))
      .map(({ address }) => address)
      .toSorted();

  expect(addresses()).toEqual(["all:1"]);
  expect(addresses("lab")).toEqual(["lab:1"]);
  expect(addresses("dmz")).toEqual(["all:1", "dmz:1"]);
});

test("a latency that wavers within its class does not reorder", () => {
  const order = (a: number, b: number): string[] =>
    routed({ supernodes: FLEET.slice(0, 2) }, { latencyMs: { "a-1:8002": a, "b-1:8002": b } });

  expect(order(5, 14)).toEqual(order(14, 5));
  expect(order(5, 0.5)).toEqual(["b-1", "a-1"]);
});

test("a host that is served from afar tries what it has not measured, one served well does not", () => {
  const first = (ms: number): string | undefined =>
    routed({ supernodes: FLEET.slice(0, 2) }, { latencyMs: { "a-1:8002": ms } })[0];

  expect(first(3)).toBe("a-1");
  expect(first(300)).toBe("b-1");
});

test("the members of one cluster stand together, and the nearest five clusters all have a place", () => {
  const supernodes = ["a", "b", "c", "d", "e", "f"].flatMap((cluster) =>
    Array.from({ length: 20 }, (_, i) => supernodeFixture(`${cluster}-${i}`)),
  );

  const clusters = routed({ supernodes }, { cluster: "f" }).map((name) => name[0]);

  expect(clusters).toHaveLength(SUPERNODES_ROUTED_MAX);
  expect(clusters.slice(0, 12)).toEqual(Array.from({ length: 12 }, () => "f"));
  expect(new Set(clusters).size).toBe(5);
});

const names = fc.uniqueArray(fc.integer({ min: 0, max: 999 }), { minLength: 2, maxLength: 12 });

test("hosts are spread evenly over equals", () => {
  const supernodes = [0, 1, 2, 3].map((i) => supernodeFixture(`a-${i}`));
  const routing = new FleetRouting({ supernodes, rules: [] });
  const counts = new Map<string, number>();

  for (let i = 0; i < 8_000; i++) {
    const [first] = routing.route(hostFixture({ hostId: `host-${i}` }));
    counts.set(first!.hostId, (counts.get(first!.hostId) ?? 0) + 1);
  }

  for (const count of counts.values()) expect(Math.abs(count - 2_000)).toBeLessThan(200);
});

test("a supernode that goes moves only the hosts that had it first, one that comes takes them alone", () => {
  fc.assert(
    fc.property(names, fc.nat(), fc.stringMatching(/^[0-9a-f]{8,64}$/), (ids, at, host) => {
      const all = ids.map((id) => supernodeFixture(`a-${id}`));
      const gone = all[at % all.length]!;

      const before = routed({ supernodes: all }, { hostId: host });
      const after = routed({ supernodes: all.filter((one) => one !== gone) }, { hostId: host });

      expect(after).toEqual(before.filter((name) => name !== gone.hostId));
    }),
  );
});

test("the answer depends on nothing but fleet and host: not on the order in which supernodes came", () => {
  fc.assert(
    fc.property(fc.shuffledSubarray(FLEET, { minLength: 4 }), fc.string(), (shuffled, hostId) => {
      expect(routed({ supernodes: shuffled }, { hostId })).toEqual(
        routed({ supernodes: FLEET }, { hostId }),
      );
    }),
  );
});

test("a block holds exactly the addresses that share its prefix", () => {
  const bytes = fc.uint8Array({ minLength: 16, maxLength: 16 });
  const words = (of: Uint8Array) =>
    [0, 4, 8, 12].map((at) => new DataView(of.buffer).getUint32(at)) as unknown as [
      number,
      number,
      number,
      number,
    ];
  const bits = (of: Uint8Array): string =>
    [...of].map((byte) => byte.toString(2).padStart(8, "0")).join("");
  fc.assert(
    fc.property(
      bytes,
      bytes,
      fc.integer({ min: 0, max: 128 }),
      fc.nat(127),
      (a, b, length, flip) => {
        // Addresses drawn apart share no long prefix: so one that differs in a single bit, too.
        const close = Uint8Array.from(a);
        close[flip >>> 3]! ^= 128 >>> (flip & 7);
        const held = new AddressBlocks([{ network: words(a), prefixLength: length }]);

        for (const other of [a, b, close]) {
          const isHeld = bits(other).slice(0, length) === bits(a).slice(0, length);
          expect(held.holdOne([words(other)])).toBe(isHeld);
        }
      },
    ),
  );
});

test("a glob matches what the same regular expression does", () => {
  const sign = fc.constantFrom("a", "b", "*", "?", ".");
  fc.assert(
    fc.property(
      fc.array(sign, { maxLength: 8 }),
      fc.stringMatching(/^[ab.]{0,10}$/),
      (signs, text) => {
        const pattern = signs.join("");
        const same = new RegExp(
          `^${pattern.replaceAll(".", "\\.").replaceAll("*", ".*").replaceAll("?", ".")}$`,
        );

        expect(compileGlob(pattern)(text)).toBe(same.test(text));
      },
    ),
  );
});

test("a glob of many stars costs no more than its length times the name's", () => {
  const isHost = compileGlob("*a".repeat(120));

  expect(isHost("a".repeat(255))).toBe(true);
  expect(isHost(`${"a".repeat(119)}${"b".repeat(136)}`)).toBe(false);
});

test.each([
  ["10.0.0.0/8", "10.255.0.1", true],
  ["10.0.0.0/8", "::ffff:10.1.1.1", true],
  ["0.0.0.0/0", "192.0.2.1", true],
  ["0.0.0.0/0", "2001:db8::1", false],
  ["::/0", "192.0.2.1", true],
  ["2001:db8::/33", "2001:db8:8000::1", false],
  ["192.0.2.7", "192.0.2.7", true],
  ["fe80::1/64", "fe80::2%eth0", true],
])("block %s and address %s", (text, address, isHeld) => {
  expect(new AddressBlocks([block(text)]).holdOne([parseAddressWords(address)!])).toBe(isHeld);
});

test("addresses of both families are read as a general parser reads them", () => {
  fc.assert(
    fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
      const bytes = ipaddr.parse(text).toByteArray();
      const mapped = bytes.length === 4 ? [...Array(10).fill(0), 255, 255, ...bytes] : bytes;
      const words = Uint32Array.from(parseAddressWords(text)!, (word) => word >>> 0);

      expect([...words].flatMap((word) => [24, 16, 8, 0].map((by) => (word >>> by) & 255))).toEqual(
        mapped,
      );
    }),
  );
});

test.each([
  "",
  "010.0.0.1",
  "1.2.3.4.5",
  ":::",
  "10.0.0",
  "10.0.0.256",
  "0x7f.1",
  "10.0.0.0/33",
  "::/129",
  "10.0.0.0/",
  "name/8",
])("%p is no address block", (text) => {
  expect(parseAddressBlock(text)).toBeNull();
});
