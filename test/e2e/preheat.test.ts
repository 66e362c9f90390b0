// Preheats and settings with real processes, of which some are killed without a word.

import { expect, test } from "bun:test";
import { join } from "node:path";
import { CountingSource, randomPayload } from "../../bench/harness/counting-source.ts";
import { peerStatus } from "../../bench/harness/local-api-client.ts";
import { Session, waitUntil } from "../../bench/harness/session.ts";
import type { Preheat } from "../../src/net/wire/preheat-api.ts";
import { fleetOfProcesses, type FleetOfProcesses } from "../fixtures/fleet-processes.ts";
import { hasDf, killHard } from "../fixtures/spawn-df.ts";

const MB = 1_000_000;
const URL_COUNT = 20;

async function adminJson<Answer>(fleet: FleetOfProcesses, args: string[]): Promise<Answer> {
  const { exitCode, stdout, stderr } = await fleet.admin([...args, "--json"]);
  if (exitCode !== 0) throw new Error(`df ${args.join(" ")}: ${stderr}`);
  return JSON.parse(stdout) as Answer;
}

test.if(hasDf)(
  "twenty URLs reach half of the hosts although a supernode dies and df config restarts in the middle",
  () =>
    Session.run("e2e-preheat", async (session) => {
      const bytes = randomPayload(MB);
      await using source = await CountingSource.start({ bytes, bytesPerSec: 4 * MB });
      const fleet = await fleetOfProcesses(session);
      const [doomed] = [await fleet.supernode("supernode-0"), await fleet.supernode("supernode-1")];
      const peers = [];
      for (let i = 0; i < 6; i++) peers.push(await fleet.peer(`peer-${i}`));
      const list = join(session.folder, "urls.txt");
      const urls = Array.from({ length: URL_COUNT }, (_, i) => `${source.url}?${i}`);
      await Bun.write(list, `# nightly\n${urls.join("\n")}\n`);

      const { id } = await adminJson<Preheat>(fleet, ["preheat", "-i", list, "--scope", "50%"]);
      const job = (): Promise<Preheat> => adminJson(fleet, ["preheat", "show", id]);
      await waitUntil("bring a few", async () => (await job()).counts.done >= 5);
      await killHard(doomed.child);
      await killHard(fleet.config.child);
      await fleet.config.restart();
      await waitUntil("bring all", async () => (await job()).state !== "running", 120_000);

      expect(await job()).toMatchObject({
        ...{ state: "done", counts: { done: 3 * URL_COUNT, failed: 0 } },
        doneBytes: 3 * URL_COUNT * MB,
      });
      const contents = await Promise.all(
        peers.map(async ({ socket }) => (await peerStatus(socket))!.store.contents),
      );
      expect(contents.toSorted((a, b) => a - b)).toEqual([0, 0, 0, 20, 20, 20]);
      // What the dead supernode was reading may be read once more.
      expect(source.bodyBytes).toBeLessThanOrEqual(1.5 * URL_COUNT * MB);
    }),
  240_000,
);

test.if(hasDf)(
  "settings set by a command count on running processes within seconds, and are taken back",
  () =>
    Session.run("e2e-settings", async (session) => {
      const bytes = randomPayload(8 * MB);
      await using source = await CountingSource.start({ bytes });
      const fleet = await fleetOfProcesses(session);
      await fleet.supernode("supernode-0");
      const peer = await fleet.peer("peer-0", ["--label", "rack=r1"]);
      const quota = async () => (await peerStatus(peer.socket))!.store.quotaBytes;
      const settings = (...args: string[]) => fleet.admin(["config", "settings", ...args]);

      await settings("set", "quota=300M", "--label", "rack=r1");
      await settings("set", "quota=200M", "sourceRate=64K", "--comment", "spare the source");
      await waitUntil("hear of the quota", async () => (await quota()) === 300 << 20);
      const wrong = await settings("set", "downlaodRate=1M", "uploadSlots=many");
      const ordered = fleet.admin(["preheat", source.url, "--scope", "rack=r1", "--wait"]);
      await waitUntil("begin", () => source.bodyBytes > 0);
      const crawled = source.bodyBytes;
      const back = await settings("rollback", "1");
      const { exitCode } = await ordered;
      const { stdout: history } = await settings("history");

      expect(wrong.exitCode).toBe(2);
      expect(wrong.stderr).toContain("did you mean downloadRate?");
      expect(wrong.stderr).toContain("uploadSlots=many");
      // At the rate that was set these bytes would take two minutes: they came after the way back.
      expect(crawled).toBeLessThan(MB);
      expect([back.exitCode, exitCode]).toEqual([0, 0]);
      expect(source.bodyBytes).toBe(8 * MB);
      expect(history).toContain("spare the source");
      expect(history).toContain("back to version 1");
      expect(await quota()).toBe(300 << 20);
    }),
  120_000,
);
