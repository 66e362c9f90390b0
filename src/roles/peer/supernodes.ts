// The supernodes this peer knows: one channel each, opened at start or when a task moves there. The
// list may change while it runs: what left it is let go once no download needs it.

import type { KnownContent } from "../../net/swarm/join-message.ts";
import type { FleetMessage, HelloFields } from "../../net/swarm/swarm-client.ts";
import { SwarmClient } from "../../net/swarm/swarm-client.ts";
import { rankOwners } from "../../net/swarm/owner-rank.ts";
import { endpointOf, type NamedSupernode } from "../../net/tls/supernode-endpoint.ts";
import type { PieceStore, StoredContent } from "../../store/piece-store.ts";

/** One of the list, which is best first. */
export interface ListedSupernode {
  /** What ownership is hashed over: its host ID, or its address where no fleet names it. */
  key: string;
  /** "host:port" */
  address: string;
  /** Whether it speaks TLS: then it is never asked in plain text. */
  isTls: boolean;
  /** A host joins tasks in its nearest cluster, the first of the list. */
  cluster: string;
}

export interface SupernodesOptions {
  /** "host:port" of the static list; may be empty. */
  addresses: readonly string[];
  /** PEM: who vouches for supernodes that speak TLS; null: nobody, or not known yet. */
  ca: () => string | null;
  /** What is said to a supernode, by its address. */
  hello: (address: string) => HelloFields;
  /** What can be shared from here, said whenever a channel opens. */
  holdings: () => KnownContent[];
  /** What the fleet says to this host, by the address of the supernode that told it. */
  told: (address: string, message: FleetMessage) => void;
  /** A supernode does not admit this host. */
  refused: (address: string, reason: string) => void;
}

export class Supernodes {
  readonly #options: SupernodesOptions;
  readonly #clients = new Map<string, SwarmClient>();
  /** Addresses that left the list and have a download yet. */
  readonly #leaving = new Set<string>();
  #list: readonly ListedSupernode[];

  constructor(options: SupernodesOptions) {
    this.#options = options;
    this.#list = options.addresses.map((address) => ({
      ...{ key: address, address, cluster: "", isTls: false },
    }));
  }

  get all(): SwarmClient[] {
    return [...this.#clients.values()];
  }

  /** The list, nearest first. */
  get addresses(): string[] {
    return this.#list.map(({ address }) => address);
  }

  get isEmpty(): boolean {
    return this.#list.length === 0;
  }

  /** Peers that miss a supernode when this one does, as far as is known. */
  get swarmSize(): number {
    return Math.max(1, ...this.all.map((client) => client.swarmSize));
  }

  /**
   * Opens a channel to every supernode of the nearest cluster; those that do not answer are tried
   * again. Those of further clusters are for when it is silent.
   */
  connect(): void {
    const [nearest] = this.#list;
    for (const { address, cluster } of this.#list) {
      if (cluster === nearest?.cluster) void this.at(address).reach();
    }
  }

  /** Takes a new list. Downloads go on where they are; a supernode that left it is let go after them. */
  become(list: readonly ListedSupernode[]): void {
    const listed = new Set(list.map(({ address }) => address));
    for (const { address } of this.#list) if (!listed.has(address)) this.#leaving.add(address);
    for (const address of listed) this.#leaving.delete(address);
    this.#list = list;
    for (const one of list) this.#replaceStranger(one);
    for (const address of this.#leaving) this.#letGo(address);
    this.connect();
  }

  /** Who vouches for supernodes is known now, or is another one. */
  believeAnew(): void {
    this.become(this.#list);
  }

  /** Another supernode has the address now, or it speaks TLS by now: a channel to the former one never opens. */
  #replaceStranger({ address, key, isTls }: ListedSupernode): void {
    const client = this.#clients.get(address);
    if (client === undefined || client.isUsed) return;
    const { proof } = endpointOf({ address, hostId: key, isTls }, this.#options.ca());
    if (Bun.deepEquals(proof, client.endpoint.proof)) return;
    this.#clients.delete(address);
    client.stop();
  }

  #letGo(address: string): void {
    const client = this.#clients.get(address);
    if (!this.#leaving.has(address) || client?.isUsed === true) return;
    this.#leaving.delete(address);
    this.#clients.delete(address);
    client?.stop();
  }

  /** The channel to a supernode of the list, made on first use. */
  at(address: string): SwarmClient {
    return this.toward({ address });
  }

  /** The channel to a supernode that another one names; what the list says of it counts more. */
  toward(place: NamedSupernode): SwarmClient {
    const { address } = place;
    const known = this.#clients.get(address);
    if (known !== undefined) return known;
    const listed = this.#list.find((one) => one.address === address);
    const named = listed === undefined ? place : { ...listed, hostId: listed.key };
    const client: SwarmClient = new SwarmClient({
      ...endpointOf(named, this.#options.ca()),
      hello: () => this.#options.hello(address),
      onOpened: () => client.hold(this.#options.holdings()),
      onUnused: () => this.#letGo(address),
      onRefused: (reason) => this.#options.refused(address, reason),
      told: (message) => this.#options.told(address, message),
    });
    this.#clients.set(address, client);
    return client;
  }

  /** The first supernode, in the order of ownership, that answers; undefined when none does. */
  async ownerOf(taskId: string): Promise<SwarmClient | undefined> {
    for (const address of this.#ownersOf(taskId)) {
      const client = this.at(address);
      if (await client.reach()) return client;
    }
    return undefined;
  }

  /** Whether this supernode comes first in its cluster's order of ownership: the others serve for it. */
  isFirstFor(taskId: string, { address }: SwarmClient): boolean {
    const clusterOf = (one: string): string | undefined =>
      this.#list.find((listed) => listed.address === one)?.cluster;
    const own = clusterOf(address);
    return this.#ownersOf(taskId).find((other) => clusterOf(other) === own) === address;
  }

  /** The first member of the nearest cluster to which a channel is open; undefined: none. */
  openMemberFor(taskId: string): SwarmClient | undefined {
    const nearest = this.#list.filter(({ cluster }) => cluster === this.#list[0]!.cluster);
    const addresses = new Set(nearest.map(({ address }) => address));
    const open = this.#ownersOf(taskId).filter((address) => addresses.has(address));
    return open.map((address) => this.at(address)).find(({ isOpen }) => isOpen);
  }

  /** Addresses in the order of ownership: in the nearest cluster, then in the next. */
  #ownersOf(taskId: string): string[] {
    const clusters = Map.groupBy(this.#list, ({ cluster }) => cluster);
    return [...clusters.values()].flatMap((members) => {
      const addresses = new Map(members.map(({ key, address }) => [key, address]));
      return rankOwners(taskId, [...addresses.keys()]).map((key) => addresses.get(key)!);
    });
  }

  /** Whether pieces at this address are a supernode's own. */
  isPieceAddress(address: string): boolean {
    return this.all.some((client) => {
      if (client.pieceAddress === address) return true;
      // A supernode that listens on every address is reached under the name we know it by.
      const port = portOf(client.pieceAddress ?? "");
      return address === client.address.slice(0, -portOf(client.address).length) + port;
    });
  }

  /** Says hello again to those that heard it: what it told has changed. */
  greetAnew(): void {
    for (const client of this.all) client.greetAnew();
  }

  hold(contents: readonly KnownContent[]): void {
    for (const client of this.all) client.hold(contents);
  }

  drop(contentId: string): void {
    for (const client of this.all) client.drop(contentId);
  }

  stop(): void {
    for (const client of this.all) client.stop();
  }
}

/** What a supernode is told of a content that is here. */
export function knownOf({ facts, have }: StoredContent): KnownContent {
  const { contentId, taskId } = facts;
  return { contentId, taskId, have: have.toBytes().toBase64() };
}

function portOf(address: string): string {
  return address.slice(address.lastIndexOf(":") + 1);
}

/** All that is here and can be shared. */
export function holdingsOf(store: Pick<PieceStore, "list">): KnownContent[] {
  return store
    .list()
    .filter(({ have }) => have.count > 0)
    .map(knownOf);
}
