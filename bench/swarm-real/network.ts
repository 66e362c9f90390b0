// A fleet on one machine: every host is a network namespace whose link to one bridge is shaped in
// both directions. The bridge has a namespace of its own, so that nothing of the machine's own
// network is touched.
//
//   source ══(unshaped*)═ seed ──tbf──┐
//                       host 1 ──tbf──┤ bridge br0
//                       host N ──tbf──┘      * unless `sourceBitsPerSec` says otherwise

import { readFileSync, writeFileSync } from "node:fs";
import { run, type Session } from "../harness/session.ts";

/** Bytes a shaper lets through at once: below ~10 ms of rate TCP's own bursts are cut to pieces. */
const BURST_SECONDS = 0.01;
const BURST_BYTES_MIN = 16_000;
/** A shaper's queue, in time: what a switch port commonly buffers. */
const QUEUE_LATENCY = "100ms";
/** Linux's own default, whatever this machine's is: BBR paces every packet with a timer of its own. */
const CONGESTION_CONTROL = "cubic";
/** What a namespace may choose is the machine's to allow. */
const ALLOWED_CONTROLS = "/proc/sys/net/ipv4/tcp_allowed_congestion_control";
/** All namespaces share the neighbour table; N hosts that all talk need N² entries. */
const NEIGHBOUR_FOLDER = "/proc/sys/net/ipv4/neigh/default";

export interface Host {
  namespace: string;
  address: string;
}

export interface Fleet {
  /** Holds the source; hosts reach it through the seed's link too. */
  source: Host;
  /** Where the supernode, or a baseline's server, runs. */
  seed: Host;
  hosts: Host[];
}

export interface FleetOptions {
  hostCount: number;
  hostBitsPerSec: number;
  seedBitsPerSec: number;
  /** Of the source's own link, behind the seed. @defaultValue unshaped */
  sourceBitsPerSec?: number;
}

/** The command line that runs `command` on a host. */
export function on(host: Host, command: string[]): string[] {
  return ["ip", "netns", "exec", host.namespace, ...command];
}

/** Builds the namespaces; they go with the session. Needs root. */
export async function createFleet(session: Session, options: FleetOptions): Promise<Fleet> {
  allowCongestionControl(session);
  raiseNeighbourLimits(session, (options.hostCount + 2) ** 2);
  const prefix = `dfb${process.pid}`;
  const switchNamespace = `${prefix}-switch`;
  const source = { namespace: `${prefix}-source`, address: "10.78.0.1" };
  const seed = { namespace: `${prefix}-seed`, address: "10.77.0.1" };
  const hosts = Array.from({ length: options.hostCount }, (_, i) => ({
    namespace: `${prefix}-h${i}`,
    address: `10.77.${1 + Math.floor(i / 250)}.${1 + (i % 250)}`,
  }));

  await createNamespaces(session, [
    switchNamespace,
    ...[source, seed, ...hosts].map(({ namespace }) => namespace),
  ]);
  await run(
    ["ip", "-n", switchNamespace, "-batch", "-"],
    ["link add br0 type bridge mcast_snooping 0", "link set br0 up"].join("\n"),
  );
  await attach(switchNamespace, [seed], "s", options.seedBitsPerSec);
  await attach(switchNamespace, hosts, "h", options.hostBitsPerSec);
  if (options.sourceBitsPerSec === undefined) await joinByWire(source, seed);
  else await joinByShapedSwitch(switchNamespace, { source, seed }, options.sourceBitsPerSec);
  await joinSourceToSeed(source, seed);
  return { source, seed, hosts };
}

async function createNamespaces(session: Session, names: string[]): Promise<void> {
  session.defer(async () => {
    await run(
      ["ip", "-force", "-batch", "-"],
      names.map((name) => `netns del ${name}`).join("\n"),
    ).catch(() => "");
  });
  await run(["ip", "-batch", "-"], names.map((name) => `netns add ${name}`).join("\n"));
  const setting = `net.ipv4.tcp_congestion_control=${CONGESTION_CONTROL}`;
  for (const name of names) await run(["ip", "netns", "exec", name, "sysctl", "-qw", setting]);
}

/** Links hosts to the bridge and shapes both ends: the host's is its upload, the bridge's its download. */
async function attach(
  switchNamespace: string,
  hosts: Host[],
  port: string,
  bitsPerSec: number,
): Promise<void> {
  const onSwitch = hosts.flatMap((host, i) => [
    `link add ${port}${i} type veth peer name eth0 netns ${host.namespace}`,
    `link set ${port}${i} master br0 up`,
  ]);
  await run(["ip", "-n", switchNamespace, "-batch", "-"], onSwitch.join("\n"));
  const shaper = tbf(bitsPerSec);
  await run(
    ["tc", "-n", switchNamespace, "-batch", "-"],
    hosts.map((_, i) => `qdisc add dev ${port}${i} root ${shaper}`).join("\n"),
  );
  for (const host of hosts) {
    await run(
      ["ip", "-n", host.namespace, "-batch", "-"],
      [
        "link set lo up",
        `address add ${host.address}/16 dev eth0`,
        "link set eth0 up",
        ...(host.address === "10.77.0.1" ? [] : ["route add default via 10.77.0.1"]),
      ].join("\n"),
    );
    await run(["tc", "-n", host.namespace, "-batch", "-"], `qdisc add dev eth0 root ${shaper}`);
  }
}

function tbf(bitsPerSec: number): string {
  const burst = Math.max(BURST_BYTES_MIN, Math.round((bitsPerSec / 8) * BURST_SECONDS));
  return `tbf rate ${bitsPerSec}bit burst ${burst} latency ${QUEUE_LATENCY}`;
}

async function joinByWire(source: Host, seed: Host): Promise<void> {
  await run(
    ["ip", "-n", seed.namespace, "-batch", "-"],
    `link add up0 type veth peer name eth0 netns ${source.namespace}`,
  );
}

/**
 * Shapes between the two and at neither: a sender whose own queue is full tries again every half second and
 * gives the connection up after 15 times, and 120 readers on a slow link keep it full.
 */
async function joinByShapedSwitch(
  switchNamespace: string,
  { source, seed }: { source: Host; seed: Host },
  bitsPerSec: number,
): Promise<void> {
  await run(
    ["ip", "-n", switchNamespace, "-batch", "-"],
    [
      "link add br1 type bridge mcast_snooping 0",
      "link set br1 up",
      `link add up0 type veth peer name up0 netns ${seed.namespace}`,
      `link add up1 type veth peer name eth0 netns ${source.namespace}`,
      "link set up0 master br1 up",
      "link set up1 master br1 up",
    ].join("\n"),
  );
  const shaper = tbf(bitsPerSec);
  await run(
    ["tc", "-n", switchNamespace, "-batch", "-"],
    ["up0", "up1"].map((port) => `qdisc add dev ${port} root ${shaper}`).join("\n"),
  );
}

/** Hosts reach the source too, by way of the seed's shaped link, as they would a far server. */
async function joinSourceToSeed(source: Host, seed: Host): Promise<void> {
  await run(
    ["ip", "-n", seed.namespace, "-batch", "-"],
    ["address add 10.78.0.2/30 dev up0", "link set up0 up"].join("\n"),
  );
  await run(
    ["ip", "-n", source.namespace, "-batch", "-"],
    [
      "link set lo up",
      `address add ${source.address}/30 dev eth0`,
      "link set eth0 up",
      "route add default via 10.78.0.2",
    ].join("\n"),
  );
  await run(on(seed, ["sysctl", "-qw", "net.ipv4.ip_forward=1"]));
}

function allowCongestionControl(session: Session): void {
  const before = readFileSync(ALLOWED_CONTROLS, "utf8").trim();
  if (before.split(" ").includes(CONGESTION_CONTROL)) return;
  writeFileSync(ALLOWED_CONTROLS, `${before} ${CONGESTION_CONTROL}`);
  session.defer(() => writeFileSync(ALLOWED_CONTROLS, before));
}

function raiseNeighbourLimits(session: Session, entries: number): void {
  for (const [name, factor] of [
    ["gc_thresh3", 4],
    ["gc_thresh2", 3],
    ["gc_thresh1", 2],
  ] as const) {
    const path = `${NEIGHBOUR_FOLDER}/${name}`;
    const before = Number(readFileSync(path, "utf8"));
    const wanted = entries * factor;
    if (before >= wanted) continue;
    writeFileSync(path, String(wanted));
    session.defer(() => writeFileSync(path, String(before)));
  }
}
