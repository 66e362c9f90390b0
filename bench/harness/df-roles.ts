// Starts the built executable in its roles and waits until each is ready for work.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { peerStatus } from "./local-api-client.ts";
import { waitUntil, type Session } from "./session.ts";

/** The executable under test; DF_EXECUTABLE names another one. */
export const DF = process.env["DF_EXECUTABLE"] ?? `${import.meta.dir}/../../dist/df`;

/** State of a listening socket in /proc/net/tcp (TCP_LISTEN). */
const LISTEN = "0A";

/** The default is the machine's own, and one for all peers of a test. */
export const NO_PROXY = ["--proxy-listen", "off"];

/** How a command is run, e.g. inside another network namespace. */
export type Wrap = (command: string[]) => string[];

export interface RunningSupernode {
  address: string;
  child: Bun.Subprocess;
}

export interface RunningPeer {
  socket: string;
  child: Bun.Subprocess;
  logPath: string;
}

export async function startSupernode(
  session: Session,
  options: { name: string; host: string; port: number; wrap?: Wrap; flags?: string[] },
): Promise<RunningSupernode> {
  const address = `${options.host}:${options.port}`;
  const logPath = join(session.folder, `${options.name}.log`);
  const command = [
    DF,
    "supernode",
    "--listen",
    address,
    "--data-dir",
    join(session.folder, options.name),
  ];
  const child = session.start(wrapped(options.wrap, [...command, ...(options.flags ?? [])]), {
    logPath,
  });
  await waitUntil(`start ${options.name}`, async () => {
    await assertAlive(child, logPath);
    return isListening(child.pid, options.port);
  });
  return { address, child };
}

/** How a peer finds its supernodes: a given one, or those of the fleet whose join string is in a file. */
export type PeerSwarm = { supernode: string } | { joinFile: string };

/** Ready means connected to a supernode. Without `--proxy-listen` it leaves the engines' port alone. */
export async function startPeer(
  session: Session,
  options: PeerSwarm & { name: string; listen: string; wrap?: Wrap; flags?: string[] },
): Promise<RunningPeer> {
  const { socket, dataDir, logPath } = placesOf(session, options.name);
  const swarm =
    "supernode" in options
      ? ["--supernode", options.supernode]
      : ["--join", `@${options.joinFile}`];
  const command = [
    ...[DF, "peer", ...swarm, "--listen", options.listen],
    ...["--socket", socket, "--data-dir", dataDir],
  ];
  const { flags = [] } = options;
  const all = [...command, ...(flags.includes("--proxy-listen") ? [] : NO_PROXY), ...flags];
  const child = session.start(wrapped(options.wrap, all), { logPath });
  await untilConnected(options.name, { socket, child, logPath });
  return { socket, child, logPath };
}

/** Starts `df up`; ready means that its peer is connected to its supernode. */
export async function startFleet(
  session: Session,
  options: { name: string; flags?: string[] },
): Promise<RunningPeer & { joinFile: string; adminTokenFile: string }> {
  const { socket, dataDir, logPath } = placesOf(session, options.name);
  const command = [DF, "up", "--data-dir", dataDir, "--socket", socket, ...(options.flags ?? [])];
  const child = session.start(command, { logPath });
  await untilConnected(options.name, { socket, child, logPath });
  const [joinFile, adminTokenFile] = ["join", "admin-token"].map((name) =>
    join(dataDir, "config", name),
  );
  return { socket, child, logPath, joinFile: joinFile!, adminTokenFile: adminTokenFile! };
}

function placesOf(session: Session, name: string) {
  return {
    socket: join(session.folder, `${name}.sock`),
    dataDir: join(session.folder, name),
    logPath: join(session.folder, `${name}.log`),
  };
}

async function untilConnected(
  name: string,
  { socket, child, logPath }: RunningPeer,
): Promise<void> {
  await waitUntil(
    `start ${name}`,
    async () => {
      await assertAlive(child, logPath);
      const status = await peerStatus(socket);
      return status?.supernodes.some(({ connected }) => connected) ?? false;
    },
    60_000,
  );
}

function wrapped(wrap: Wrap | undefined, command: string[]): string[] {
  return wrap === undefined ? command : wrap(command);
}

async function assertAlive(child: Bun.Subprocess, logPath: string): Promise<void> {
  if (child.exitCode === null) return;
  throw new Error(`df ended with ${child.exitCode}: ${await Bun.file(logPath).text()}`);
}

/** Whether anything in the process's own network namespace listens on a port. */
function isListening(pid: number, port: number): boolean {
  const local = `:${port.toString(16).toUpperCase().padStart(4, "0")}`;
  return ["tcp", "tcp6"].some((table) =>
    readFileSync(`/proc/${pid}/net/${table}`, "utf8")
      .split("\n")
      .map((line) => line.trim().split(/\s+/))
      .some(([, address, , state]) => state === LISTEN && address?.endsWith(local)),
  );
}
