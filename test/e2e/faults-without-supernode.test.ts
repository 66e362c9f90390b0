// The only supernode of a swarm dies or hangs in mid-transfer: the peers end without it, and a source
// that may not be read is not read.

import { expect, test } from "bun:test";
import {
  CountingSource,
  randomPayload,
  sha256Hex,
  sha256HexOfFile,
} from "../../bench/harness/counting-source.ts";
import { startSupernode } from "../../bench/harness/df-roles.ts";
import { peerStatus } from "../../bench/harness/local-api-client.ts";
import { waitUntil } from "../../bench/harness/session.ts";
import {
  getArgs,
  hasDf,
  killHard,
  outputIn,
  startDf,
  withSwarm,
  type SwarmFixture,
} from "../fixtures/spawn-df.ts";

const MB = 1_000_000;
const LENGTH = 12 * MB;
const PEERS = 4;

/** Starts `df get` on every peer. */
function getEverywhere({ session, peers }: SwarmFixture, url: string, flags: string[] = []) {
  const outputs = peers.map((_, i) => outputIn(session, `output-${i}`));
  const runs = peers.map((peer, i) => startDf(session, getArgs(url, outputs[i]!, peer, flags)));
  return { outputs, finished: Promise.all(runs.map((run) => run.finished)) };
}

async function doneBytes({ peers }: SwarmFixture): Promise<number> {
  const statuses = await Promise.all(peers.map(({ socket }) => peerStatus(socket)));
  return statuses.reduce((sum, status) => sum + (status?.downloads[0]?.doneBytes ?? 0), 0);
}

/** Waits until the peers have half of the content, each a part of it, and neighbours were named. */
async function untilHalf(swarm: SwarmFixture): Promise<void> {
  const startedMs = performance.now();
  await waitUntil("half of the content", async () => {
    return (await doneBytes(swarm)) > (PEERS * LENGTH) / 4;
  });
  await Bun.sleep(Math.max(0, 2_500 - (performance.now() - startedMs)));
}

/** What the source sent may still lie in sockets: where the CPU is scarce, for a while. */
async function untilStored({ supernode }: SwarmFixture): Promise<void> {
  await waitUntil("the source read whole", async () => {
    const answer = await fetch(`http://${supernode.address}/v1/status`);
    const { contents } = (await answer.json()) as { contents: { state: string }[] };
    return contents[0]?.state === "complete";
  });
}

async function expectAllDone(
  { outputs, finished }: ReturnType<typeof getEverywhere>,
  bytes: Uint8Array,
): Promise<void> {
  for (const { exitCode, stderr } of await finished)
    expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
  const digests = await Promise.all(outputs.map(sha256HexOfFile));
  expect(digests).toEqual(Array(PEERS).fill(sha256Hex(bytes)));
}

/** Slow enough that the supernode has given out half of the content when it dies. */
const SLOW_SEED = ["--upload-rate", "2M"];

test.if(hasDf)(
  "peers whose supernode is killed at half end from each other and, for the rest, the source",
  async () => {
    const bytes = randomPayload(LENGTH);
    await using source = await CountingSource.start({ bytes });

    await withSwarm({ peerCount: PEERS, supernodeFlags: SLOW_SEED }, async (swarm) => {
      const gets = getEverywhere(swarm, source.url);
      await untilHalf(swarm);
      await untilStored(swarm);
      expect(source.bodyBytes).toBe(LENGTH);
      await killHard(swarm.supernode.child);

      await expectAllDone(gets, bytes);
      expect(source.bodyBytes).toBeLessThanOrEqual(3 * LENGTH);
    });
  },
  120_000,
);

test.if(hasDf)(
  "peers whose supernode is killed before it had read the source end too",
  async () => {
    const bytes = randomPayload(LENGTH);
    await using source = await CountingSource.start({ bytes, bytesPerSec: 2 * MB });

    await withSwarm({ peerCount: PEERS }, async (swarm) => {
      const gets = getEverywhere(swarm, source.url);
      // Peers on a busy machine may be far behind: until they have their part it is not read whole.
      await waitUntil("most of it was read", () => source.bodyBytes > 0.7 * LENGTH);
      source.bytesPerSec = MB / 10;
      await untilHalf(swarm);
      expect(source.bodyBytes).toBeLessThan(LENGTH);
      await killHard(swarm.supernode.child);
      source.bytesPerSec = 8 * MB;

      await expectAllDone(gets, bytes);
    });
  },
  120_000,
);

test.if(hasDf)(
  "a supernode that hangs is done without, and may go on later",
  async () => {
    const bytes = randomPayload(LENGTH);
    await using source = await CountingSource.start({ bytes });

    await withSwarm({ peerCount: PEERS, supernodeFlags: SLOW_SEED }, async (swarm) => {
      const gets = getEverywhere(swarm, source.url);
      await untilHalf(swarm);
      swarm.supernode.child.kill("SIGSTOP");

      await expectAllDone(gets, bytes);
      swarm.supernode.child.kill("SIGCONT");
    });
  },
  120_000,
);

test.if(hasDf)(
  "with --no-origin the source is left alone until the supernode is back",
  async () => {
    const bytes = randomPayload(LENGTH);
    await using source = await CountingSource.start({ bytes });

    await withSwarm({ peerCount: PEERS, supernodeFlags: SLOW_SEED }, async (swarm) => {
      const gets = getEverywhere(swarm, source.url, ["--no-origin"]);
      await untilHalf(swarm);
      await untilStored(swarm);
      await killHard(swarm.supernode.child);
      await Bun.sleep(8_000);
      expect(source.bodyBytes).toBe(LENGTH);

      const [host, port] = swarm.supernode.address.split(":") as [string, string];
      await startSupernode(swarm.session, { name: "supernode", host, port: Number(port) });

      await expectAllDone(gets, bytes);
      expect(source.bodyBytes).toBe(LENGTH);
    });
  },
  120_000,
);
