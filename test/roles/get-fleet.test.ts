// `df get` on a host without a daemon or a supernode's name: `df config` names supernodes. Real
// processes from source, a real `df config` and supernode.

import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { peerStatus } from "../../bench/harness/local-api-client.ts";
import { Session, waitUntil } from "../../bench/harness/session.ts";
import type { PeerStatus } from "../../src/net/wire/local-api.ts";
import { formatJoinString } from "../../src/net/fleet/join-string.ts";
import { type FleetFixture, fleetFixture } from "../fixtures/fleet-fixture.ts";
import { linesOf, runGet } from "./get-process.ts";
import { Cleanups, randomBytes, sourceFixture } from "./peer-fixture.ts";

const env = { DRAGONFLY_JOIN: "", DRAGONFLY_CONFIG_SERVICE: "", XDG_RUNTIME_DIR: "" };

function source(session: Session) {
  const cleanups = new Cleanups();
  session.defer(() => cleanups.run());
  return sourceFixture(cleanups, randomBytes(300_000));
}

/** What background peers of this session say. */
async function peersOf({ folder }: Session): Promise<PeerStatus[]> {
  const dir = join(folder, "dragonfly");
  const names = existsSync(dir) ? readdirSync(dir) : [];
  const sockets = names.filter((name) => name.endsWith(".sock")).map((name) => join(dir, name));
  const statuses = await Promise.all(sockets.map((socket) => peerStatus(socket)));
  return statuses.filter((status): status is PeerStatus => Boolean(status));
}

async function endPeers(session: Session): Promise<void> {
  for (const { pid } of await peersOf(session)) process.kill(pid, "SIGTERM");
  await waitUntil("the background peer ended", async () => (await peersOf(session)).length === 0);
}

async function withFleet(
  options: { isOpen: boolean },
  work: (session: Session, fleet: FleetFixture) => Promise<void>,
): Promise<void> {
  await Session.run("get-fleet", async (session) => {
    const fleet = await fleetFixture(session, options);
    session.defer(() => endPeers(session));
    await work(session, fleet);
  });
}

test(
  "df get --config-service brings a file through the swarm without a daemon's settings",
  () =>
    withFleet({ isOpen: true }, async (session, fleet) => {
      const { running } = await fleet.supernode("default");
      const { url, data } = source(session);
      const args = [url, "--config-service", fleet.url, "--no-origin", "--json", "--linger", "1m"];

      const first = await runGet(session, [...args, "-o", "one"], { env });
      const second = await runGet(session, [...args, "-o", "two"], { env });

      expect([first.exitCode, second.exitCode]).toEqual([0, 0]);
      for (const name of ["one", "two"]) {
        expect(readFileSync(join(session.folder, name)).equals(data)).toBe(true);
      }
      expect(linesOf(first).at(-1)).toMatchObject({ bytes: { supernode: 300_000 } });
      expect(linesOf(second).at(-1)).toMatchObject({ bytes: { cache: 300_000 } });
      const peers = await peersOf(session);
      expect(peers).toHaveLength(1);
      expect(peers[0]!.supernodes.map(({ address }) => address)).toEqual([running.address]);
    }),
  60_000,
);

test(
  "a background peer that starts while df config is gone finds its supernodes on disk",
  () =>
    withFleet({ isOpen: true }, async (session, fleet) => {
      await fleet.supernode("default");
      const args = ["--config-service", fleet.url, "--no-origin", "--linger", "1m"];
      const known = await runGet(session, [source(session).url, "-o", "one", ...args], { env });
      expect(known.exitCode).toBe(0);
      await endPeers(session);
      await fleet.config.stop();

      const again = await runGet(session, [source(session).url, "-o", "two", ...args], { env });

      expect(again.exitCode).toBe(0);
    }),
  60_000,
);

test(
  "a join string is taken from a file and shown in no list of processes",
  () =>
    withFleet({ isOpen: false }, async (session, fleet) => {
      await fleet.supernode("default");
      const { urls, token } = await fleet.address();
      const path = join(session.folder, "join");
      const { fleetKey } = fleet.config;
      writeFileSync(
        path,
        `${formatJoinString({ urls: [...urls], token: token?.reveal(), fleetKey })}\n`,
      );
      const { url } = source(session);

      const got = await runGet(
        session,
        [url, "-o", "one", "--join", `@${path}`, "--no-origin", "--linger", "1m"],
        { env },
      );

      expect(got.stderr).not.toContain("error");
      expect(got.exitCode).toBe(0);
      const [peer] = await peersOf(session);
      expect(readFileSync(`/proc/${peer!.pid}/cmdline`, "utf8")).not.toContain("df1.");
    }),
  60_000,
);

test(
  "df get --no-daemon joins the fleet too",
  () =>
    withFleet({ isOpen: true }, async (session, fleet) => {
      await fleet.supernode("default");
      const { url, data } = source(session);

      const got = await runGet(session, [url, "-o", "one", "--no-daemon", "--no-origin"], {
        env: { ...env, DRAGONFLY_CONFIG_SERVICE: fleet.url },
      });

      expect(got.exitCode).toBe(0);
      expect(readFileSync(join(session.folder, "one")).equals(data)).toBe(true);
      expect(await peersOf(session)).toEqual([]);
    }),
  60_000,
);

test(
  "a host whose df config cannot be reached reads the source all the same",
  () =>
    Session.run("get-fleet", async (session) => {
      const { url, data } = source(session);
      const args = [url, "-o", "one", "--config-service", "http://127.0.0.1:9", "--no-daemon"];

      const got = await runGet(session, args, { env });

      expect(got.exitCode).toBe(0);
      expect(readFileSync(join(session.folder, "one")).equals(data)).toBe(true);
    }),
  60_000,
);
