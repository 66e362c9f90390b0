// The main job with the real executable: one supernode, several peers, and `df get` beside each.

import { expect, test } from "bun:test";
import { readdir } from "node:fs/promises";
import {
  CountingSource,
  randomPayload,
  sha256Hex,
  sha256HexOfFile,
} from "../../bench/harness/counting-source.ts";
import { peerStatus } from "../../bench/harness/local-api-client.ts";
import { waitUntil } from "../../bench/harness/session.ts";
import { pieceLengthFor, SINGLE_PIECE_BYTES } from "../../src/engine/core/piece-layout.ts";
import { INLINE_BYTES_MAX } from "../../src/limits.ts";
import {
  getArgs,
  hasDf,
  outputIn,
  runDf,
  withSwarm,
  type SwarmFixture,
} from "../fixtures/spawn-df.ts";

const MB = 1_000_000;

async function getOnEveryPeer(swarm: SwarmFixture, url: string): Promise<string[]> {
  const outputs = swarm.peers.map((_, i) => outputIn(swarm.session, `output-${i}`));
  const runs = await Promise.all(
    swarm.peers.map((peer, i) => runDf(swarm.session, getArgs(url, outputs[i]!, peer))),
  );
  for (const { exitCode, stderr } of runs)
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  return outputs;
}

test.if(hasDf)("three hosts get a file at once and the source is read once", async () => {
  const bytes = randomPayload(24 * MB);
  await using source = await CountingSource.start({ bytes });

  await withSwarm({ peerCount: 3 }, async (swarm) => {
    const outputs = await getOnEveryPeer(swarm, source.url);

    const digests = await Promise.all(outputs.map(sha256HexOfFile));
    expect(digests).toEqual(Array(3).fill(sha256Hex(bytes)));
    expect(source.bodyBytes).toBe(bytes.length);
  });
});

test.if(hasDf)("a supernode of little rate makes the peers give pieces to each other", async () => {
  const bytes = randomPayload(16 * MB);
  await using source = await CountingSource.start({ bytes });

  await withSwarm({ peerCount: 3, supernodeFlags: ["--upload-rate", "8M"] }, async (swarm) => {
    await getOnEveryPeer(swarm, source.url);

    const statuses = await Promise.all(swarm.peers.map(({ socket }) => peerStatus(socket)));
    const given = statuses.reduce((sum, status) => sum + (status?.uploadedBytes ?? 0), 0);
    expect(given).toBeGreaterThan(bytes.length / 2);
    expect(source.bodyBytes).toBe(bytes.length);
  });
});

test.if(hasDf)("two gets of one URL on one host are one download", async () => {
  const bytes = randomPayload(8 * MB);
  await using source = await CountingSource.start({ bytes, bytesPerSec: 16 * MB });

  await withSwarm({ peerCount: 1 }, async ({ session, peers }) => {
    const outputs = ["first", "second"].map((name) => outputIn(session, name));
    const runs = await Promise.all(
      outputs.map((output) => runDf(session, getArgs(source.url, output, peers[0]!))),
    );

    expect(runs).toMatchObject([{ exitCode: 0 }, { exitCode: 0 }]);
    expect(await Promise.all(outputs.map(sha256HexOfFile))).toEqual(
      Array(2).fill(sha256Hex(bytes)),
    );
    expect((await peerStatus(peers[0]!.socket))?.downloadedBytes).toBeLessThanOrEqual(bytes.length);
    expect(source.bodyBytes).toBe(bytes.length);
  });
});

test.if(hasDf)("two gets to one output: the second one exits 11 and spoils nothing", async () => {
  const bytes = randomPayload(4 * MB);
  // The first one ends after the second one, however long that takes to begin.
  await using source = await CountingSource.start({ bytes, bytesPerSec: MB / 10 });

  await withSwarm({ peerCount: 1 }, async ({ session, peers }) => {
    const output = outputIn(session, "output");
    const first = runDf(session, getArgs(source.url, output, peers[0]!));
    await waitUntil("the output is open", async () =>
      (await readdir(session.folder)).some((name) => name.includes(".df-part")),
    );
    const second = await runDf(session, getArgs(source.url, output, peers[0]!));
    source.bytesPerSec = Infinity;

    expect(second.exitCode).toBe(11);
    expect(second.stderr).toContain("hint:");
    expect((await first).exitCode).toBe(0);
    expect(await sha256HexOfFile(output)).toBe(sha256Hex(bytes));
  });
});

const MANY_PIECES = 20 * pieceLengthFor(20 * MB);
const SIZES = [
  0,
  1,
  INLINE_BYTES_MAX,
  INLINE_BYTES_MAX + 1,
  SINGLE_PIECE_BYTES - 1,
  SINGLE_PIECE_BYTES,
  SINGLE_PIECE_BYTES + 1,
  MANY_PIECES - 1,
  MANY_PIECES,
  MANY_PIECES + 1,
];

test.if(hasDf)(
  "every size around an edge arrives on two hosts and leaves no part file",
  async () => {
    await withSwarm({ peerCount: 2 }, async (swarm) => {
      for (const size of SIZES) {
        const bytes = randomPayload(size);
        await using source = await CountingSource.start({ bytes });

        const outputs = await getOnEveryPeer(swarm, source.url);

        const digests = await Promise.all(outputs.map(sha256HexOfFile));
        expect({ size, digests }).toEqual({ size, digests: Array(2).fill(sha256Hex(bytes)) });
        expect({ size, read: source.bodyBytes }).toEqual({ size, read: size });
      }
      const names = await readdir(swarm.session.folder);
      expect(names.filter((name) => name.includes(".df-part"))).toEqual([]);
    });
  },
);
