// What an operator asks running roles for: the executable, health and metrics.

import { expect, test } from "bun:test";
import { DF } from "../../bench/harness/df-roles.ts";
import {
  CountingSource,
  randomPayload,
  sha256HexOfFile,
} from "../../bench/harness/counting-source.ts";
import { getArgs, hasDf, outputIn, runDf, withSwarm } from "../fixtures/spawn-df.ts";

test.if(hasDf)("a supernode gives out the executable that it runs, with its checksum", async () => {
  await withSwarm({ peerCount: 0 }, async ({ session, supernode }) => {
    const path = outputIn(session, "df");
    await Bun.write(path, await fetch(`http://${supernode.address}/df`));
    const checksum = await fetch(`http://${supernode.address}/df.sha256`);

    const sha256 = await sha256HexOfFile(path);

    expect(sha256).toBe(await sha256HexOfFile(DF));
    expect(await checksum.text()).toBe(`${sha256}  df\n`);
  });
});

test.if(hasDf)(
  "a supernode's metrics count what it read and gave, without a label per task",
  async () => {
    const bytes = randomPayload(3_000_000);
    await using source = await CountingSource.start({ bytes });

    await withSwarm({ peerCount: 1 }, async (swarm) => {
      const args = getArgs(source.url, outputIn(swarm.session, "output"), swarm.peers[0]!);
      await runDf(swarm.session, args);
      const metrics = await (await fetch(`http://${swarm.supernode.address}/metrics`)).text();

      expect(metrics).toContain(`dragonfly_source_bytes_total ${bytes.length}\n`);
      expect(metrics).toContain("dragonfly_peers_connected 1\n");
      expect(metrics).toContain('dragonfly_contents{state="complete"} 1\n');
      expect(metrics).not.toContain(source.url);
    });
  },
);
