// Backup while the service runs, restore to another place and another database, and refusal of what is
// not a whole backup.

import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { Secret } from "../../../src/engine/bytes/secret.ts";
import { Session } from "../../../bench/harness/session.ts";
import { isDfError } from "../../../src/errors.ts";
import { backUpFleet, type FleetPlace, restoreFleet } from "../../../src/roles/config/backup.ts";
import {
  type ConfigFixture,
  configFixture,
  joinedFixture,
  routeRequestFixture,
  supernodeFixture,
} from "../../fixtures/config-fixture.ts";
import { openFleetDatabase } from "../../../src/store/fleet-database/open-fleet-database.ts";
import { isAnyWorkLeased } from "../../../src/store/fleet-database/work-leases.ts";
import { hasPostgres, startPostgres } from "../../fixtures/postgres.ts";

function placeIn(dataDir: string, databaseUrl: Secret<string> | null = null): FleetPlace {
  return { dataDir, databaseUrl, keysPath: join(dataDir, "keys.json") };
}

/** What a fleet is asked to tell whether it is the same one. */
async function describe(fixture: ConfigFixture, token: string) {
  const lists = ["clusters", "rules", "hosts", "tokens"].map((what) =>
    fixture.call(`GET ${what}`, { token }),
  );
  return {
    fleetKey: fixture.config.fleetKey,
    lists: (await Promise.all(lists)).map(({ json }) => json),
  };
}

/** Whether a replica has shown itself there. */
async function isServed(url: string): Promise<boolean> {
  const database = await openFleetDatabase({ dataDir: "", url });
  try {
    return await isAnyWorkLeased(database, Date.now());
  } finally {
    await database.close();
  }
}

async function furnished(session: Session, databaseUrl: Secret<string> | null = null) {
  const fixture = await configFixture(session, { databaseUrl });
  const supernode = await supernodeFixture(fixture, { address: "10.0.0.5:8002" });
  await fixture.call("PATCH clusters/default", { body: { labels: { idc: 'h"z', 城: "杭州" } } });
  await fixture.call("PUT rules/r", { body: { clusters: ["default"], priority: 3 } });
  const host = await joinedFixture(fixture);
  const body = routeRequestFixture(host.machine.hostId);
  const ask = (of: ConfigFixture) => of.call("POST routes", { body, token: host.credential });
  const { version } = (await ask(fixture)).json;
  while ((await fixture.call("GET hosts")).json.total === 0) await Bun.sleep(20);
  return { fixture, supernode, ask, version: version as number };
}

test("a fleet backed up while it runs goes on from its backup elsewhere", async () => {
  await Session.run("backup", async (session) => {
    const { fixture, supernode, ask, version } = await furnished(session);
    const file = join(session.folder, "fleet.backup");
    const restored = join(session.folder, "restored");

    await backUpFleet(placeIn(fixture.dataDir), file);
    const before = await describe(fixture, fixture.adminToken);
    await fixture.config.stop();
    await restoreFleet(placeIn(restored), file, { isReplacing: false });
    await Bun.write(join(restored, "admin-token"), fixture.adminToken);
    const again = await configFixture(session, { dataDir: restored });

    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(join(restored, "keys.json")).mode & 0o777).toBe(0o600);
    expect(await describe(again, fixture.adminToken)).toEqual(before);
    // Credentials of before are believed, and no list of before has the same version.
    const routes = await ask(again);
    expect(routes.json.supernodes).toMatchObject([{ hostId: supernode.machine.hostId }]);
    expect(routes.json.version).toBeGreaterThan(version);
  });
});

test.skipIf(!hasPostgres)("a fleet moves from SQLite to PostgreSQL and back", async () => {
  await Session.run("backup", async (session) => {
    const postgres = await startPostgres(session);
    const url = new Secret(await postgres.createDatabase("fleet"));
    const { fixture } = await furnished(session);
    const files = [join(session.folder, "1.backup"), join(session.folder, "2.backup")] as const;
    const dirs = [join(session.folder, "there"), join(session.folder, "back")] as const;
    const before = await describe(fixture, fixture.adminToken);

    await backUpFleet(placeIn(fixture.dataDir), files[0]);
    await restoreFleet(placeIn(dirs[0], url), files[0], { isReplacing: false });
    await Bun.write(join(dirs[0], "admin-token"), fixture.adminToken);
    const there = await configFixture(session, { dataDir: dirs[0], databaseUrl: url });
    const moved = await describe(there, fixture.adminToken);
    await backUpFleet(placeIn(dirs[0], url), files[1]);
    while (!(await isServed(url.reveal()))) await Bun.sleep(50);
    const served = await restoreFleet(placeIn(join(session.folder, "second"), url), files[1], {
      isReplacing: true,
    }).catch((error: unknown) => error);
    await restoreFleet(placeIn(dirs[1]), files[1], { isReplacing: false });
    await Bun.write(join(dirs[1], "admin-token"), fixture.adminToken);
    const back = await configFixture(session, { dataDir: dirs[1] });

    expect(isDfError(served, "conflict")).toBe(true);
    expect(moved).toEqual(before);
    expect(await describe(back, fixture.adminToken)).toEqual(before);
  });
});

test("a fleet that is there is replaced only when that is said", async () => {
  await Session.run("backup", async (session) => {
    const { fixture } = await furnished(session);
    const file = join(session.folder, "fleet.backup");
    await backUpFleet(placeIn(fixture.dataDir), file);
    const other = await configFixture(session);
    const place = placeIn(other.dataDir);
    const restore = (isReplacing: boolean) =>
      restoreFleet(place, file, { isReplacing }).catch((error: unknown) => error);

    const running = await restore(true);
    await other.config.stop();
    const unsaid = await restore(false);
    const said = await restore(true);

    expect([isDfError(running, "denied"), isDfError(unsaid, "conflict")]).toEqual([true, true]);
    expect(said).toStartWith("restored");
    expect(readFileSync(place.keysPath, "utf8")).toBe(
      readFileSync(join(fixture.dataDir, "keys.json"), "utf8"),
    );
  });
});

test("a damaged backup changes nothing", async () => {
  await Session.run("backup", async (session) => {
    const { fixture } = await furnished(session);
    const file = join(session.folder, "fleet.backup");
    await backUpFleet(placeIn(fixture.dataDir), file);
    const whole = readFileSync(file);
    const text = new TextDecoder().decode(Bun.gunzipSync(whole));
    const lines = text.trimEnd().split("\n");
    const zipped = (some: string[]) => Bun.gzipSync(Buffer.from(some.join("\n")));
    const target = join(session.folder, "target");
    const codes: string[] = [];

    for (const bytes of [
      new Uint8Array(),
      whole.subarray(0, whole.length - 9),
      whole.subarray(0, whole.length >> 1),
      Buffer.from("garbage"),
      zipped(lines.slice(0, -1)),
      zipped(lines.toSpliced(3, 1)),
      zipped(lines.with(0, '{"format":"other"}')),
      zipped(lines.with(0, lines[0]!.replace('"version":1', '"version":2'))),
      zipped(lines.with(2, '{"table":"unheard","row":{}}')),
    ]) {
      await Bun.write(file, bytes);
      const error = await restoreFleet(placeIn(target), file, { isReplacing: false }).catch(
        (error: unknown) => error,
      );
      codes.push(isDfError(error) ? error.code : String(error));
    }

    expect(codes).toEqual(codes.map(() => "file-unreadable"));
    expect(existsSync(join(target, "keys.json"))).toBe(false);
    await Bun.write(file, whole);
    expect(await restoreFleet(placeIn(target), file, { isReplacing: false })).toStartWith(
      "restored",
    );
  });
});

test("what is not there is not backed up", async () => {
  await Session.run("backup", async (session) => {
    const file = join(session.folder, "fleet.backup");

    const error = await backUpFleet(placeIn(session.folder), file).catch((error) => error);

    expect(isDfError(error, "file-unreadable")).toBe(true);
    expect(existsSync(file)).toBe(false);
  });
});
