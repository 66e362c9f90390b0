// Who may read the source, and where a content comes from before anyone does: other members, this
// supernode's own peers, the upstream cluster. Places are tried in this order until one had it all.
//
//   better-ranked member that lives ─▶ (all dead for 3 s: this one acts as the owner)
//     ─▶ members that have it whole or under way ─▶ own peers (rows from here, or as they were signed)
//     ─▶ upstream cluster ─▶ the source

import type { Pacer } from "../../../engine/bytes/pacing.ts";
import { DfError } from "../../../errors.ts";
import type { PieceClient } from "../../../net/piece/piece-client.ts";
import { isTag } from "../../../net/registry/registry-task.ts";
import type { NamedSupernode } from "../../../net/tls/supernode-endpoint.ts";
import type { ContentDigests, PieceStore } from "../../../store/piece-store.ts";
import type { ClusterKey } from "../../signatures/cluster-key.ts";
import type { SourceReadEnd } from "../../worker/source-worker-messages.ts";
import type { ContentSink, Supplier, Suppliers, WantedContent } from "../suppliers.ts";
import { bringFromPeers, lacksKnownPieces, type OwnSwarm } from "./bring-from-peers.ts";
import { bringFromSwarm, type SwarmPlace, type SwarmSurroundings } from "./bring-from-swarm.ts";
import type { Holders } from "./holders.ts";
import type { LostContents } from "./lost-contents.ts";
import type { MemberLink } from "./member-link.ts";
import type { MemberLinks } from "./member-links.ts";

type Place =
  | ({ kind: "swarm" } & SwarmPlace)
  /** `digests`: of the whole, if they are known beforehand. */
  | { kind: "peers"; digests: ContentDigests | null };

export interface ContentPlacesOptions {
  hostId: string;
  links: MemberLinks;
  holders: Holders;
  store: PieceStore;
  client: PieceClient;
  pacer: Pacer;
  authorise: SwarmSurroundings["authorise"];
  clusterKey: ClusterKey;
  lost: LostContents;
  ownSwarm: OwnSwarm;
  signal: AbortSignal;
}

export class ContentPlaces implements Suppliers {
  readonly #options: ContentPlacesOptions;
  /** Tasks that this supernode brought last as their owner, or acting for it. */
  readonly #owned = new Set<string>();

  constructor(options: ContentPlacesOptions) {
    this.#options = options;
  }

  /** Whether this supernode brings or brought the task's content as its owner. */
  isOwned(taskId: string): boolean {
    return this.#owned.has(taskId);
  }

  /** Nothing of the task is here any more. */
  forget(taskId: string): void {
    this.#owned.delete(taskId);
  }

  async supplierOf(wanted: WantedContent): Promise<Supplier | null> {
    const places = this.#placesOf(wanted);
    const first = await places.next();
    if (first.done === true) return null;
    return (sink, readSource) =>
      this.#supply(wanted, sink, { first: first.value, places, readSource });
  }

  async #supply(
    wanted: WantedContent,
    sink: ContentSink,
    options: {
      first: Place;
      places: AsyncGenerator<Place, void, ContentSink>;
      readSource: () => Promise<SourceReadEnd>;
    },
  ): Promise<SourceReadEnd> {
    const { places, readSource } = options;
    let place: Place | undefined = options.first;
    while (place !== undefined) {
      const end = await this.#bringFrom(place, wanted, sink);
      if (end !== "gone") return end;
      const next: IteratorResult<Place, void> = await places.next(sink);
      place = next.done === true ? undefined : next.value;
    }
    return readSource();
  }

  async #bringFrom(
    place: Place,
    wanted: WantedContent,
    sink: ContentSink,
  ): Promise<SourceReadEnd | "gone"> {
    const { links, store, ownSwarm } = this.#options;
    const { client, pacer, clusterKey, authorise } = this.#options;
    if (place.kind === "swarm") {
      const linkAt = (named: NamedSupernode): MemberLink | undefined => links.toward(named);
      const around = { store, client, pacer, clusterKey, authorise, linkAt };
      return bringFromSwarm(place, wanted, sink, around);
    }
    const content = sink.content ?? (await this.#openPart(wanted, sink));
    if (content === null) return "gone";
    await bringFromPeers(content, sink, { client, pacer, authorise, swarm: ownSwarm });
    const { digests } = place;
    const { length } = content.manifest.layout;
    const isWanted = digests?.sha256 !== null || !wanted.request.checksum.startsWith("sha256:");
    if (digests === null || length === null || !content.have.isFull || !isWanted) return "gone";
    return { ...digests, length, bodyBytes: 0 };
  }

  /** What an earlier process, or an earlier part in another's swarm, left here; null: nothing for who asks. */
  async #openPart(wanted: WantedContent, sink: ContentSink) {
    const stored = this.#options.store.findByTask(wanted.taskId);
    if (stored === undefined) return null;
    const { validator, isPrivate = false } = stored.facts;
    // Whoever is let into a private version hears its key and its rows: he alone to whom the source named it.
    if (isPrivate && (validator === null || (await wanted.confirms(validator)) === null))
      return null;
    return sink.open(stored.facts);
  }

  /** Yields lazily: what comes after a place is found out when that place had nothing (more). */
  async *#placesOf(wanted: WantedContent): AsyncGenerator<Place, void, ContentSink> {
    const { links, hostId, signal } = this.#options;
    const { taskId } = wanted;
    const hops = [...wanted.hops, hostId];
    const place = { kind: "swarm", isDelegated: false, onlyHeld: false, hops } as const;
    this.#owned.delete(taskId);
    let passedOver = false;
    for (const link of links.betterFor(taskId)) {
      if (await link.isAlive(signal)) yield { ...place, link, isDelegated: passedOver };
      passedOver = true;
    }
    this.#owned.add(taskId);
    if (wanted.current === null) {
      const link = await this.#usefulHolder(wanted);
      if (link !== null) yield { ...place, link, isDelegated: true, onlyHeld: true };
      const found = await this.#options.lost.find(wanted);
      const digests = found?.digests ?? null;
      if (this.#lacksKnownPieces(taskId)) yield { kind: "peers", digests };
    }
    passedOver = false;
    for (const link of this.#upstreamOf(wanted)) {
      if (await link.isAlive(signal)) yield { ...place, link, isDelegated: passedOver };
      passedOver = true;
    }
  }

  /** A member that has the current version whole, or brings it for its own peers. */
  async #usefulHolder({ taskId, request, confirms }: WantedContent): Promise<MemberLink | null> {
    const { holders, signal } = this.#options;
    for (const { link, holding } of await holders.of(taskId, signal)) {
      // What is under way there as its owner is as current as what would be read now.
      if (!holding.isComplete && holding.isOwned) return link;
      if (!holding.isComplete) continue;
      // What a member says of lifetimes is no word on a tag.
      if (holding.isFresh && !isTag(request)) return link;
      const { validator } = holding;
      if (validator !== null && (await confirms(validator)) !== null) return link;
    }
    return null;
  }

  #lacksKnownPieces(taskId: string): boolean {
    const stored = this.#options.store.findByTask(taskId);
    return stored !== undefined && stored.digests === null && lacksKnownPieces(stored);
  }

  /** None when the request came from there: two clusters that wait for each other would wait for ever. */
  #upstreamOf({ taskId, hops }: WantedContent): MemberLink[] {
    const upstream = this.#options.links.upstreamFor(taskId);
    const isCircle = upstream.some(({ channel }) => hops.includes(channel.hostId ?? ""));
    return isCircle ? [] : upstream;
  }
}

/** What a supernode says to a join that came back to it through others. */
export function circleError(taskId: string): DfError {
  return new DfError("usage", "join a task: the supernodes ask each other in a circle", {
    hint: "let no cluster be upstream of the cluster that it takes contents from",
    taskId,
  });
}
