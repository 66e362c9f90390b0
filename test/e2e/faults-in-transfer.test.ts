// Processes are killed in mid-transfer and hosts spoil bytes; the same commands then finish, no wrong
// byte appears, and what is fetched twice is bounded by what was in flight.

import { expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import {
  CountingSource,
  randomPayload,
  sha256Hex,
  sha256HexOfFile,
} from "../../bench/harness/counting-source.ts";
import { startPeer, startSupernode, type RunningPeer } from "../../bench/harness/df-roles.ts";
import { freePortPair } from "../../bench/harness/free-port.ts";
import { peerStatus } from "../../bench/harness/local-api-client.ts";
import { Session, waitUntil } from "../../bench/harness/session.ts";
import { pieceLengthFor } from "../../src/engine/core/piece-layout.ts";
import { SOURCE_CONNECTIONS, UPLOAD_SLOTS } from "../../src/limits.ts";
import type { SupernodeStatus } from "../../src/roles/supernode/status.ts";
import { startFlippingProxy } from "../fixtures/flipping-proxy.ts";
import {
  getArgs,
  hasDf,
  killHard,
  outputIn,
  runDf,
  startDf,
  supernodeFixture,
  withSwarm,
} from "../fixtures/spawn-df.ts";

const MB = 1_000_000;
const LENGTH = 12 * MB;
const PIECE_LENGTH = pieceLengthFor(LENGTH);
/** Slow enough that a kill lands in the middle, fast enough for a test. */
const SOURCE_RATE = 6 * MB;

async function doneBytes(peer: RunningPeer): Promise<number> {
  const status = await peerStatus(peer.socket);
  return status?.downloads[0]?.doneBytes ?? 0;
}

function waitForPart(peer: RunningPeer, fraction: number): Promise<void> {
  return waitUntil(
    `${fraction} of the file`,
    async () => (await doneBytes(peer)) > LENGTH * fraction,
  );
}

test.if(hasDf)("df get killed in mid-transfer finishes when it is run again", async () => {
  const bytes = randomPayload(LENGTH);
  await using source = await CountingSource.start({ bytes, bytesPerSec: SOURCE_RATE });

  await withSwarm({ peerCount: 1 }, async ({ session, peers }) => {
    const output = outputIn(session, "output");
    const args = getArgs(source.url, output, peers[0]!);
    const first = startDf(session, args);
    await waitForPart(peers[0]!, 0.3);
    await killHard(first.child);
    expect(await Bun.file(output).exists()).toBe(false);

    const { exitCode, stderr } = await runDf(session, args);

    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    expect(await sha256HexOfFile(output)).toBe(sha256Hex(bytes));
    expect(source.bodyBytes).toBe(LENGTH);
    expect((await readdir(session.folder)).filter((name) => name.includes(".df-part"))).toEqual([]);
  });
});

test.if(hasDf)(
  "a peer killed in mid-transfer keeps what it had and the others never notice",
  async () => {
    const bytes = randomPayload(LENGTH);
    await using source = await CountingSource.start({ bytes, bytesPerSec: SOURCE_RATE });

    await Session.run("e2e", async (session) => {
      const supernode = await supernodeFixture(session);
      const options = await Promise.all(
        [0, 1, 2].map(async (i) => ({
          name: `peer-${i}`,
          listen: `127.0.0.1:${await freePortPair()}`,
          supernode: supernode.address,
        })),
      );
      const peers = await Promise.all(options.map((one) => startPeer(session, one)));
      const outputs = peers.map((_, i) => outputIn(session, `output-${i}`));
      const runs = peers.map((peer, i) => startDf(session, getArgs(source.url, outputs[i]!, peer)));
      await waitForPart(peers[0]!, 0.5);
      const hadBytes = await doneBytes(peers[0]!);
      await killHard(peers[0]!.child);

      const [, ...others] = await Promise.all(runs.map(({ finished }) => finished));
      expect(others).toMatchObject([{ exitCode: 0 }, { exitCode: 0 }]);

      const reborn = await startPeer(session, options[0]!);
      const again = await runDf(session, getArgs(source.url, outputs[0]!, reborn));
      expect({ exitCode: again.exitCode, stderr: again.stderr }).toMatchObject({ exitCode: 0 });
      const digests = await Promise.all(outputs.map(sha256HexOfFile));
      expect(digests).toEqual(Array(3).fill(sha256Hex(bytes)));

      expect(source.bodyBytes).toBe(LENGTH);
      const fetchedAgain = (await peerStatus(reborn.socket))!.downloadedBytes - (LENGTH - hadBytes);
      expect(fetchedAgain).toBeLessThanOrEqual(2 * UPLOAD_SLOTS * PIECE_LENGTH);
    });
  },
);

test.if(hasDf)("a supernode killed while it reads the source goes on where it was", async () => {
  const bytes = randomPayload(LENGTH);
  await using source = await CountingSource.start({ bytes, bytesPerSec: SOURCE_RATE });

  await Session.run("e2e", async (session) => {
    const options = { name: "supernode", host: "127.0.0.1", port: await freePortPair() };
    const supernode = await startSupernode(session, options);
    const listen = `127.0.0.1:${await freePortPair()}`;
    const peer = await startPeer(session, { name: "peer", listen, supernode: supernode.address });
    const output = outputIn(session, "output");
    const args = getArgs(source.url, output, peer, ["--no-origin"]);
    const first = startDf(session, args);
    await waitForPart(peer, 0.4);
    // What each connection has under way and what lies unread in its socket buffers.
    const inFlight = SOURCE_CONNECTIONS * (PIECE_LENGTH + 256 * 1024);
    // How far a busy machine is behind the source is another matter: it may catch up.
    source.bytesPerSec = MB / 10;
    await waitUntil("what was sent is stored", async () => {
      const answer = await fetch(`http://${supernode.address}/v1/status`);
      const { contents } = (await answer.json()) as SupernodeStatus;
      return contents[0]!.seededPieces * PIECE_LENGTH > source.bodyBytes - inFlight / 2;
    });
    await killHard(supernode.child);
    source.bytesPerSec = SOURCE_RATE;
    await startSupernode(session, options);

    const interrupted = await first.finished;
    const { exitCode, stderr } =
      interrupted.exitCode === 0 ? interrupted : await runDf(session, args);

    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
    expect(await sha256HexOfFile(output)).toBe(sha256Hex(bytes));
    expect(source.bodyBytes).toBeLessThanOrEqual(LENGTH + inFlight);
  });
});

test.if(hasDf)(
  "a host that spoils every piece it sends is dropped and all outputs are right",
  async () => {
    const bytes = randomPayload(LENGTH);
    await using source = await CountingSource.start({ bytes });

    await Session.run("e2e", async (session) => {
      // A supernode of little rate, so that the children need the liar.
      const supernode = await supernodeFixture(session, ["--upload-rate", "4M"]);
      const liarPort = await freePortPair();
      await using proxy = startFlippingProxy(() => `127.0.0.1:${liarPort}`);
      const start = async (name: string, flags: string[] = []): Promise<RunningPeer> => {
        const port = name === "liar" ? liarPort : await freePortPair();
        return startPeer(session, {
          name,
          listen: `127.0.0.1:${port}`,
          supernode: supernode.address,
          flags,
        });
      };
      const liar = await start("liar", ["--advertise", proxy.address]);
      const first = await runDf(
        session,
        getArgs(source.url, outputIn(session, "liar-output"), liar),
      );
      expect(first.exitCode).toBe(0);

      const honest = await Promise.all([start("peer-0"), start("peer-1")]);
      const outputs = honest.map((_, i) => outputIn(session, `output-${i}`));
      const runs = await Promise.all(
        honest.map((peer, i) => runDf(session, getArgs(source.url, outputs[i]!, peer))),
      );

      expect(runs.map(({ exitCode, stderr }) => ({ exitCode, stderr }))).toMatchObject([
        { exitCode: 0 },
        { exitCode: 0 },
      ]);
      expect(await Promise.all(outputs.map(sha256HexOfFile))).toEqual(
        Array(2).fill(sha256Hex(bytes)),
      );
      expect(source.bodyBytes).toBe(LENGTH);
      const pieceCount = Math.ceil(LENGTH / PIECE_LENGTH);
      expect(proxy.flipped()).toBeGreaterThan(0);
      expect(proxy.flipped()).toBeLessThan(pieceCount / 4);
    });
  },
);

test.if(hasDf)("a bit that flips on a peer's disk reaches no output", async () => {
  const bytes = randomPayload(LENGTH);
  await using source = await CountingSource.start({ bytes });

  await withSwarm(
    { peerCount: 3, supernodeFlags: ["--upload-rate", "6M"] },
    async ({ session, peers }) => {
      const [rotten, ...others] = peers as [RunningPeer, ...RunningPeer[]];
      await runDf(session, getArgs(source.url, outputIn(session, "rotten-output"), rotten));
      await flipBitsOnDisk(join(session.folder, "peer-0"), bytes);

      const outputs = others.map((_, i) => outputIn(session, `output-${i}`));
      const runs = await Promise.all(
        others.map((peer, i) => runDf(session, getArgs(source.url, outputs[i]!, peer))),
      );

      expect(runs).toMatchObject([{ exitCode: 0 }, { exitCode: 0 }]);
      expect(await Promise.all(outputs.map(sha256HexOfFile))).toEqual(
        Array(2).fill(sha256Hex(bytes)),
      );
      expect(source.bodyBytes).toBe(LENGTH);
    },
  );
});

/** Spoils every eighth piece of the data file, found by its length. */
async function flipBitsOnDisk(folder: string, bytes: Uint8Array): Promise<void> {
  const { open, stat } = await import("node:fs/promises");
  for (const name of await readdir(folder, { recursive: true })) {
    const path = join(folder, name);
    const { size } = await stat(path);
    if (size !== bytes.length) continue;
    const file = await open(path, "r+");
    for (let offset = 0; offset < size; offset += 8 * PIECE_LENGTH) {
      await file.write(new Uint8Array([bytes[offset]! ^ 1]), 0, 1, offset);
    }
    await file.close();
    return;
  }
  throw new Error(`no data file of ${bytes.length} bytes under ${folder}`);
}
