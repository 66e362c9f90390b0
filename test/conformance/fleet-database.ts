// What every dialect of the fleet's database must do; run by test/store/fleet-database.test.ts.

import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import {
  deleteCluster,
  insertCluster,
  listClusters,
  updateCluster,
} from "../../src/store/fleet-database/clusters.ts";
import {
  forgetCredentials,
  insertCredential,
  listRevokedCredentials,
  revokeCredentials,
} from "../../src/store/fleet-database/credentials.ts";
import type { FleetDatabase } from "../../src/store/fleet-database/fleet-database.ts";
import {
  claimKeyFingerprint,
  raiseRoutesVersion,
  readFleet,
} from "../../src/store/fleet-database/fleet-row.ts";
import {
  channelsOf,
  countHosts,
  findHost,
  forgetChannels,
  forgetHosts,
  type HostFilter,
  type HostRow,
  listHosts,
  saveChannels,
  saveHosts,
} from "../../src/store/fleet-database/hosts.ts";
import {
  deleteRoutingRule,
  listRoutingRules,
  putRoutingRule,
} from "../../src/store/fleet-database/routing-rules.ts";
import {
  listSupernodes,
  removeSupernode,
  saveHeartbeats,
  saveJoinedSupernode,
  silenceSupernodes,
  type SupernodeRow,
} from "../../src/store/fleet-database/supernodes.ts";
import {
  findToken,
  insertToken,
  listTokens,
  revokeToken,
  type TokenRow,
  useJoinToken,
} from "../../src/store/fleet-database/tokens.ts";
import {
  dropWorkLease,
  forgetWorkLeases,
  isAnyWorkLeased,
  takeWorkLease,
} from "../../src/store/fleet-database/work-leases.ts";

/** @param create a fresh database for each call, gone when the tests are over */
export function testFleetDatabase(name: string, create: () => Promise<FleetDatabase>): void {
  describe(name, () => {
    let database: FleetDatabase;
    beforeAll(async () => {
      database = await create();
    });
    afterAll(() => database.close());

    const routesVersion = async (): Promise<number> => (await readFleet(database)).routesVersion;

    /** Whether `change` made a new version of the routes. */
    const changesRoutes = async (change: () => Promise<unknown>): Promise<boolean> => {
      const before = await routesVersion();
      await change();
      return (await routesVersion()) > before;
    };

    test("the first key claims the fleet, and a second one learns so", async () => {
      expect(await claimKeyFingerprint(database, "aa")).toBe("aa");
      expect(await claimKeyFingerprint(database, "bb")).toBe("aa");
    });

    test("a cluster is made once, changed and deleted, and each of it changes the routes", async () => {
      const row = { name: "hz", labels: { idc: "hz" }, upstream: null, createdAt: 1 };

      expect(await changesRoutes(() => insertCluster(database, row))).toBe(true);
      expect(await insertCluster(database, row)).toBe(false);
      expect(await changesRoutes(() => updateCluster(database, "hz", { upstream: "bj" }))).toBe(
        true,
      );
      expect(await listClusters(database)).toEqual([{ ...row, upstream: "bj" }]);
      expect(await updateCluster(database, "none", { upstream: "bj" })).toBeUndefined();
      expect(await changesRoutes(() => deleteCluster(database, "hz"))).toBe(true);
      expect(await deleteCluster(database, "hz")).toBe(false);
    });

    test("rules come by priority, and a second put replaces the first", async () => {
      const rule = { priority: 1, conditions: { cidrs: ["10.0.0.0/8"] }, clusters: ["a"] };
      const more = { comment: "", createdAt: 1 };
      await putRoutingRule(database, { ...rule, ...more, id: "low" });
      await putRoutingRule(database, { ...rule, ...more, id: "high", priority: 9 });

      const put = () =>
        putRoutingRule(database, { ...rule, ...more, id: "low", clusters: ["b"], createdAt: 7 });
      expect(await changesRoutes(put)).toBe(true);

      const found = await listRoutingRules(database);
      expect(found.map(({ id, clusters, createdAt }) => [id, clusters, createdAt])).toEqual([
        ["high", ["a"], 1],
        ["low", ["b"], 1],
      ]);
      expect(found[0]!.conditions).toEqual({ cidrs: ["10.0.0.0/8"] });
      expect(await changesRoutes(() => deleteRoutingRule(database, "low"))).toBe(true);
      expect(await deleteRoutingRule(database, "low")).toBe(false);
    });

    test("a supernode lives by its heartbeats, and only its coming, going and moving change the routes", async () => {
      const beat = (change: Partial<SupernodeRow> = {}) =>
        saveHeartbeats(database, [supernodeRow("s1", change)]);
      const joined = { hostId: "s1", cluster: "c", hostname: "h", version: "1", joinedAt: 5 };

      expect(await changesRoutes(() => saveJoinedSupernode(database, joined))).toBe(false);
      expect(await changesRoutes(() => beat())).toBe(true);
      expect(await changesRoutes(() => beat({ leaseExpiresAt: 300, heartbeatAt: 12 }))).toBe(false);
      expect(await changesRoutes(() => beat({ addresses: [{ address: "10.0.0.2:1" }] }))).toBe(
        true,
      );
      const moved = { addresses: [{ address: "10.0.0.2:1" }], labels: { idc: "bj" } };
      expect(await changesRoutes(() => beat(moved))).toBe(true);
      expect(await silenceSupernodes(database, 100)).toEqual([]);
      expect(await silenceSupernodes(database, 101)).toEqual(["s1"]);
      expect(await changesRoutes(() => silenceSupernodes(database, 101))).toBe(false);
      expect(await changesRoutes(() => beat())).toBe(true);
      expect(await changesRoutes(() => beat({ state: "left" }))).toBe(true);

      expect(await removeSupernode(database, "s1")).toBe(true);
      expect(await removeSupernode(database, "s1")).toBe(false);
      expect(await changesRoutes(() => beat())).toBe(false);
      expect(await listSupernodes(database)).toEqual([]);

      await saveJoinedSupernode(database, { ...joined, cluster: "d" });
      await beat();
      const [found] = await listSupernodes(database);
      expect(found).toEqual({ ...supernodeRow("s1"), cluster: "d", joinedAt: 5, hostname: "h" });
    });

    test("hosts are saved in batches, renewed, found by what they are, and paged by ID", async () => {
      await saveHosts(database, [
        hostRow("h1", { labels: { idc: "hz", rack: 'r"1' } }),
        hostRow("h2", { labels: { idc: "hz" }, cluster: "c2", version: "2" }),
        hostRow("h3", { labels: { idc: "HZ", note: '"idc":"hz"' } }),
      ]);
      await saveHosts(database, [hostRow("h2", { hostname: "db_7", seenAt: 90, firstSeenAt: 90 })]);

      const ids = async (filter: HostFilter): Promise<string[]> =>
        (await listHosts(database, filter, { after: "", rowsMax: 10 })).map((row) => row.hostId);
      expect(await findHost(database, "h2")).toEqual(
        hostRow("h2", { hostname: "db_7", seenAt: 90, firstSeenAt: 10 }),
      );
      expect(await ids({})).toEqual(["h1", "h2", "h3"]);
      expect(await ids({ labels: { idc: "hz" } })).toEqual(["h1"]);
      expect(await ids({ labels: { idc: "hz", rack: 'r"1' } })).toEqual(["h1"]);
      expect(await ids({ hostname: "b_7" })).toEqual(["h2"]);
      expect(await ids({ hostname: "%" })).toEqual([]);
      expect(await ids({ seenSince: 50 })).toEqual(["h2"]);
      expect(await countHosts(database, { cluster: "c" })).toBe(3);
      expect(
        (await listHosts(database, {}, { after: "h1", rowsMax: 1 })).map((row) => row.hostId),
      ).toEqual(["h2"]);

      await forgetHosts(database, 50);
      expect(await ids({})).toEqual(["h2"]);
    });

    test("a host is reached by the supernodes that say it is there", async () => {
      await saveChannels(database, "s1", { arrived: ["h1", "h2"], gone: [] });
      await saveChannels(database, "s2", { arrived: ["h1", "h1"], gone: [] });
      await saveChannels(database, "s1", { arrived: ["h2"], gone: ["h1", "h9"] });

      expect(await channelsOf(database, ["h1", "h2", "h3"])).toEqual(
        new Map([
          ["h1", ["s2"]],
          ["h2", ["s1"]],
        ]),
      );
      await forgetChannels(database, ["s1"]);
      expect([...(await channelsOf(database, ["h1", "h2"])).keys()]).toEqual(["h1"]);
    });

    test("the last use of a join token goes to one of many that come at once", async () => {
      await insertToken(database, tokenRow("j1", { usesMax: 2 }));
      const use = (secretSha256 = "5ec") =>
        useJoinToken(database, { id: "j1", secretSha256, nowMs: 50 });

      expect(await use("other")).toBeUndefined();
      const used = await Promise.all(Array.from({ length: 8 }, () => use()));

      expect(used.filter((row) => row !== undefined)).toHaveLength(2);
      expect((await findToken(database, "j1"))?.useCount).toBe(2);
    });

    test.each([
      ["expired", tokenRow("t1", { expiresAt: 50 })],
      ["revoked", tokenRow("t2", { revokedAt: 1 })],
      ["an administrator's", tokenRow("t3", { kind: "admin", role: "admin" })],
    ])("a token that is %s admits nobody", async (_, row) => {
      expect(await insertToken(database, row)).toBe(true);
      expect(await insertToken(database, row)).toBe(false);

      expect(
        await useJoinToken(database, { id: row.id, secretSha256: "5ec", nowMs: 50 }),
      ).toBeUndefined();
    });

    test("a token is revoked once and stays in the list", async () => {
      await insertToken(database, tokenRow("t4"));

      expect(await revokeToken(database, "t4", 77)).toBe(true);
      expect(await revokeToken(database, "t4", 78)).toBe(false);
      const listed = await listTokens(database);
      expect(listed.find(({ id }) => id === "t4")?.revokedAt).toBe(77);
    });

    test("revoked credentials are told until they expire", async () => {
      const credential = (id: string, more: object) => ({
        ...{ id, hostId: `host-${id}`, role: "peer" as const, cluster: "c", tokenId: "t" },
        ...{ issuedAt: 1, expiresAt: 100, revokedAt: null, ...more },
      });
      await insertCredential(database, credential("a", {}));
      await insertCredential(database, credential("b", {}));
      await insertCredential(database, credential("c", { tokenId: null, expiresAt: 60 }));

      expect(await revokeCredentials(database, { hostId: "host-c" }, 9)).toBe(1);
      expect(await revokeCredentials(database, { tokenId: "t" }, 10)).toBe(2);
      expect(await revokeCredentials(database, { tokenId: "t" }, 11)).toBe(0);
      expect(await listRevokedCredentials(database, 50)).toEqual(["c", "a", "b"]);
      expect(await listRevokedCredentials(database, 60)).toEqual(["a", "b"]);
      await forgetCredentials(database, 101);
      expect(await listRevokedCredentials(database, 0)).toEqual([]);
    });

    test("one replica at a time has a work, until its lease ends or it gives it back", async () => {
      const take = (holder: string, nowMs: number) =>
        takeWorkLease(database, { name: "w", holder, expiresAt: nowMs + 10 }, nowMs);

      expect(await take("r1", 0)).toBe(true);
      expect(await take("r2", 5)).toBe(false);
      expect(await take("r1", 5)).toBe(true);
      expect(await take("r2", 16)).toBe(true);
      await dropWorkLease(database, { name: "w", holder: "r1" });
      expect(await take("r1", 17)).toBe(false);
      expect([await isAnyWorkLeased(database, 25), await isAnyWorkLeased(database, 26)]).toEqual([
        true,
        false,
      ]);
      await forgetWorkLeases(database, 26);
      expect(await take("r1", 17)).toBe(false);
      await dropWorkLease(database, { name: "w", holder: "r2" });
      expect(await take("r1", 17)).toBe(true);
    });

    test("the version of the routes is lifted, never lowered", async () => {
      const high = (await routesVersion()) + 1_000;
      await raiseRoutesVersion(database, high);
      await raiseRoutesVersion(database, 5);

      expect(await routesVersion()).toBe(high);
    });
  });
}

function supernodeRow(hostId: string, change: Partial<SupernodeRow> = {}): SupernodeRow {
  return {
    ...{ hostId, cluster: "c", hostname: "", version: "1", joinedAt: 0 },
    ...{
      addresses: [{ address: "10.0.0.1:8002", zone: "a" }],
      isTls: false,
      labels: {},
      state: "alive" as const,
    },
    ...{ leaseExpiresAt: 100, heartbeatAt: 10 },
    report: {
      load: { peers: 1, downloads: 0, uploadBytesPerSec: 5_000_000_000, sourceBytesPerSec: 0 },
      disk: { usedBytes: 1, quotaBytes: null, freeBytes: 2 },
      contents: 3,
      settingsVersion: 0,
    },
    ...change,
  };
}

function hostRow(hostId: string, change: Partial<HostRow> = {}): HostRow {
  return {
    ...{ hostId, hostname: `host-${hostId}`, addresses: ["10.0.0.9", "fd00::9"], labels: {} },
    ...{ version: "1", cluster: "c", firstSeenAt: 10, seenAt: 10 },
    ...change,
  };
}

function tokenRow(id: string, change: Partial<TokenRow> = {}): TokenRow {
  return {
    ...{ id, kind: "join" as const, secretSha256: "5ec", role: null, cluster: null },
    ...{ usesMax: null, useCount: 0, comment: "", createdBy: null, createdAt: 1 },
    ...{ usedAt: null, expiresAt: null, revokedAt: null },
    ...change,
  };
}
