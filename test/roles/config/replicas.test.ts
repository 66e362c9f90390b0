// Two replicas of `df config` on one PostgreSQL, as real processes: either may die, and the database
// may be away, without any host losing its supernodes.

import { generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "bun:test";
import { freePortPair } from "../../../bench/harness/free-port.ts";
import { Session, waitUntil } from "../../../bench/harness/session.ts";
import { FleetClient } from "../../../src/net/fleet/fleet-client.ts";
import { parseJoinString } from "../../../src/net/fleet/join-string.ts";
import {
  heartbeatFixture,
  machineFixture,
  routeRequestFixture,
} from "../../fixtures/config-fixture.ts";
import { hasPostgres, type RunningPostgres, startPostgres } from "../../fixtures/postgres.ts";
import { killHard } from "../../fixtures/spawn-df.ts";

const NEVER = new AbortController().signal;

interface Replica {
  url: string;
  child: Bun.Subprocess;
  isReady(): Promise<boolean>;
}

interface Fleet {
  postgres: RunningPostgres;
  start: (name: string, port: number) => Promise<Replica>;
}

async function withFleet(work: (fleet: Fleet, session: Session) => Promise<void>): Promise<void> {
  await Session.run("replicas", async (session) => {
    const postgres = await startPostgres(session);
    const database = await postgres.createDatabase("fleet");
    const start = async (name: string, port: number): Promise<Replica> => {
      const url = `http://127.0.0.1:${port}`;
      const child = session.start(
        [
          ...[process.execPath, join(import.meta.dir, "../../../src/main.ts"), "config"],
          ...["--listen", `127.0.0.1:${port}`, "--database", database],
          ...["--data-dir", join(session.folder, name), "--keys", join(session.folder, "keys")],
          ...["--lease", "3s", "--interval", "300ms"],
        ],
        { logPath: join(session.folder, `${name}.log`) },
      );
      const isReady = (): Promise<boolean> =>
        fetch(`${url}/readyz`).then(
          ({ ok }) => ok,
          () => false,
        );
      await waitUntil(`start replica ${name}`, () => {
        if (child.exitCode !== null) throw new Error(`replica ${name} ended`);
        return isReady();
      });
      return { url, child, isReady };
    };
    await work({ postgres, start }, session);
  });
}

/** A supernode that goes on with its heartbeats at whichever replica answers, and a host. */
async function populate(session: Session, urls: readonly string[], token: string) {
  const joinAs = async (role: "supernode" | "peer") => {
    const machine = machineFixture({ role });
    const { credential } = await new FleetClient({ urls }).join(machine, token, NEVER);
    const clientOf = (urls: readonly string[]) =>
      new FleetClient({ urls, credential: () => credential });
    return { ...machine, client: clientOf(urls), clientOf };
  };
  const [supernode, host] = await Promise.all([joinAs("supernode"), joinAs("peer")]);
  let isSilent = false;
  const beating = (async () => {
    while (!isSilent) {
      await supernode.client.heartbeat(heartbeatFixture(supernode.hostId), NEVER).catch(() => {});
      await Bun.sleep(300);
    }
  })();
  session.defer(async () => {
    isSilent = true;
    await beating;
  });
  return {
    ask: (change: object = {}) =>
      host.client.routes(routeRequestFixture(host.hostId, change), NEVER),
    /** Whether a host that asks only there, else at whichever answers, gets the supernode. */
    async isServed(url?: string): Promise<boolean> {
      const client = url === undefined ? host.client : host.clientOf([url]);
      const answer = await client.routes(routeRequestFixture(host.hostId), NEVER).catch(() => null);
      return answer?.supernodes[0]?.hostId === supernode.hostId;
    },
  };
}

test.skipIf(!hasPostgres)(
  "either of two replicas dies, and hosts keep their supernodes",
  async () => {
    await withFleet(async ({ start }, session) => {
      const [portA, portB] = [await freePortPair(), await freePortPair()];
      const a = await start("a", portA);
      const b = await start("b", portB);
      const { token } = parseJoinString(readFileSync(join(session.folder, "a/join"), "utf8"));
      const fleet = await populate(session, [a.url, b.url], token!.reveal());
      await waitUntil("serve the host from the first replica", () => fleet.isServed(a.url));
      await waitUntil("serve the host from the second one", () => fleet.isServed(b.url));
      const adminToken = readFileSync(join(session.folder, "a/admin-token"), "utf8").trim();
      const headers = { authorization: `Bearer ${adminToken}`, "content-type": "application/json" };

      await killHard(a.child);
      // Longer than the lease: only heartbeats at the other replica keep the supernode in lists.
      const served: boolean[] = [];
      for (let i = 0; i < 20; i++) {
        served.push(await fleet.isServed());
        await Bun.sleep(200);
      }
      const body = JSON.stringify({ name: "made-at-b" });
      await fetch(`${b.url}/api/v1/clusters`, { method: "POST", headers, body });
      const again = await start("a", portA);
      await killHard(b.child);
      const seen = await fetch(`${again.url}/api/v1/clusters/made-at-b`, { headers });

      expect(served).toEqual(served.map(() => true));
      expect(seen.status).toBe(200);
      await waitUntil("serve the host from the first replica again", () => fleet.isServed());
    });
  },
  60_000,
);

test.skipIf(!hasPostgres)(
  "a change at one replica wakes the hosts that wait at the other",
  async () => {
    await withFleet(async ({ start }, session) => {
      const a = await start("a", await freePortPair());
      const b = await start("b", await freePortPair());
      const { token } = parseJoinString(readFileSync(join(session.folder, "a/join"), "utf8"));
      const atA = await populate(session, [a.url], token!.reveal());
      await waitUntil("serve the host", () => atA.isServed());
      const { version } = await atA.ask();

      const held = atA.ask({ knownVersion: version, waitSeconds: 30 });
      await populate(session, [b.url], token!.reveal());
      const answer = await held;

      expect(answer.version).toBeGreaterThan(version);
      expect(answer.supernodes).toHaveLength(2);
    });
  },
  60_000,
);

test.skipIf(!hasPostgres)(
  "while the database is away hosts are served from memory, and nobody is thrown out when it is back",
  async () => {
    await withFleet(async ({ postgres, start }, session) => {
      const a = await start("a", await freePortPair());
      const { token } = parseJoinString(readFileSync(join(session.folder, "a/join"), "utf8"));
      const fleet = await populate(session, [a.url], token!.reveal());
      await waitUntil("serve the host", () => fleet.isServed());

      await postgres.kill();
      await waitUntil("notice the loss", async () => !(await a.isReady()));
      const served: boolean[] = [];
      // Longer than the lease.
      for (let i = 0; i < 20; i++) {
        served.push(await fleet.isServed());
        await Bun.sleep(200);
      }
      await postgres.start();
      await waitUntil("notice the return", () => a.isReady());
      for (let i = 0; i < 20; i++) {
        served.push(await fleet.isServed());
        await Bun.sleep(200);
      }

      expect(served).toEqual(served.map(() => true));
    });
  },
  60_000,
);

test.skipIf(!hasPostgres)(
  "a replica with keys of its own is refused",
  async () => {
    await withFleet(async ({ start }, session) => {
      await start("a", await freePortPair());
      const { privateKey } = generateKeyPairSync("ed25519");
      const { kty, crv, x, d } = privateKey.export({ format: "jwk" });
      const keys = JSON.stringify({ signing: { kty, crv, x, d }, sealing: "A".repeat(43) });
      await Bun.write(join(session.folder, "keys"), keys, { mode: 0o600 });

      const failure = await start("b", await freePortPair()).catch(String);

      expect(failure).toContain("replica b ended");
      expect(readFileSync(join(session.folder, "b.log"), "utf8")).toContain("--keys");
    });
  },
  60_000,
);
