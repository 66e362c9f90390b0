// One light client on each of many hosts; all pull at once.

import { join } from "node:path";
import { fewAtOnce } from "../harness/few-at-once.ts";
import { linesOf } from "../harness/lines-of.ts";
import { stop, type Session } from "../harness/session.ts";
import { on, type Host } from "../swarm-real/network.ts";
import { REPOSITORY, TAG } from "./bench-registry.ts";
import type { LightPull } from "./light-client.ts";

export interface LightPulls {
  /** From the start signal, one for each host. */
  finishSeconds: number[];
  cpuSeconds: number;
}

export interface PullTarget {
  /** Of a registry, or of the mirror that each host has: "http://127.0.0.1:65001". */
  base: string;
  /** "?ns=…" for a mirror. */
  query?: string;
}

/** @throws unless every host got all bytes, and the right ones */
export async function pullOnEveryHost(
  session: Session,
  hosts: readonly Host[],
  { base, query = "" }: PullTarget,
  imageBytes: number,
): Promise<LightPulls> {
  const clients = await fewAtOnce(hosts, (host) => startClient(session, host, base, query));
  const startedAtMs = Date.now();
  const pulls = await Promise.all(clients.map((client) => client.pull()));
  for (const { bytes } of pulls)
    if (bytes !== imageBytes) throw new Error(`${bytes} bytes came, ${imageBytes} are the image`);
  return {
    finishSeconds: pulls.map(({ endedAtMs }) => (endedAtMs - startedAtMs) / 1000),
    cpuSeconds: pulls.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
  };
}

interface ReadyClient {
  pull(): Promise<LightPull>;
}

/** Starts a client and waits until it needs only the signal. */
async function startClient(
  session: Session,
  host: Host,
  base: string,
  query: string,
): Promise<ReadyClient> {
  const program = join(import.meta.dir, "light-client.ts");
  const command = [process.execPath, program, base, query, REPOSITORY, TAG];
  const child = Bun.spawn(on(host, command), { stdin: "pipe", stdout: "pipe", stderr: "pipe" });
  session.defer(() => stop(child));
  const stderr = new Response(child.stderr).text();
  const lines = linesOf(child.stdout);
  const next = async (): Promise<string> => {
    const { value, done } = await lines.next();
    if (done === true) throw new Error(`pull on ${host.address}: ${await stderr}`);
    return value;
  };
  await next();
  return {
    async pull() {
      await child.stdin.write("\n");
      await child.stdin.end();
      return JSON.parse(await next()) as LightPull;
    },
  };
}
