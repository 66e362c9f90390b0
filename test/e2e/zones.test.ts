// Two networks that reach the supernode and not each other, with real processes: both finish, the
// source is read once, and hosts of one network give each other pieces. Needs root and iproute2.
//
//   zone a (2 peers) ═══ supernode, source ═══ zone b (2 peers)      nothing is forwarded

import { expect, test } from "bun:test";
import { mkdir, writeFile } from "node:fs/promises";
import { randomPayload, sha256Hex, sha256HexOfFile } from "../../bench/harness/counting-source.ts";
import { startPeer, startSupernode, type RunningPeer } from "../../bench/harness/df-roles.ts";
import { peerStatus } from "../../bench/harness/local-api-client.ts";
import { run, Session, waitUntil } from "../../bench/harness/session.ts";
import { on, type Host } from "../../bench/swarm-real/network.ts";
import { startNginx } from "../../bench/swarm-real/nginx.ts";
import { getArgs, hasDf, outputIn, runDf } from "../fixtures/spawn-df.ts";

const MB = 1_000_000;
const LENGTH = 12 * MB;

const canIsolate =
  hasDf &&
  process.getuid?.() === 0 &&
  ["ip", "nginx"].every((tool) => Bun.which(tool) !== null) &&
  Bun.spawnSync(["unshare", "--net", "true"]).success;
if (!canIsolate) console.warn("SKIPPED: zones need root, network namespaces, iproute2 and nginx");

interface Zone {
  name: string;
  /** The supernode as this zone reaches it. */
  supernode: string;
  host: Host;
}

/** Makes the namespaces: one for supernode and source, one for each zone. */
async function makeZones(session: Session): Promise<{ middle: Host; zones: [Zone, Zone] }> {
  const prefix = `dfz${process.pid}`;
  const middle = { namespace: `${prefix}-middle`, address: "10.91.1.1" };
  const zones = (["a", "b"] as const).map((name, i) => ({
    name,
    supernode: `10.91.${i + 1}.1`,
    host: { namespace: `${prefix}-${name}`, address: `10.91.${i + 1}.2` },
  })) as [Zone, Zone];
  const namespaces = [middle.namespace, ...zones.map(({ host }) => host.namespace)];
  session.defer(async () => {
    for (const namespace of namespaces) await run(["ip", "netns", "del", namespace]);
  });
  for (const namespace of namespaces) await run(["ip", "netns", "add", namespace]);
  await run(["ip", "-n", middle.namespace, "link", "set", "lo", "up"]);
  for (const { name, supernode, host } of zones) {
    const link = [
      `link add to-${name} type veth peer name eth0 netns ${host.namespace}`,
      `address add ${supernode}/24 dev to-${name}`,
      `link set to-${name} up`,
    ];
    await run(["ip", "-n", middle.namespace, "-batch", "-"], link.join("\n"));
    const own = ["link set lo up", `address add ${host.address}/24 dev eth0`, "link set eth0 up"];
    await run(["ip", "-n", host.namespace, "-batch", "-"], own.join("\n"));
  }
  return { middle, zones };
}

test.if(canIsolate)(
  "two zones that see only the supernode both finish",
  async () => {
    const bytes = randomPayload(LENGTH);

    await Session.run("zones", async (session) => {
      const { middle, zones } = await makeZones(session);
      const root = outputIn(session, "www");
      await mkdir(root);
      await writeFile(outputIn(session, "www/file"), bytes);
      const source = await startNginx(session, { host: middle, root, name: "source" });
      await startSupernode(session, {
        name: "supernode",
        host: "0.0.0.0",
        port: 8002,
        wrap: (command) => on(middle, command),
        flags: [
          ...["--open", "--upload-rate", "6M"],
          ...zones.flatMap((zone) => ["--advertise", `${zone.supernode}:8002@${zone.name}`]),
        ],
      });
      const peers: RunningPeer[] = [];
      for (const { name, supernode: address, host } of zones) {
        for (const port of [65002, 65004]) {
          peers.push(
            await startPeer(session, {
              name: `peer-${name}-${port}`,
              listen: `${host.address}:${port}`,
              supernode: `${address}:8002`,
              wrap: (command) => on(host, command),
              flags: ["--open", "--label", `zone=${name}`],
            }),
          );
        }
      }

      const outputs = peers.map((_, i) => outputIn(session, `output-${i}`));
      const gets = await Promise.all(
        peers.map((peer, i) => {
          const args = getArgs(source.url("file"), outputs[i]!, peer);
          return runDf(session, [...args, "--no-origin"]);
        }),
      );

      for (const { exitCode, stderr } of gets)
        expect({ exitCode, stderr }).toMatchObject({ exitCode: 0 });
      const digests = await Promise.all(outputs.map(sha256HexOfFile));
      expect(digests).toEqual(peers.map(() => sha256Hex(bytes)));
      expect((await source.counts()).bodyBytes).toBe(LENGTH);
      // Only a neighbour in the same zone can have taken them. Counts reach the status a moment later.
      const given = async (): Promise<number[]> =>
        Promise.all(peers.map(async ({ socket }) => (await peerStatus(socket))!.uploadedBytes));
      await waitUntil("the first zone's peers gave", async () => {
        const [one, other] = await given();
        return one! + other! > 0;
      });
      await waitUntil("the second zone's peers gave", async () => {
        const [, , one, other] = await given();
        return one! + other! > 0;
      });
    });
  },
  60_000,
);
