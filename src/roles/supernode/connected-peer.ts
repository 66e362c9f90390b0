// What the supernode keeps of one connected peer.

import type { HostIndex } from "../../engine/core/scheduler-events.ts";
import type { PeerChannel, PeerRequest } from "../../net/swarm/swarm-server.ts";
import type { Member } from "./seeding.ts";

/** Contents a peer may hold beside those it joins: more are ignored, they are only hints. */
const HELD_MAX = 8_192;

/** Characters of their bitmaps: as many contents of 1,000 pieces, or a few very large ones. */
const HELD_CHARACTERS_MAX = 2 << 20;

/** Addresses travel to children in frames of printable ASCII: any other would end their channels. */
const PIECE_ADDRESS = /^(|[A-Za-z0-9._-]{1,240}|\[[0-9A-Fa-f:.]{2,45}\]):([1-9]\d{0,4})$/;

/** A content that a peer offers; its bitmap in base64. */
export type HeldContent = Extract<PeerRequest, { type: "hold" }>["contents"][number];

export class ConnectedPeer {
  readonly channel: PeerChannel;
  readonly host: HostIndex;
  /** "host:port" of its piece server for its own zone as it told; "" for a host that only downloads. */
  readonly #toldAddress: string;
  /** Hosts of one zone reach each other; hosts without a zone are one zone, "". */
  readonly zone: string;
  /** Further addresses of the piece server as told, by the zone whose hosts use them. */
  readonly #toldByZone: ReadonlyMap<string, string>;
  /** Where the host was found, by the address that it told: see reachability.ts. */
  readonly #reached = new Map<string, string>();
  /** Contents that the peer offers, by content ID. */
  readonly held = new Map<string, HeldContent>();
  readonly #heldByTask = new Map<string, string>();
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
    this.#toldAddress = reachableAddress(channel, pieceAddress);
    this.zone = labels["zone"] ?? "";
    this.#toldByZone = new Map(
      zonedAddresses.map(({ address, zone }) => [zone, reachableAddress(channel, address)]),
    );
  }

  /** Addresses that it told and was not found at; none of a host that uploads nothing. */
  get unreached(): string[] {
    if (this.channel.hello.uploadSlots === 0) return [];
    const told = new Set([this.#toldAddress, ...this.#toldByZone.values()]);
    return [...told].filter((address) => address !== "" && !this.#reached.has(address));
  }

  /** It was found at `address`, where `told` leads. */
  reached(told: string, address: string): void {
    this.#reached.set(told, address);
  }

  /** "host:port" of its piece server for this supernode itself; "" while it was not found. */
  get pieceAddress(): string {
    return this.#reached.get(this.#toldAddress) ?? this.addressIn(this.zone);
  }

  /** Uploads that it may be given: none while nobody of its own zone reaches it. */
  get uploadSlots(): number {
    // The scheduler takes it that a host is reached within its own zone.
    return this.addressIn(this.zone) === "" ? 0 : this.channel.hello.uploadSlots;
  }

  /** Zones other than its own whose hosts can fetch pieces from this one. */
  get furtherZones(): string[] {
    const all = [...this.#toldByZone.keys()];
    return all.filter((zone) => zone !== this.zone && this.addressIn(zone) !== "");
  }

  /** Zones whose hosts can fetch pieces from this one. */
  get zones(): string[] {
    const isReachedAtHome = this.addressIn(this.zone) !== "";
    return isReachedAtHome ? [this.zone, ...this.furtherZones] : this.furtherZones;
  }

  /** A supernode that names no zones stands in all of them. */
  get isEverywhere(): boolean {
    return this.isSeed && this.#toldByZone.size === 0;
  }

  /** "host:port" of its piece server for hosts of a zone; "" when they cannot reach it, or it was not found there. */
  addressIn(zone: string): string {
    const isAtHome = zone === this.zone || this.isEverywhere;
    const told = this.#toldByZone.get(zone) ?? (isAtHome ? this.#toldAddress : "");
    return this.#reached.get(told) ?? "";
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

  hold(content: HeldContent): void {
    const { contentId, taskId, have } = content;
    this.drop(contentId);
    if (this.held.size >= HELD_MAX || this.#heldCharacters + have.length > HELD_CHARACTERS_MAX)
      return;
    this.#heldCharacters += have.length;
    this.held.set(contentId, content);
    if (taskId !== undefined) this.#heldByTask.set(taskId, contentId);
  }

  /** The version of a task that it said last to hold; undefined: none. */
  heldOf(taskId: string): string | undefined {
    return this.#heldByTask.get(taskId);
  }

  /** Forgets what the peer offered of a content. */
  drop(contentId: string): void {
    const { have = "", taskId = "" } = this.held.get(contentId) ?? {};
    this.#heldCharacters -= have.length;
    this.held.delete(contentId);
    if (this.#heldByTask.get(taskId) === contentId) this.#heldByTask.delete(taskId);
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
