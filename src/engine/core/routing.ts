// Which supernodes serve a host, best first: the decision of `df config`, without I/O. A fleet is
// compiled once per change; a host is then routed in some tens of microseconds.
//
//   rules (address block, labels, host name) ▶ idc ▶ location ▶ cluster ▶ latency ▶ spread by hash
//
// Clusters are ordered first, then the members of each, so that a host's nearest cluster stands
// together at the head: ownership of tasks is hashed over it. Load does not order: lists follow it
// late and all at once, so that hosts would move to and fro together; owners delegate instead.

import {
  type AddressBlock,
  AddressBlocks,
  type AddressWords,
  compileGlob,
} from "./routing-match.ts";

export interface FleetSupernode {
  hostId: string;
  cluster: string;
  /** "host:port", each for the hosts of one zone, or for all without one. */
  addresses: readonly { address: string; zone?: string | undefined }[];
  /** Whether they speak TLS: told with them. */
  isTls?: boolean | undefined;
  /** Its cluster's, and its own over them. `idc` and `location` count. */
  labels: Labels;
}

/** All that is given must hold; a rule without conditions is for every host. */
export interface RoutingRule {
  /** The highest comes first; among equals the one given first. */
  priority: number;
  /** One of the host's addresses lies in one of the blocks. */
  blocks?: readonly AddressBlock[] | undefined;
  /** The host has all of them. */
  labels?: Labels | undefined;
  /** Glob with `*` and `?`; case does not matter. */
  hostname?: string | undefined;
  /** Nearest first. */
  clusters: readonly string[];
}

export interface RoutedHost {
  hostId: string;
  hostname: string;
  addresses: readonly AddressWords[];
  /** `idc`, `location` ("asia|cn|hangzhou", coarse to fine) and `zone` count, and what rules name. */
  labels: Labels;
  /** The cluster that it joined; undefined in an open fleet. */
  cluster?: string | undefined;
  /** Measured, by the supernode's address: milliseconds. */
  latencyMs: Readonly<Record<string, number>>;
}

export interface RoutedSupernode {
  hostId: string;
  address: string;
  cluster: string;
  /** Absent: no. */
  isTls?: true;
}

type Labels = Readonly<Record<string, string>>;

/** A list longer than this only costs: nobody tries the seventeenth. */
export const SUPERNODES_ROUTED_MAX = 16;

/** The nearest clusters each have a place in a list: there a host goes when all of the first is dead. */
const CLUSTERS_ROUTED = 5;

/** Upper bounds of the latency classes. A factor of four between them: noise does not reorder. */
const LATENCY_CLASSES_MS: readonly number[] = [1, 4, 16, 64, 256];

/** As 64 ms and more: a host that is served from afar tries others, one that is served well does not. */
const LATENCY_CLASS_UNMEASURED = 4;

interface CompiledSupernode {
  hostId: string;
  cluster: string;
  addresses: FleetSupernode["addresses"];
  isTls: boolean;
  idc: string | undefined;
  location: readonly string[];
  hash: number;
}

interface CompiledRule {
  blocks: AddressBlocks | null;
  labels: readonly (readonly [key: string, value: string])[];
  isHostname: ((hostname: string) => boolean) | null;
  clusters: readonly string[];
}

/** A supernode as one host sees it. */
interface Candidate {
  supernode: CompiledSupernode;
  address: string;
  /** 1 in the host's idc, else 0. */
  idc: number;
  /** Parts of the location that are equal. */
  location: number;
  latencyClass: number;
  weight: number;
}

/** A cluster as one host sees it; each figure is that of its best member. */
interface NearCluster {
  name: string;
  /** Place among the clusters that rules name. */
  rank: number;
  idc: number;
  location: number;
  /** 1 for the cluster that the host joined, else 0. */
  joined: number;
  latencyClass: number;
  weight: number;
  members: Candidate[];
}

/** A fleet's living supernodes and rules, ready to route many hosts. */
export class FleetRouting {
  readonly #supernodes: readonly CompiledSupernode[];
  readonly #rules: readonly CompiledRule[];

  constructor(fleet: { supernodes: readonly FleetSupernode[]; rules: readonly RoutingRule[] }) {
    this.#supernodes = fleet.supernodes.map(compileSupernode);
    this.#rules = fleet.rules.toSorted((a, b) => b.priority - a.priority).map(compileRule);
  }

  /** The host's supernodes, best first; empty only when no living one has an address for its zone. */
  route(host: RoutedHost): RoutedSupernode[] {
    const clusters = this.#clustersOf(host).toSorted(compareClusters);
    for (const { members } of clusters) members.sort(compareMembers);
    const shares = shareOut(clusters.map(({ members }) => members.length));
    return shares.flatMap((share, i) =>
      clusters[i]!.members.slice(0, share).map(({ supernode, address }) => ({
        hostId: supernode.hostId,
        address,
        cluster: supernode.cluster,
        ...(supernode.isTls ? { isTls: true as const } : {}),
      })),
    );
  }

  #clustersOf(host: RoutedHost): NearCluster[] {
    const ranks = this.#ranksByRule(host);
    const location = locationParts(host.labels);
    const hash = hashText(host.hostId);
    const clusters = new Map<string, NearCluster>();
    for (const supernode of this.#supernodes) {
      const address = addressFor(supernode, host.labels["zone"]);
      if (address === undefined) continue;
      const candidate = {
        supernode,
        address,
        idc: supernode.idc !== undefined && supernode.idc === host.labels["idc"] ? 1 : 0,
        location: equalParts(supernode.location, location),
        latencyClass: latencyClassOf(host.latencyMs[address]),
        weight: mix(hash ^ supernode.hash),
      };
      const known = clusters.get(supernode.cluster);
      if (known !== undefined) addMember(known, candidate);
      else clusters.set(supernode.cluster, clusterOf(candidate, { ranks, host, hash }));
    }
    return [...clusters.values()];
  }

  /** Each cluster's place among those that the matching rules name. */
  #ranksByRule(host: RoutedHost): Map<string, number> {
    const ranks = new Map<string, number>();
    const hostname = host.hostname.toLowerCase();
    for (const rule of this.#rules) {
      if (!matches(rule, host, hostname)) continue;
      for (const cluster of rule.clusters) {
        if (!ranks.has(cluster)) ranks.set(cluster, ranks.size);
      }
    }
    return ranks;
  }
}

function compileSupernode(supernode: FleetSupernode): CompiledSupernode {
  const { hostId, cluster, addresses, labels, isTls = false } = supernode;
  const named = { hostId, cluster, addresses, isTls, hash: hashText(hostId) };
  return { ...named, idc: labels["idc"], location: locationParts(labels) };
}

function compileRule(rule: RoutingRule): CompiledRule {
  return {
    blocks: rule.blocks === undefined ? null : new AddressBlocks(rule.blocks),
    labels: Object.entries(rule.labels ?? {}),
    isHostname: rule.hostname === undefined ? null : compileGlob(rule.hostname.toLowerCase()),
    clusters: rule.clusters,
  };
}

function matches(rule: CompiledRule, host: RoutedHost, hostname: string): boolean {
  for (const [key, value] of rule.labels) if (host.labels[key] !== value) return false;
  if (rule.isHostname !== null && !rule.isHostname(hostname)) return false;
  return rule.blocks === null || rule.blocks.holdOne(host.addresses);
}

/** The address for hosts of that zone, else the one for all. */
function addressFor({ addresses }: CompiledSupernode, zone: string | undefined) {
  let forAll: string | undefined;
  for (const candidate of addresses) {
    if (candidate.zone === undefined) forAll ??= candidate.address;
    else if (candidate.zone === zone) return candidate.address;
  }
  return forAll;
}

function clusterOf(
  first: Candidate,
  { ranks, host, hash }: { ranks: Map<string, number>; host: RoutedHost; hash: number },
): NearCluster {
  const name = first.supernode.cluster;
  const { idc, location, latencyClass } = first;
  return {
    ...{ name, idc, location, latencyClass, members: [first] },
    rank: ranks.get(name) ?? ranks.size,
    joined: name === host.cluster ? 1 : 0,
    weight: mix(hash ^ hashText(name)),
  };
}

function addMember(cluster: NearCluster, member: Candidate): void {
  cluster.idc = Math.max(cluster.idc, member.idc);
  cluster.location = Math.max(cluster.location, member.location);
  cluster.latencyClass = Math.min(cluster.latencyClass, member.latencyClass);
  cluster.members.push(member);
}

function compareClusters(a: NearCluster, b: NearCluster): number {
  return (
    a.rank - b.rank ||
    b.idc - a.idc ||
    b.location - a.location ||
    b.joined - a.joined ||
    a.latencyClass - b.latencyClass ||
    b.weight - a.weight ||
    (a.name < b.name ? -1 : 1)
  );
}

function compareMembers(a: Candidate, b: Candidate): number {
  return (
    b.idc - a.idc ||
    b.location - a.location ||
    a.latencyClass - b.latencyClass ||
    b.weight - a.weight ||
    (a.supernode.hostId < b.supernode.hostId ? -1 : 1)
  );
}

/** Places for each cluster, nearest first: one each for the nearest, then as many as they have. */
function shareOut(memberCounts: readonly number[]): number[] {
  const reached = memberCounts.slice(0, CLUSTERS_ROUTED);
  let left = SUPERNODES_ROUTED_MAX - reached.length;
  return reached.map((count) => {
    const more = Math.min(count - 1, left);
    left -= more;
    return 1 + more;
  });
}

function locationParts(labels: Labels): string[] {
  const location = labels["location"];
  return location === undefined || location === "" ? [] : location.split("|");
}

function equalParts(a: readonly string[], b: readonly string[]): number {
  let count = 0;
  while (count < a.length && a[count] === b[count]) count++;
  return count;
}

function latencyClassOf(latencyMs: number | undefined): number {
  if (latencyMs === undefined) return LATENCY_CLASS_UNMEASURED;
  let latencyClass = 0;
  while (latencyMs >= (LATENCY_CLASSES_MS[latencyClass] ?? Infinity)) latencyClass++;
  return latencyClass;
}

/** FNV-1a over UTF-16 units: enough to tell IDs apart, `mix` makes it even. */
function hashText(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash;
}

/** The finalizer of MurmurHash3: every bit of the input changes half of the bits of the result. */
function mix(word: number): number {
  let bits = Math.imul(word ^ (word >>> 16), 0x85ebca6b);
  bits = Math.imul(bits ^ (bits >>> 13), 0xc2b2ae35);
  return (bits ^ (bits >>> 16)) >>> 0;
}
