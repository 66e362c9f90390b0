// A fleet of `df config`, one supernode and one peer in shaped namespaces: sealing needs its secrets.

import { join } from "node:path";
import { DF, startPeer, startSupernode } from "../harness/df-roles.ts";
import { type Session, waitUntil } from "../harness/session.ts";
import { type Fleet, on } from "../swarm-real/network.ts";
import type { WirePair } from "./wire-run.ts";

const CONFIG_PORT = 8000;

/** Compression is off: what is measured is sealing. A task asks for it itself. */
export async function startSealedFleet(
  session: Session,
  { seed, hosts }: Fleet,
): Promise<WirePair> {
  const [host] = hosts;
  const { joinFile, caFile } = await startConfig(session, { seed });
  const supernode = await startSupernode(session, {
    name: "supernode",
    host: seed.address,
    port: 8002,
    wrap: (command) => on(seed, command),
    flags: ["--join", `@${joinFile}`, "--compression", "off"],
  });
  const peer = await startPeer(session, {
    name: "peer",
    listen: `${host!.address}:65002`,
    joinFile,
    wrap: (command) => on(host!, command),
  });
  return { supernode, peer, seed, statusFlags: ["--ca", caFile] };
}

async function startConfig(
  session: Session,
  { seed }: Pick<Fleet, "seed">,
): Promise<{ joinFile: string; caFile: string }> {
  const dataDir = join(session.folder, "config");
  const command = [DF, "config", "--listen", `${seed.address}:${CONFIG_PORT}`];
  session.start(on(seed, [...command, "--data-dir", dataDir]), {
    logPath: join(session.folder, "config.log"),
  });
  const files = { joinFile: join(dataDir, "join"), caFile: join(dataDir, "ca.pem") };
  await waitUntil("start df config", async () => {
    const there = await Promise.all(Object.values(files).map((file) => Bun.file(file).exists()));
    return there.every(Boolean);
  });
  return files;
}
