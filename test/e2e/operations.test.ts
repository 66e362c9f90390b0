// What an operator asks running roles for: the executable, health and metrics.

import { expect, test } from "bun:test";
import { existsSync } from "node:fs";
import { DF } from "../../bench/harness/df-roles.ts";
import {
  CountingSource,
  randomPayload,
  sha256HexOfFile,
} from "../../bench/harness/counting-source.ts";
import type { SupernodeStatus } from "../../src/roles/supernode/status.ts";
import { freePortPair } from "../../bench/harness/free-port.ts";
import { Session } from "../../bench/harness/session.ts";
import {
  getArgs,
  hasDf,
  outputIn,
  runDf,
  supernodeFixture,
  withSwarm,
} from "../fixtures/spawn-df.ts";

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

test.if(hasDf)(
  "settings read again on SIGHUP count at once, and a file with a mistake changes nothing",
  async () => {
    await Session.run("e2e", async (session) => {
      const file = outputIn(session, "supernode.yaml");
      await Bun.write(file, "quota: 200M\n");
      const supernode = await supernodeFixture(session, ["-c", file]);
      const quota = async (): Promise<number | null> =>
        ((await (await fetch(`http://${supernode.address}/v1/status`)).json()) as SupernodeStatus)
          .store.quotaBytes;
      const reload = async (text: string): Promise<void> => {
        await Bun.write(file, text);
        supernode.child.kill("SIGHUP");
      };

      expect(await quota()).toBe(200 << 20);
      await reload("quota: 300M\n");
      while ((await quota()) === 200 << 20) await Bun.sleep(10);
      expect(await quota()).toBe(300 << 20);
      await reload("quotta: 400M\n");
      await reload("quota: nothing\n");
      await Bun.sleep(200);

      expect(await quota()).toBe(300 << 20);
    });
  },
);

test.if(hasDf)("SIGTERM ends a role with exit code 0 and leaves no socket behind", async () => {
  await withSwarm({ peerCount: 1 }, async ({ supernode, peers: [peer] }) => {
    for (const { child } of [peer!, supernode]) {
      child.kill("SIGTERM");
      expect(await child.exited).toBe(0);
    }

    expect(existsSync(peer!.socket)).toBe(false);
  });
});

test.if(hasDf)("a peer answers monitors on its socket and on an address of its own", async () => {
  const port = await freePortPair();
  const peerFlags = ["--metrics-listen", `127.0.0.1:${port}`];
  await withSwarm({ peerCount: 1, peerFlags }, async ({ peers: [peer] }) => {
    for (const path of ["livez", "readyz", "metrics"]) {
      const byAddress = await fetch(`http://127.0.0.1:${port}/${path}`);
      const bySocket = await fetch(`http://peer/${path}`, { unix: peer!.socket });

      expect([byAddress.status, bySocket.status]).toEqual([200, 200]);
    }
    const metrics = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
    expect(metrics).toContain("dragonfly_supernodes_connected 1\n");
  });
});
