// The fleet's keys file: what an earlier version left is completed, once for all replicas, and travels with
// backups.

import { expect, test } from "bun:test";
import { existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Session } from "../../../bench/harness/session.ts";
import { openFleetDatabase } from "../../../src/store/fleet-database/open-fleet-database.ts";
import { backUpFleet, restoreFleet } from "../../../src/roles/config/backup.ts";
import { FleetAuthority } from "../../../src/roles/config/fleet-authority.ts";
import { loadFleetKeys, readFleetKeys } from "../../../src/roles/config/fleet-keys.ts";
import { configFixture } from "../../fixtures/config-fixture.ts";

/** Keys as a version without certificates left them. */
async function olderKeys(session: Session): Promise<string> {
  const { dataDir, config } = await configFixture(session);
  await config.stop();
  const path = join(dataDir, "keys.json");
  const { signing, sealing } = readFleetKeys(path)!;
  writeFileSync(path, JSON.stringify({ signing, sealing }), { mode: 0o600 });
  return path;
}

test("replicas that complete the keys of an earlier version at once agree on them", () =>
  Session.run("keys", async (session) => {
    const path = await olderKeys(session);
    const before = readFleetKeys(path)!;
    expect(before.trust).toBeUndefined();

    const documents = await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const dataDir = join(session.folder, `replica-${i}`);
        mkdirSync(dataDir);
        const database = await openFleetDatabase({ dataDir, url: null });
        const { document } = await loadFleetKeys(path, database);
        await database.close();
        return document;
      }),
    );

    const kept = readFleetKeys(path)!;
    expect(kept).toMatchObject(before);
    expect(kept.trust).toBeDefined();
    for (const document of documents) expect(document).toEqual(kept);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(existsSync(`${path}.completed`)).toBe(false);
  }));

test("an addition that a killed replica left beside the keys is the one that counts", () =>
  Session.run("keys", async (session) => {
    const path = await olderKeys(session);
    const { dataDir, config } = await configFixture(session);
    await config.stop();
    const { trust } = readFleetKeys(join(dataDir, "keys.json"))!;
    const left = { ...readFleetKeys(path)!, trust };
    writeFileSync(`${path}.completed`, JSON.stringify(left), { mode: 0o600 });

    const database = await openFleetDatabase({ dataDir: session.folder, url: null });
    const keys = await loadFleetKeys(path, database);
    await database.close();

    expect(keys.document).toEqual(left);
    expect(existsSync(`${path}.completed`)).toBe(false);
  }));

test("a backup carries CA, cluster key and content secret; one of an earlier version is completed", () =>
  Session.run("keys", async (session) => {
    const { dataDir, config } = await configFixture(session);
    const placeIn = (dataDir: string) => {
      return { dataDir, databaseUrl: null, keysPath: join(dataDir, "keys.json") };
    };
    const file = join(session.folder, "fleet.backup");
    await backUpFleet(placeIn(dataDir), file);
    await config.stop();
    const restored = join(session.folder, "restored");

    await restoreFleet(placeIn(restored), file, { isReplacing: false });
    const text = readFileSync(join(restored, "keys.json"), "utf8");
    expect(JSON.parse(text)).toEqual(readFleetKeys(join(dataDir, "keys.json"))!);

    const olderPath = await olderKeys(session);
    const olderDir = join(olderPath, "..");
    const older = join(session.folder, "older.backup");
    await backUpFleet(placeIn(olderDir), older);
    const place = placeIn(join(session.folder, "restored-older"));
    await restoreFleet(place, older, { isReplacing: false });
    const again = await configFixture(session, {
      dataDir: place.dataDir,
      isAdminTokenWanted: true,
    });
    const { ca } = (await again.call("GET ca", { token: null })).json;
    expect(ca).toBe(readFleetKeys(place.keysPath)!.trust!.caCertificate);
  }));

test("the fleet's CA and cluster key are the same after a restart", () =>
  Session.run("keys", async (session) => {
    const path = await olderKeys(session);
    const load = async (): Promise<FleetAuthority> => {
      const database = await openFleetDatabase({ dataDir: session.folder, url: null });
      const authority = new FleetAuthority(await loadFleetKeys(path, database));
      await database.close();
      return authority;
    };

    const [first, second] = [await load(), await load()];

    expect(second.caAnswer).toEqual(first.caAnswer);
    expect(second.clusterKey).toBe(first.clusterKey);
  }));
