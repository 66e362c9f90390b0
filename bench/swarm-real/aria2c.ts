// Baseline: BitTorrent. A seeder and a tracker behind the seed's link, one aria2c on every host,
// which goes on sharing until all have finished.

import { chmod, mkdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { Payload } from "../harness/payload.ts";
import { waitUntil, type Session } from "../harness/session.ts";
import { verifyOutputs, type Contender } from "./contender.ts";
import { on, type Fleet } from "./network.ts";
import { makeTorrent } from "./torrent.ts";

const TRACKER_PORT = 6969;
const LIMIT_MS = 900_000;

export const aria2c: Contender = {
  name: "aria2c",
  async run(session, fleet, payload) {
    const torrentPath = await startTracker(session, fleet, payload);
    const seedFolder = payload.root;
    session.start(
      on(fleet.seed, [...aria2cCommand(seedFolder), "-V", "--seed-ratio=0.0", torrentPath]),
    );
    // The seeder has checked its file and announced itself before the others start.
    await Bun.sleep(2_000);

    const folders = fleet.hosts.map((_, i) => join(session.folder, `aria2c-${i}`));
    for (const folder of folders) await mkdir(folder);
    const startedAt = performance.now();
    const finishSeconds = await Promise.all(
      fleet.hosts.map(async (host, i) => {
        // aria2c runs this hook when the last piece is verified and goes on seeding.
        const hook = ["--on-bt-download-complete", await writeHook(folders[i]!)];
        session.start(
          on(host, [...aria2cCommand(folders[i]!), "--seed-ratio=0.0", ...hook, torrentPath]),
        );
        const mark = join(folders[i]!, "finished");
        await waitUntil(`aria2c on ${host.address}`, () => Bun.file(mark).exists(), LIMIT_MS);
        return ((await stat(mark)).mtimeMs - performance.timeOrigin - startedAt) / 1000;
      }),
    );
    await verifyOutputs(
      folders.map((folder) => join(folder, payload.name)),
      payload,
    );
    return { finishSeconds };
  },
};

function aria2cCommand(folder: string): string[] {
  return [
    "aria2c",
    "--quiet",
    "--no-conf",
    "--enable-dht=false",
    "--enable-dht6=false",
    "--disable-ipv6",
    "--bt-enable-lpd=false",
    "--file-allocation=none",
    "--listen-port=6881",
    `--dir=${folder}`,
  ];
}

async function writeHook(folder: string): Promise<string> {
  const path = join(folder, "hook.sh");
  await writeFile(path, `#!/bin/sh\ntouch ${folder}/finished\n`);
  await chmod(path, 0o755);
  return path;
}

/** Debian's opentracker serves only what its whitelist names, a path inside the folder it changes its root to. */
async function startTracker(session: Session, fleet: Fleet, payload: Payload): Promise<string> {
  const folder = join(session.folder, "tracker");
  const root = join(folder, "root");
  await mkdir(root, { recursive: true });
  const announce = `http://${fleet.seed.address}:${TRACKER_PORT}/announce`;
  const torrent = await makeTorrent(payload.path, payload.name, announce);
  const torrentPath = join(folder, "payload.torrent");
  await writeFile(torrentPath, torrent.bytes);
  await writeFile(join(root, "whitelist.txt"), `${torrent.infoHash}\n`);
  for (const path of [session.folder, folder, root]) await chmod(path, 0o755);

  const address = ["-i", fleet.seed.address, "-p", `${TRACKER_PORT}`, "-P", `${TRACKER_PORT}`];
  session.start(on(fleet.seed, ["opentracker", ...address, "-d", root, "-w", "whitelist.txt"]), {
    logPath: join(folder, "log"),
  });
  await Bun.sleep(500);
  return torrentPath;
}
