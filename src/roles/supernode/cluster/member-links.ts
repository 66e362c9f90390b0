// The links to all supernodes that this one has to do with: the members of its cluster and of the
// upstream one, in the order in which each may own a task.

import { rankOwners } from "../../../net/swarm/owner-rank.ts";
import { endpointOf, type NamedSupernode } from "../../../net/tls/supernode-endpoint.ts";
import { MemberLink, type MemberLinkOptions } from "./member-link.ts";
import type { ClusterMember, ClusterMembers } from "./cluster-members.ts";

export class MemberLinks {
  readonly #members: ClusterMembers;
  readonly #options: MemberLinkOptions;
  readonly #links = new Map<string, MemberLink>();
  #unsubscribe: (() => void) | undefined;

  constructor(members: ClusterMembers, options: MemberLinkOptions) {
    this.#members = members;
    this.#options = options;
  }

  /** Opens the channels to the other members, now and to each that comes. */
  start(): void {
    this.#unsubscribe = this.#members.onChange(() => this.#follow());
    this.#follow();
  }

  stop(): void {
    this.#unsubscribe?.();
    for (const link of this.#links.values()) link.stop();
    this.#links.clear();
  }

  /** Whether there is no other member. */
  get isAlone(): boolean {
    return this.#others.length === 0;
  }

  /** The link to a supernode, made on first use; undefined: that is this one. */
  toward(place: NamedSupernode): MemberLink | undefined {
    const { address, hostId } = place;
    if (this.#ownAddress === address) return undefined;
    // What the fleet says of a member counts, not what another one says of it.
    const known = [...this.#members.all, ...this.#members.upstream];
    const named = { key: hostId ?? address, ...endpointOf(place, this.#members.ca) };
    return this.#linkTo(known.find((member) => member.address === address) ?? named);
  }

  /** Members that come before this one for a task, best first. */
  betterFor(taskId: string): MemberLink[] {
    const ranked = this.#ranked(taskId, this.#members.all);
    const own = ranked.findIndex(({ key }) => key === this.#members.ownKey);
    return ranked.slice(0, own === -1 ? ranked.length : own).map((member) => this.#linkTo(member));
  }

  /** All other members, best first. */
  othersFor(taskId: string): MemberLink[] {
    return this.#ranked(taskId, this.#others).map((member) => this.#linkTo(member));
  }

  /** The upstream cluster's members, its owner of the task first. */
  upstreamFor(taskId: string): MemberLink[] {
    return this.#ranked(taskId, this.#members.upstream).map((member) => this.#linkTo(member));
  }

  /** The member among `links` that a host is sent to, always the same while they are. */
  forHost(hostId: string, links: readonly MemberLink[]): MemberLink | undefined {
    const [key] = rankOwners(
      hostId,
      links.map(({ member }) => member.key),
    );
    return links.find(({ member }) => member.key === key);
  }

  /** Whether a host is a member: the fleet names it, or this supernode reached it itself. */
  knows(hostId: string): boolean {
    if (this.#members.all.some(({ key }) => key === hostId)) return true;
    return [...this.#links.values()].some(({ channel }) => channel.hostId === hostId);
  }

  /** Withdraws an evicted content everywhere. */
  drop(contentId: string): void {
    for (const { channel } of this.#links.values()) channel.drop(contentId);
  }

  get #others(): ClusterMember[] {
    const { all, ownKey } = this.#members;
    return all.filter(({ key }) => key !== ownKey);
  }

  get #ownAddress(): string | undefined {
    const { all, ownKey } = this.#members;
    return all.find(({ key }) => key === ownKey)?.address;
  }

  #ranked(taskId: string, members: readonly ClusterMember[]): ClusterMember[] {
    const byKey = new Map(members.map((member) => [member.key, member]));
    return rankOwners(taskId, [...byKey.keys()]).map((key) => byKey.get(key)!);
  }

  #linkTo(member: ClusterMember): MemberLink {
    const known = this.#links.get(member.address);
    if (known !== undefined && (known.channel.isOpen || isSame(known.member, member))) return known;
    // Another supernode has the address by now, or it speaks TLS: a link to the former one never works.
    known?.stop();
    const link = new MemberLink(member, this.#options);
    this.#links.set(member.address, link);
    link.connect();
    return link;
  }

  #follow(): void {
    const wanted = [...this.#others, ...this.#members.upstream];
    for (const member of wanted) this.#linkTo(member);
    for (const [address, link] of this.#links) {
      // One that works is left to what still goes over it.
      if (wanted.some((member) => member.address === address) || link.channel.isOpen) continue;
      link.stop();
      this.#links.delete(address);
    }
  }
}

/** Whether both prove themselves in the same way. */
function isSame(a: ClusterMember, b: ClusterMember): boolean {
  return a.key === b.key && Bun.deepEquals(a.proof, b.proof);
}
