// Compression with the real executable: decided once at the seed, relayed untouched, undone at the edge.

import { expect, test } from "bun:test";
import {
  CountingSource,
  randomPayload,
  sha256Hex,
  sha256HexOfFile,
} from "../../bench/harness/counting-source.ts";
import { peerStatus } from "../../bench/harness/local-api-client.ts";
import { waitUntil } from "../../bench/harness/session.ts";
import type { SupernodeStatus } from "../../src/roles/supernode/status.ts";
import {
  getArgs,
  hasDf,
  outputIn,
  runDf,
  withSwarm,
  type SwarmFixture,
} from "../fixtures/spawn-df.ts";

const MB = 1_000_000;

/** Numbers and words: shrinks to less than half, and no two pieces are alike. */
function text(length: number): Uint8Array {
  const lines: string[] = [];
  for (let size = 0, line = 0; size < length; line++) {
    lines.push(`line ${line}: ${(line * 7919) % 104_729} pieces for ${line % 13} peers\n`);
    size += lines.at(-1)!.length;
  }
  return new TextEncoder().encode(lines.join("")).subarray(0, length);
}

async function getOnEveryPeer(swarm: SwarmFixture, url: string): Promise<string[]> {
  const outputs = swarm.peers.map((_, i) => outputIn(swarm.session, `output-${i}`));
  const runs = await Promise.all(
    swarm.peers.map((peer, i) => runDf(swarm.session, getArgs(url, outputs[i]!, peer))),
  );
  expect(
    runs.map(({ exitCode, stderr }) => ({ exitCode, stderr: exitCode === 0 ? "" : stderr })),
  ).toEqual(runs.map(() => ({ exitCode: 0, stderr: "" })));
  return Promise.all(outputs.map(sha256HexOfFile));
}

async function supernodeStatus({ session, supernode }: SwarmFixture): Promise<SupernodeStatus> {
  const { stdout } = await runDf(session, ["status", "--supernode", supernode.address, "--json"]);
  return JSON.parse(stdout) as SupernodeStatus;
}

/** Bytes of pieces that went over any wire of the swarm. */
async function wireBytes(swarm: SwarmFixture): Promise<number> {
  const peers = await Promise.all(swarm.peers.map(({ socket }) => peerStatus(socket)));
  return peers.reduce(
    (sum, peer) => sum + (peer?.uploadedBytes ?? 0),
    (await supernodeStatus(swarm)).uploadedBytes,
  );
}

test.if(hasDf)("what shrinks reaches two hosts whole, in less than half of its bytes", async () => {
  const bytes = text(24 * MB);
  await using source = await CountingSource.start({ bytes });

  await withSwarm({ peerCount: 2 }, async (swarm) => {
    const digests = await getOnEveryPeer(swarm, source.url);

    expect(digests).toEqual(Array(2).fill(sha256Hex(bytes)));
    expect(source.bodyBytes).toBe(bytes.length);
    const { wire, contents } = await supernodeStatus(swarm);
    // Counts reach the status about once a second.
    await waitUntil("all is counted", async () => (await wireBytes(swarm)) >= 2 * wire.wireBytes);
    await Bun.sleep(1_100);
    const travelled = await wireBytes(swarm);
    expect(wire).toMatchObject({ plainBytes: bytes.length });
    expect(wire.wireBytes + wire.savedBytes).toBe(bytes.length);
    expect(contents[0]!.wire.wireBytes).toBe(wire.wireBytes);
    expect(wire.wireBytes).toBeLessThan(0.45 * bytes.length);
    expect(travelled).toBeGreaterThanOrEqual(2 * wire.wireBytes);
    expect(travelled).toBeLessThan(2.1 * wire.wireBytes);
  });
});

test.if(hasDf)(
  "what does not shrink travels plain, and so does all with --compression off",
  async () => {
    const random = randomPayload(12 * MB);
    const words = text(4 * MB);
    await using randomSource = await CountingSource.start({ bytes: random });
    await using textSource = await CountingSource.start({ bytes: words });

    await withSwarm({ peerCount: 2 }, async (swarm) => {
      expect(await getOnEveryPeer(swarm, randomSource.url)).toEqual(
        Array(2).fill(sha256Hex(random)),
      );

      expect((await supernodeStatus(swarm)).wire).toMatchObject({
        plainBytes: random.length,
        wireBytes: random.length,
        savedBytes: 0,
      });
    });
    await withSwarm({ peerCount: 1, supernodeFlags: ["--compression", "off"] }, async (swarm) => {
      expect(await getOnEveryPeer(swarm, textSource.url)).toEqual([sha256Hex(words)]);

      expect((await supernodeStatus(swarm)).wire.savedBytes).toBe(0);
    });
  },
);
