// Two replicas of df config on one PostgreSQL, of which either may die: settings and preheats go on.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { Secret } from "../../../src/engine/bytes/secret.ts";
import { CountingSource, randomPayload } from "../../../bench/harness/counting-source.ts";
import { freePortPair } from "../../../bench/harness/free-port.ts";
import { Session, waitUntil } from "../../../bench/harness/session.ts";
import { configFixture } from "../../fixtures/config-fixture.ts";
import { fleetFixture } from "../../fixtures/fleet-fixture.ts";
import { hasPostgres, startPostgres } from "../../fixtures/postgres.ts";

const MB = 1_000_000;

test.if(hasPostgres)(
  "a preheat ordered at one replica and a setting made at the other outlive both in turn",
  () =>
    Session.run("fleet-replicas", async (session) => {
      const bytes = randomPayload(MB);
      await using source = await CountingSource.start({ bytes });
      const postgres = await startPostgres(session);
      const databaseUrl = new Secret(await postgres.createDatabase("fleet"));
      const [portA, portB] = [await freePortPair(), await freePortPair()];
      const shared = {
        ...{ databaseUrl, keysPath: join(session.folder, "keys.json") },
        ...{ leaseMs: 3_000, intervalMs: 200 },
        urls: [portA, portB].map((port) => `http://127.0.0.1:${port}`),
      };
      const listen = (port: number) => ({ hostname: "127.0.0.1", port });
      const first = await fleetFixture(session, { ...shared, listen: listen(portA) });
      const second = await configFixture(session, {
        ...{ ...shared, listen: listen(portB), isAdminTokenWanted: true },
      });
      await first.supernode("default");
      const peer = await first.peer({ quotaBytes: undefined });
      await waitUntil("register", async () => (await second.call("GET hosts")).json.total === 1);

      const { json: job } = await first.call("POST preheats", {
        body: { urls: [source.url], scope: "peers" },
      });
      await first.config.stop();
      await second.call("PATCH settings/fleet", { body: { set: { quota: 200 * MB } } });
      await waitUntil("set", () => peer.running.status().store.quotaBytes === 200 * MB);
      await waitUntil(
        "preheat",
        async () => (await second.call(`GET preheats/${job.id}`)).json.state === "done",
        60_000,
      );
      const again = await configFixture(session, {
        ...{ ...shared, listen: listen(portA), dataDir: first.dataDir },
      });
      await second.config.stop();
      await again.call("POST settings/rollback", { body: { version: 0 } });

      await waitUntil("set back", () => peer.running.status().store.quotaBytes === null);
      expect(peer.running.status().store.contents).toBe(1);
      expect(source.bodyBytes).toBeLessThanOrEqual(1.01 * bytes.length);
    }),
  120_000,
);
