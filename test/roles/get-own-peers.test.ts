// `df get` with a supernode and no daemon running: the background peer it starts, and the peer it
// runs inside itself with --no-daemon. Real processes of the built executable.

import { expect, test } from "bun:test";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import {
  CountingSource,
  randomPayload,
  sha256Hex,
  sha256HexOfFile,
} from "../../bench/harness/counting-source.ts";
import { peerStatus } from "../../bench/harness/local-api-client.ts";
import { Session, waitUntil } from "../../bench/harness/session.ts";
import type { PeerStatus } from "../../src/net/wire/local-api.ts";
import type { SupernodeStatus } from "../../src/roles/supernode/status.ts";
import { hasDf, runDf, startDf, supernodeFixture } from "../fixtures/spawn-df.ts";

const MB = 1_000_000;

/** The sockets of background peers in this session's state folder. */
function socketsOf(session: Session): string[] {
  const dir = join(session.folder, "state", "dragonfly");
  if (!existsSync(dir)) return [];
  return readdirSync(dir)
    .filter((name) => name.endsWith(".sock"))
    .map((name) => join(dir, name));
}

async function statusesOf(session: Session): Promise<PeerStatus[]> {
  const statuses = await Promise.all(socketsOf(session).map((socket) => peerStatus(socket)));
  return statuses.filter((status): status is PeerStatus => Boolean(status));
}

async function endPeers(session: Session): Promise<void> {
  for (const { pid } of await statusesOf(session)) process.kill(pid, "SIGTERM");
  await waitUntil("background peers gone", async () => (await statusesOf(session)).length === 0);
}

function envOf(session: Session): Record<string, string> {
  return {
    XDG_STATE_HOME: join(session.folder, "state"),
    XDG_RUNTIME_DIR: "",
    DRAGONFLY_SUPERNODE: "",
  };
}

interface Result {
  bytes: { source: number; supernode: number; peers: number; cache: number };
}

function resultOf(stdout: string): Result {
  return JSON.parse(stdout.trim().split("\n").at(-1)!) as Result;
}

test.if(hasDf)("two gets at once start one background peer and read the source once", async () => {
  const bytes = randomPayload(4 * MB);
  await using source = await CountingSource.start({ bytes, bytesPerSec: 8 * MB });

  await Session.run("get", async (session) => {
    const supernode = await supernodeFixture(session);
    const args = ["get", source.url, "--supernode", supernode.address, "--linger", "1m", "--json"];
    session.defer(() => endPeers(session));
    const runs = await Promise.all(
      ["one", "two"].map((name) => runDf(session, [...args, "-o", name], envOf(session))),
    );

    expect(runs.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
    for (const name of ["one", "two"]) {
      expect(await sha256HexOfFile(join(session.folder, name))).toBe(sha256Hex(bytes));
    }
    expect(source.bodyBytes).toBe(bytes.length);
    const peers = await statusesOf(session);
    expect(peers).toHaveLength(1);
    const { pid } = peers[0]!;
    expect(readlinkSync(`/proc/${pid}/cwd`)).toBe("/");
    const [, , , , sessionId] = readFileSync(`/proc/${pid}/stat`, "utf8").split(/\) | /);
    expect(Number(sessionId)).not.toBe(process.pid);

    const again = await runDf(session, [...args, "-o", "three"], envOf(session));
    expect(resultOf(again.stdout).bytes.cache).toBe(bytes.length);
  });
});

test.if(hasDf)("a background peer ends by itself after --linger", async () => {
  const bytes = randomPayload(1000);
  await using source = await CountingSource.start({ bytes });

  await Session.run("get", async (session) => {
    const supernode = await supernodeFixture(session);
    const args = ["get", source.url, "--supernode", supernode.address, "--linger", "200ms"];
    session.defer(() => endPeers(session));
    const { exitCode, stderr } = await runDf(session, [...args, "-o", "out"], envOf(session));
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });

    await waitUntil("the peer's end", async () => (await statusesOf(session)).length === 0);
    expect(socketsOf(session)).toEqual([]);
  });
});

test.if(hasDf)(
  "with --no-daemon a killed get goes on with its pieces and leaves none",
  async () => {
    const bytes = randomPayload(8 * MB);
    await using source = await CountingSource.start({ bytes, bytesPerSec: 8 * MB });

    await Session.run("get", async (session) => {
      const supernode = await supernodeFixture(session);
      const args = [
        "get",
        source.url,
        "--supernode",
        supernode.address,
        "--no-daemon",
        "-o",
        "out",
      ];
      const first = startDf(session, args, envOf(session));
      await waitUntil("half of the file", async () => source.bodyBytes > 4 * MB);
      // Else the rest is sent to a busy machine before some of this has arrived there.
      source.bytesPerSec = MB / 10;
      await waitUntil("some of it passed on", async () => {
        const answer = await fetch(`http://${supernode.address}/v1/status`);
        return ((await answer.json()) as SupernodeStatus).uploadedBytes > MB;
      });
      first.child.kill("SIGKILL");
      await first.finished;
      source.bytesPerSec = Infinity;
      expect(existsSync(join(session.folder, "out"))).toBe(false);
      const { exitCode, stdout, stderr } = await runDf(
        session,
        [...args, "--json"],
        envOf(session),
      );

      expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
      expect(await sha256HexOfFile(join(session.folder, "out"))).toBe(sha256Hex(bytes));
      expect(source.bodyBytes).toBe(bytes.length);
      expect(resultOf(stdout).bytes.cache).toBeGreaterThan(0);
      expect(socketsOf(session)).toEqual([]);
      expect(readdirSync(join(session.folder, "state", "dragonfly"))).toEqual([]);
      expect(readdirSync(session.folder).filter((name) => name.includes(".df-part"))).toEqual([]);
    });
  },
);

test.if(hasDf)("a dead supernode and --no-origin end in an error, not in a wait", async () => {
  await using source = await CountingSource.start({ bytes: randomPayload(1000) });

  await Session.run("get", async (session) => {
    const args = ["get", source.url, "--supernode", "127.0.0.1:1", "--no-daemon", "--no-origin"];
    const { exitCode, stderr } = await runDf(session, [...args, "--timeout", "3s"], envOf(session));

    expect([10, 15]).toContain(exitCode);
    expect(stderr).toContain("error: ");
    expect(source.bodyBytes).toBe(0);
  });
});
