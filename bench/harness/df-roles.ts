// Starts the built executable in its roles and waits until each is ready for work.

import { connect } from "node:net";
import { join } from "node:path";
import { peerStatus } from "./local-api-client.ts";
import { waitUntil, type Session } from "./session.ts";

export const DF = `${import.meta.dir}/../../dist/df`;

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
  // The log tells readiness: the port may lie in a namespace that this process cannot reach.
  await waitUntil(`start ${options.name}`, async () => {
    await assertAlive(child, logPath);
    return options.wrap === undefined ? accepts(options.host, options.port) : hasOutput(logPath);
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

async function hasOutput(logPath: string): Promise<boolean> {
  return (await Bun.file(logPath).exists()) && Bun.file(logPath).size > 0;
}

function accepts(host: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host, port });
    socket.once("connect", () => socket.end(() => resolve(true)));
    socket.once("error", () => resolve(false));
  });
}
