// Tells each child of a content whom to turn to when this supernode falls silent: hosts near it that
// have pieces too. Told soon after the join, and again when the swarm has changed much.

import { chooseNeighbours, type NeighbourGroups } from "../../engine/core/neighbour-choice.ts";
import { Prng } from "../../engine/core/prng.ts";
import type { ConnectedPeer } from "./connected-peer.ts";
import type { Member, Seeding } from "./seeding.ts";

/** Hosts join in crowds: who came within this time is told of all the others at once. */
const PASS_INTERVAL_MS = 1_000;

/** Work of one pass: some milliseconds. The rest waits for the next one. */
const CONTENTS_PER_PASS = 8;
const MESSAGES_PER_PASS = 500;

/** A child hears again when the swarm is so many times as large as at the last time. */
const GROWTH = 1.5;

/** Or when one in so many of those named to it is gone. */
const GONE_SHARE = 4;

/** What a child was told last. */
interface Told {
  named: readonly ConnectedPeer[];
  swarmSize: number;
}

export class Neighbours {
  readonly #peers: () => Iterable<ConnectedPeer>;
  readonly #told = new Map<Member, Told>();
  /** Contents whose swarm changed since everybody there was told. */
  readonly #changed = new Set<Seeding>();
  readonly #prng = new Prng(crypto.getRandomValues(new Uint32Array(1))[0]!);
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isStopped = false;

  /** @param peers every peer with a channel */
  constructor(peers: () => Iterable<ConnectedPeer>) {
    this.#peers = peers;
  }

  /** The child takes pieces from peers. */
  joined(member: Member): void {
    this.#told.set(member, { named: [], swarmSize: 0 });
    this.#changes(member.seeding);
  }

  left(member: Member): void {
    if (this.#told.delete(member)) this.#changes(member.seeding);
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#timer);
  }

  #changes(seeding: Seeding): void {
    if (this.#isStopped) return;
    this.#changed.add(seeding);
    this.#timer ??= setTimeout(() => this.#pass(), PASS_INTERVAL_MS);
  }

  #pass(): void {
    this.#timer = undefined;
    let messagesLeft = MESSAGES_PER_PASS;
    for (const seeding of [...this.#changed].slice(0, CONTENTS_PER_PASS)) {
      this.#changed.delete(seeding);
      const due = [...seeding.children].filter((member) => this.#isDue(member));
      if (due.length > messagesLeft) this.#changed.add(seeding);
      const now = due.slice(0, messagesLeft);
      messagesLeft -= now.length;
      if (now.length > 0) this.#tell(seeding, now);
    }
    if (this.#changed.size > 0) this.#timer = setTimeout(() => this.#pass(), PASS_INTERVAL_MS);
  }

  #isDue(member: Member): boolean {
    const told = this.#told.get(member);
    if (told === undefined) return false;
    if (member.seeding.childCount > told.swarmSize * GROWTH) return true;
    const goneCount = told.named.filter(({ isGone }) => isGone).length;
    return goneCount * GONE_SHARE > told.named.length;
  }

  #tell(seeding: Seeding, members: readonly Member[]): void {
    const candidates = this.#candidates(seeding);
    const groups = groupsOf(candidates);
    const numberOf = new Map(candidates.map((peer, number) => [peer, number]));
    const swarmSize = seeding.childCount;
    for (const member of members) {
      const { peer, handle } = member;
      const self = numberOf.get(peer) ?? -1;
      const named = chooseNeighbours(self, groups(peer), this.#prng).map((i) => candidates[i]!);
      this.#told.set(member, { named, swarmSize });
      const addresses = named.map((neighbour) => neighbour.addressIn(peer.zone));
      peer.channel.send({ type: "neighbours", handle, addresses, swarmSize });
    }
  }

  /** Who downloads the content, or holds it and offers it. */
  #candidates(seeding: Seeding): ConnectedPeer[] {
    const { contentId } = seeding.stored.facts;
    return [...this.#peers()].filter(
      (peer) => seeding.child(peer) !== undefined || peer.held.has(contentId),
    );
  }
}

/** The candidates around a peer, by their numbers: only those that it can reach. */
function groupsOf(candidates: readonly ConnectedPeer[]): (peer: ConnectedPeer) => NeighbourGroups {
  const byPlace = new Map<string, number[]>();
  const put = (place: string, number: number): void => {
    const group = byPlace.get(place);
    if (group === undefined) byPlace.set(place, [number]);
    else group.push(number);
  };
  candidates.forEach((peer, number) => {
    for (const zone of peer.zones)
      for (const place of Object.values(placesOf(peer, zone))) put(place, number);
  });
  return (peer) => {
    const { rack, idc, all } = placesOf(peer, peer.zone);
    const group = (place: string): number[] => byPlace.get(place) ?? [];
    return {
      rack: peer.channel.hello.labels["rack"] === undefined ? [] : group(rack),
      idc: peer.channel.hello.labels["idc"] === undefined ? [] : group(idc),
      all: group(all),
    };
  };
}

/** Names for the places where a peer stands; a rack's name is its idc's own affair. */
function placesOf(peer: ConnectedPeer, zone: string): { rack: string; idc: string; all: string } {
  const { idc = "", rack = "" } = peer.channel.hello.labels;
  return {
    rack: JSON.stringify([zone, idc, rack]),
    idc: JSON.stringify([zone, idc]),
    all: JSON.stringify([zone]),
  };
}
