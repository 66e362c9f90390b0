// What the supernode keeps of one connected peer.

import type { HostIndex } from "../../engine/core/scheduler-events.ts";
import type { PeerChannel } from "../../net/swarm/swarm-server.ts";
import type { Member } from "./seeding.ts";

/** Contents a peer may hold beside those it joins: more are ignored, they are only hints. */
const HELD_MAX = 8_192;

export class ConnectedPeer {
  readonly channel: PeerChannel;
  readonly host: HostIndex;
  /** "host:port" of its piece server; "" for a host that only downloads. */
  readonly pieceAddress: string;
  /** Bitmaps, base64, of contents that the peer offers, by content ID. */
  readonly held = new Map<string, string>();
  readonly #members = new Map<number, Member>();
  #nextHandle = 1;
  isGone = false;

  constructor(channel: PeerChannel, host: HostIndex) {
    this.channel = channel;
    this.host = host;
    this.pieceAddress = reachableAddress(channel);
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
    if (this.held.size < HELD_MAX || this.held.has(contentId)) this.held.set(contentId, have);
  }
}

/** A peer that listens on every address is reached where its channel comes from. */
function reachableAddress(channel: PeerChannel): string {
  const told = channel.hello.pieceAddress;
  if (told === null) return "";
  const [, host, port] = /^(.*):(\d{1,5})$/.exec(told) ?? [];
  if (host === undefined || port === undefined) return "";
  const isUnspecified = host === "0.0.0.0" || host === "[::]" || host === "";
  return isUnspecified ? `${bracketed(channel.origin.remoteAddress)}:${port}` : told;
}

/** As a URL's host: IPv6 in brackets, IPv4 within IPv6 as itself. */
export function bracketed(address: string): string {
  const plain = address.replace(/^::ffff:(?=\d+\.)/, "");
  return plain.includes(":") ? `[${plain}]` : plain;
}
