// `df` between engines and the registry: a supernode behind the seed's link, a peer with its mirror on
// every host.

import {
  startPeer,
  startSupernode,
  type RunningPeer,
  type RunningSupernode,
} from "../harness/df-roles.ts";
import { fewAtOnce } from "../harness/few-at-once.ts";
import { usageOfAll } from "../harness/process-usage.ts";
import { stop, type Session } from "../harness/session.ts";
import { on, type Fleet, type Host } from "../swarm-real/network.ts";

const SUPERNODE_PORT = 8002;
const PIECE_PORT = 65002;

/** Of every host, in its own network. */
export const MIRROR = "127.0.0.1:65001";

export interface ImageSwarm {
  /** CPU seconds of all its processes so far. */
  cpuSeconds(): { supernode: number; peers: number };
  stop(): Promise<void>;
}

/** @param registry "host:port", where both Docker's default registry and that of this name are reached */
export async function startImageSwarm(
  session: Session,
  { seed, hosts }: Fleet,
  { registry, name }: { registry: string; name: string },
): Promise<ImageSwarm> {
  const supernode = await startSupernode(session, {
    name: `${name}-supernode`,
    host: seed.address,
    port: SUPERNODE_PORT,
    wrap: (command) => on(seed, command),
    flags: ["--open"],
  });
  const peers = await fewAtOnce(hosts, (host, i) =>
    startMirror(session, { supernode, host, registry, name: `${name}-peer-${i}` }),
  );
  const usage = (processes: { child: Bun.Subprocess }[]): number =>
    usageOfAll(processes.map(({ child }) => child.pid)).cpuSeconds;
  return {
    cpuSeconds: () => ({ supernode: usage([supernode]), peers: usage(peers) }),
    stop: async () => {
      await Promise.all([supernode, ...peers].map(({ child }) => stop(child)));
    },
  };
}

function startMirror(
  session: Session,
  options: { supernode: RunningSupernode; host: Host; registry: string; name: string },
): Promise<RunningPeer> {
  const { supernode, host, registry, name } = options;
  const upstreams = ["docker.io", registry].flatMap((known) => [
    ...["--registry-upstream", `${known}=http://${registry}`],
  ]);
  return startPeer(session, {
    name,
    listen: `${host.address}:${PIECE_PORT}`,
    supernode: supernode.address,
    wrap: (command) => on(host, command),
    flags: ["--open", "--proxy-listen", MIRROR, ...upstreams],
  });
}
