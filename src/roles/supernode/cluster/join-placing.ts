// Where a join belongs: here, or at another member. The owner is the first living member in the
// task's order; a content in flight stays with whoever schedules it; an owner that is overloaded
// hands peers over to members, which serve them from schedulers of their own.

import type { Seeding } from "../seeding.ts";
import { circleError, type ContentPlaces } from "./content-places.ts";
import type { Holders } from "./holders.ts";
import type { LoadGauge } from "./load-gauge.ts";
import type { MemberLink } from "./member-link.ts";
import type { MemberLinks } from "./member-links.ts";

export type JoinPlace =
  | { kind: "here" }
  /** Only what is held: no source is asked. */
  | { kind: "held" }
  | { kind: "moved"; address: string; hostId?: string; isTls: boolean; isDelegated: boolean };

export interface PlacedJoin {
  taskId: string;
  /** Of the host that asks. */
  hostId: string;
  isSupernode: boolean;
  isDelegated: boolean;
  onlyHeld: boolean;
  hops: readonly string[];
}

export interface JoinPlacingOptions {
  hostId: string;
  links: MemberLinks;
  holders: Holders;
  places: ContentPlaces;
  load: LoadGauge;
  /** What is here of a task and known to the swarm. */
  current: (taskId: string) => Seeding | null;
  signal: AbortSignal;
}

const HERE: JoinPlace = { kind: "here" };

export class JoinPlacing {
  readonly #options: JoinPlacingOptions;

  constructor(options: JoinPlacingOptions) {
    this.#options = options;
  }

  /** @throws {DfError} usage when the join came back through a circle of supernodes */
  async placeOf(join: PlacedJoin): Promise<JoinPlace> {
    const { links } = this.#options;
    this.#refuseCircle(join);
    if (join.onlyHeld) return { kind: "held" };
    if (join.isDelegated || links.isAlone) return HERE;
    if (this.#isOwnedInFlight(join.taskId)) return this.#delegated(join) ?? HERE;
    for (const link of links.betterFor(join.taskId)) {
      // One that asks for its own task knows better who is there.
      if (link.channel.hostId === join.hostId) continue;
      if (await link.isAlive(this.#options.signal)) return movedTo(link, false);
    }
    if (this.#options.current(join.taskId) === null) {
      const link = await this.#ownerInFlight(join.taskId);
      // Ownership moves with the next content: this one stays where it is scheduled.
      if (link !== null) return movedTo(link, true);
    }
    return this.#delegated(join) ?? HERE;
  }

  #refuseCircle({ taskId, hops }: PlacedJoin): void {
    if (hops.length === 0) return;
    const { hostId, links } = this.#options;
    const waitsForUs = links
      .upstreamFor(taskId)
      .some(({ channel }) => hops.includes(channel.hostId ?? ""));
    if (hops.includes(hostId) || waitsForUs) throw circleError(taskId);
  }

  #isOwnedInFlight(taskId: string): boolean {
    const { places, current } = this.#options;
    return places.isOwned(taskId) && current(taskId)?.isInFlight === true;
  }

  async #ownerInFlight(taskId: string): Promise<MemberLink | null> {
    const { holders, signal } = this.#options;
    const all = await holders.of(taskId, signal);
    return all.find(({ holding }) => holding.isOwned)?.link ?? null;
  }

  /** The member that this peer is handed to; undefined: this supernode serves it itself. */
  #delegated({ taskId, hostId, isSupernode }: PlacedJoin): JoinPlace | undefined {
    const { load, links, current } = this.#options;
    const seeding = current(taskId);
    if (isSupernode || seeding === null || !load.isFull(seeding.childCount)) return undefined;
    const open = links.othersFor(taskId).filter(({ channel, isDead }) => channel.isOpen && !isDead);
    const link = links.forHost(hostId, open);
    return link === undefined ? undefined : movedTo(link, true);
  }
}

function movedTo({ member, channel }: MemberLink, isDelegated: boolean): JoinPlace {
  const { address, proof } = member;
  // Known once the channel was open, and of members of a fleet before that.
  const hostId = channel.hostId ?? (proof === null ? null : member.key);
  const place = { kind: "moved" as const, address, isTls: proof !== null, isDelegated };
  return hostId === null ? place : { ...place, hostId };
}
