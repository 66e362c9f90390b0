// What the supernode keeps of one connected peer.

import type { HostIndex } from "../../engine/core/scheduler-events.ts";
import type { PeerChannel } from "../../net/swarm/swarm-server.ts";
import type { Member } from "./seeding.ts";

/** Contents a peer may hold beside those it joins: more are ignored, they are only hints. */
const HELD_MAX = 8_192;

/** Characters of their bitmaps: as many contents of 1,000 pieces, or a few very large ones. */
const HELD_CHARACTERS_MAX = 2 << 20;

/** Addresses travel to children in frames of printable ASCII: any other would end their channels. */
const PIECE_ADDRESS = /^(|[A-Za-z0-9._-]{1,240}|\[[0-9A-Fa-f:.]{2,45}\]):([1-9]\d{0,4})$/;

export class ConnectedPeer {
  readonly channel: PeerChannel;
  readonly host: HostIndex;
  /** "host:port" of its piece server for its own zone; "" for a host that only downloads. */
  readonly pieceAddress: string;
  /** Hosts of one zone reach each other; hosts without a zone are one zone, "". */
  readonly zone: string;
  /** Further addresses of the piece server, by the zone whose hosts use them. */
  readonly #addressByZone: ReadonlyMap<string, string>;
  /** Bitmaps, base64, of contents that the peer offers, by content ID. */
  readonly held = new Map<string, string>();
  readonly #members = new Map<number, Member>();
  #heldCharacters = 0;
  #nextHandle = 1;
  /** Another supernode of the cluster. */
  readonly isSeed: boolean;
  isGone = false;
  /** Joins that wait for a source's answer. */
  pendingJoins = 0;

  constructor(channel: PeerChannel, host: HostIndex, isSeed: boolean) {
    this.isSeed = isSeed;
    this.channel = channel;
    this.host = host;
    const { labels, pieceAddress, zonedAddresses = [] } = channel.hello;
    this.pieceAddress = reachableAddress(channel, pieceAddress);
    this.zone = labels["zone"] ?? "";
    this.#addressByZone = new Map(
      zonedAddresses.map(({ address, zone }) => [zone, reachableAddress(channel, address)]),
    );
  }

  /** Zones other than its own whose hosts can fetch pieces from this one. */
  get furtherZones(): string[] {
    const all = [...this.#addressByZone.keys()];
    return all.filter((zone) => zone !== this.zone && this.addressIn(zone) !== "");
  }

  /** Zones whose hosts can fetch pieces from this one. */
  get zones(): string[] {
    const isReachedAtHome = this.addressIn(this.zone) !== "";
    return isReachedAtHome ? [this.zone, ...this.furtherZones] : this.furtherZones;
  }

  /** "host:port" of its piece server for hosts of a zone; "" when they cannot reach it. */
  addressIn(zone: string): string {
    // Supernodes that name no zones stand in all of them.
    const isAtHome = zone === this.zone || (this.isSeed && this.#addressByZone.size === 0);
    return this.#addressByZone.get(zone) ?? (isAtHome ? this.pieceAddress : "");
  }

  get members(): Iterable<Member> {
    return this.#members.values();
  }

  member(handle: number): Member | undefined {
    return this.#members.get(handle);
  }

  nextHandle(): number {
    return this.#nextHandle++;
  }

  add(member: Member): void {
    this.#members.set(member.handle, member);
  }

  remove(member: Member): void {
    this.#members.delete(member.handle);
  }

  hold(contentId: string, have: string): void {
    this.drop(contentId);
    if (this.held.size >= HELD_MAX || this.#heldCharacters + have.length > HELD_CHARACTERS_MAX)
      return;
    this.#heldCharacters += have.length;
    this.held.set(contentId, have);
  }

  /** Forgets what the peer offered of a content. */
  drop(contentId: string): void {
    this.#heldCharacters -= this.held.get(contentId)?.length ?? 0;
    this.held.delete(contentId);
  }
}

/** A peer that listens on every address is reached where its channel comes from. */
function reachableAddress(channel: PeerChannel, told: string | null): string {
  if (told === null) return "";
  const [, host, port] = PIECE_ADDRESS.exec(told) ?? [];
  if (host === undefined || !(Number(port) <= 65_535)) return "";
  const isUnspecified = host === "0.0.0.0" || host === "[::]" || host === "";
  return isUnspecified ? `${bracketed(channel.origin.remoteAddress)}:${port}` : told;
}

/** As a URL's host: IPv6 in brackets, IPv4 within IPv6 as itself. */
export function bracketed(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, "");
  return plain.includes(":") ? `[${plain}]` : plain;
}
