// The disk of a fleet's only supernode is lost while its hosts hold what it had: real processes, killed
// without a word, and a source that counts every byte of a body.

import { expect, test } from "bun:test";
import { CountingSource, randomPayload, sha256Hex } from "../../bench/harness/counting-source.ts";
import { downloadThrough, sha256ThroughApi } from "../../bench/harness/local-api-client.ts";
import { Session } from "../../bench/harness/session.ts";
import { fleetOfProcesses, type FleetPeer } from "../fixtures/fleet-processes.ts";
import { hasDf, killHard } from "../fixtures/spawn-df.ts";
import { wipeStore } from "../fixtures/wipe-store.ts";

const MB = 1_000_000;
const LENGTH = 20 * MB;

async function bring({ socket }: FleetPeer, url: string): Promise<string> {
  const done = await downloadThrough(socket, { url, noOrigin: true });
  return sha256ThroughApi(socket, done);
}

test.if(hasDf).each<[string, string[]]>([
  ["plain", []],
  ["sealed", ["--encryption", "always"]],
])(
  "a killed supernode that lost its disk gives a fourth host what three hold, %s, and the source gives headers",
  async (_, flags) => {
    const bytes = randomPayload(LENGTH);
    await using source = await CountingSource.start({ bytes });

    await Session.run("lost", async (session) => {
      const fleet = await fleetOfProcesses(session);
      const supernode = await fleet.supernode("supernode", flags);
      const holders = await Promise.all(["a", "b", "c"].map((name) => fleet.peer(name)));
      for (const holder of holders) expect(await bring(holder, source.url)).toBe(sha256Hex(bytes));
      expect(source.bodyBytes).toBe(LENGTH);

      await killHard(supernode.child);
      wipeStore(supernode.dataDir);
      await supernode.restart();
      const fourth = await fleet.peer("d");

      expect(await bring(fourth, source.url)).toBe(sha256Hex(bytes));
      expect(source.bodyBytes).toBe(LENGTH);
    });
  },
  120_000,
);

test.if(hasDf)(
  "a supernode that lost its disk lives on when the host that asks is the one it takes the pieces from",
  async () => {
    const bytes = randomPayload(LENGTH);
    await using source = await CountingSource.start({ bytes });

    await Session.run("lost", async (session) => {
      const fleet = await fleetOfProcesses(session);
      const supernode = await fleet.supernode("supernode");
      const holder = await fleet.peer("holder");
      await bring(holder, source.url);
      await killHard(supernode.child);
      wipeStore(supernode.dataDir);
      await supernode.restart();

      expect(await bring(holder, source.url)).toBe(sha256Hex(bytes));
      const stranger = await fleet.peer("stranger");
      expect(await bring(stranger, source.url)).toBe(sha256Hex(bytes));
      expect(source.bodyBytes).toBe(LENGTH);
    });
  },
  120_000,
);
