// This supernode among the others: wires links, the order of places, where joins belong, extra seeds
// and the load. A supernode that is alone has the same parts, with nobody in them.

import type { Pacer } from "../../../engine/bytes/pacing.ts";
import { PieceClient } from "../../../net/piece/piece-client.ts";
import type { HelloFields } from "../../../net/swarm/swarm-client.ts";
import type { Holding } from "../../../net/wire/holds-api.ts";
import type { TaskRequest } from "../../../net/wire/task.ts";
import type { Authorise } from "../../../net/wire/ticketed-request.ts";
import type { PieceStore } from "../../../store/piece-store.ts";
import { knownOf } from "../../peer/supernodes.ts";
import type { ClusterKey } from "../../signatures/cluster-key.ts";
import type { ConnectedPeer } from "../connected-peer.ts";
import type { Seeding } from "../seeding.ts";
import type { Suppliers } from "../suppliers.ts";
import type { PrivacyFacts } from "../ticket-office.ts";
import type { OwnSwarm } from "./bring-from-peers.ts";
import { ContentPlaces } from "./content-places.ts";
import { ExtraSeeds } from "./extra-seeds.ts";
import { Holders } from "./holders.ts";
import { JoinPlacing, type JoinPlace, type PlacedJoin } from "./join-placing.ts";
import { LoadGauge } from "./load-gauge.ts";
import { LostContents, type TaskHolder } from "./lost-contents.ts";
import { MemberChannels } from "./member-channels.ts";
import { MemberLinks } from "./member-links.ts";
import type { ClusterMembers } from "./cluster-members.ts";

export interface ClusterOptions {
  hostId: string;
  members: ClusterMembers;
  /** What this supernode says of itself to another one. */
  hello: () => HelloFields;
  /** What it shows with questions to another one; undefined: nothing, without a fleet. */
  credential: () => string | undefined;
  store: PieceStore;
  /** The rate of all that is brought from other supernodes and from peers. */
  pacer: Pacer;
  /** Opens private contents to this supernode's own fetches; undefined for what anybody may have. */
  authorise: (facts: PrivacyFacts) => Authorise | undefined;
  /** Checks what the fleet signed. */
  clusterKey: ClusterKey;
  ownSwarm: OwnSwarm;
  /** What is here of a task and known to the swarm. */
  current: (taskId: string) => Seeding | null;
  /** What is here of a task, whole or under way. */
  held: (taskId: string) => Promise<Seeding | null>;
  /** Brings a task that another member wants this supernode to seed. */
  takePart: (task: TaskRequest) => Promise<unknown>;
  /** Whether a peer is proven to be a supernode of the fleet, and nobody else can listen to it. */
  mayHearSecrets: (peer: ConnectedPeer) => boolean;
  /** Every peer with a channel. */
  peers: () => Iterable<ConnectedPeer>;
  /** Children of one content that are served here at most. @defaultValue CHILDREN_MAX */
  childrenMax?: number | undefined;
  onWarning: (message: string) => void;
}

export class Cluster {
  readonly #options: ClusterOptions;
  readonly #stopping = new AbortController();
  readonly #links: MemberLinks;
  readonly #places: ContentPlaces;
  readonly #placing: JoinPlacing;
  readonly #extraSeeds: ExtraSeeds;
  readonly #load: LoadGauge;

  constructor(options: ClusterOptions) {
    this.#options = options;
    const { hostId, store, pacer, authorise, clusterKey, ownSwarm, current, members } = options;
    const { signal } = this.#stopping;
    const channels = new MemberChannels(options.peers, options.mayHearSecrets);
    const links = new MemberLinks(members, {
      reached: (member) => channels.reached(member),
      hello: options.hello,
      holdings: () =>
        store
          .list()
          .filter(({ digests }) => digests !== null)
          .map(knownOf),
      askedToTakePart: (task) => this.#takePart(task),
    });
    const holders = new Holders(links, options.credential);
    const client = new PieceClient();
    const holdersOf = (taskId: string): TaskHolder[] => taskHolders(options.peers(), taskId);
    const lost = new LostContents({ clusterKey, store, holdersOf, authorise, signal });
    const places = new ContentPlaces({
      ...{ hostId, links, holders, lost, store, client, pacer, authorise, clusterKey, ownSwarm },
      signal,
    });
    const load = new LoadGauge(options.childrenMax);
    this.#links = links;
    this.#places = places;
    this.#load = load;
    this.#placing = new JoinPlacing({ hostId, links, holders, places, load, current, signal });
    this.#extraSeeds = new ExtraSeeds({
      links,
      isOwned: (taskId) => places.isOwned(taskId),
      ask: (member, task) => channels.ask(member, task),
    });
  }

  /** Where contents come from before this supernode asks a source. */
  get suppliers(): Suppliers {
    return this.#places;
  }

  start(): void {
    this.#links.start();
    this.#load.start();
  }

  stop(): void {
    this.#stopping.abort();
    this.#load.stop();
    this.#links.stop();
  }

  /** @throws {DfError} usage when the join came back through a circle of supernodes */
  placeOf(join: PlacedJoin): Promise<JoinPlace> {
    return this.#placing.placeOf(join);
  }

  /** Whether a host that calls itself a supernode is a member. */
  isMember(hostId: string): boolean {
    return this.#links.knows(hostId);
  }

  /** Asks for extra seeds where the number of children is worth it. */
  childJoined(seeding: Seeding, task: TaskRequest): void {
    this.#extraSeeds.childJoined(seeding, task);
  }

  /** A host opened its channel. */
  arrived({ isSeed, channel }: ConnectedPeer): void {
    if (isSeed) this.#extraSeeds.memberArrived(channel.hello.hostId);
  }

  /** A content is no longer shared here. */
  dropped(seeding: Seeding): void {
    this.#extraSeeds.dropped(seeding);
    const { contentId, taskId } = seeding.stored.facts;
    this.#links.drop(contentId);
    if (this.#options.current(taskId) === null) this.#places.forget(taskId);
  }

  /** What other members hear when they ask for a task; null: nothing of it is here. */
  async holdingOf(taskId: string): Promise<Holding | null> {
    const seeding = await this.#options.held(taskId);
    if (seeding === null || seeding.state.kind === "failed") return null;
    const { contentId, validator, isPrivate = false } = seeding.stored.facts;
    // Whoever asks here has proven nothing to its source.
    if (isPrivate) return null;
    return {
      contentId,
      validator,
      isComplete: seeding.state.kind === "complete",
      isFresh: seeding.isFresh,
      isOwned: this.#places.isOwned(taskId) && seeding.isInFlight,
    };
  }

  #takePart(task: TaskRequest): void {
    this.#options.takePart(task).catch((error: unknown) => {
      this.#options.onWarning(`take part as a seed: ${String(error)}`);
    });
  }
}

/** Peers that say that they hold a version of the task, and can be reached. */
function taskHolders(peers: Iterable<ConnectedPeer>, taskId: string): TaskHolder[] {
  const holders: TaskHolder[] = [];
  for (const peer of peers) {
    const contentId = peer.heldOf(taskId);
    const address = peer.pieceAddress;
    if (contentId !== undefined && address !== "") holders.push({ contentId, address });
  }
  return holders;
}
