// Starts the built executable in its roles and waits until each is ready for work.

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { peerStatus } from "./local-api-client.ts";
import { waitUntil, type Session } from "./session.ts";

/** The executable under test; DF_EXECUTABLE names another one. */
export const DF = process.env["DF_EXECUTABLE"] ?? `${import.meta.dir}/../../dist/df`;

/** State of a listening socket in /proc/net/tcp (TCP_LISTEN). */
const LISTEN = "0A";

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

/** Ready means connected to its supernode. */
export async function startPeer(
  session: Session,
  options: { name: string; listen: string; supernode: string; wrap?: Wrap; flags?: string[] },
): Promise<RunningPeer> {
  const socket = join(session.folder, `${options.name}.sock`);
  const logPath = join(session.folder, `${options.name}.log`);
  const command = [
    ...[DF, "peer", "--supernode", options.supernode, "--listen", options.listen],
    ...["--socket", socket, "--data-dir", join(session.folder, options.name)],
  ];
  const child = session.start(wrapped(options.wrap, [...command, ...(options.flags ?? [])]), {
    logPath,
  });
  await waitUntil(
    `start ${options.name}`,
    async () => {
      await assertAlive(child, logPath);
      const status = await peerStatus(socket);
      return status?.supernodes.some(({ connected }) => connected) ?? false;
    },
    60_000,
  );
  return { socket, child, logPath };
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
