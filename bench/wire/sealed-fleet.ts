// A fleet of `df config`, one supernode and one peer in shaped namespaces: sealing needs its secrets.

import { mkdir, symlink } from "node:fs/promises";
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
  const joinFile = await startConfig(session, { seed });
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
  return { supernode, peer, seed, statusEnvironment: [await stateWithMembership(session)] };
}

/** @returns the file with its join string */
async function startConfig(session: Session, { seed }: Pick<Fleet, "seed">): Promise<string> {
  const dataDir = join(session.folder, "config");
  const command = [DF, "config", "--listen", `${seed.address}:${CONFIG_PORT}`];
  session.start(on(seed, [...command, "--data-dir", dataDir]), {
    logPath: join(session.folder, "config.log"),
  });
  const joinFile = join(dataDir, "join");
  await waitUntil("start df config", () => Bun.file(joinFile).exists());
  return joinFile;
}

/** `df status` shows itself by the membership of a peer in its user's state folder: the supernode's will do. */
async function stateWithMembership(session: Session): Promise<string> {
  const state = join(session.folder, "state");
  await mkdir(join(state, "dragonfly"), { recursive: true });
  await symlink(join(session.folder, "supernode"), join(state, "dragonfly", "peer"));
  return `XDG_STATE_HOME=${state}`;
}
