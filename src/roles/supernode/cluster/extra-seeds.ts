// Asks other members to take part in what many peers download here, as extra seeds: they upload with
// the owner, and the next in rank has nearly everything when the owner dies.

import type { TaskRequest } from "../../../net/wire/task.ts";
import type { Seeding } from "../seeding.ts";
import type { MemberLinks } from "./member-links.ts";

/** A shorter content is over before another seed has some of it. */
const LENGTH_MIN = 1 << 20;

/** One child alone is as well served by the owner. From the second on a copy pays when the owner dies. */
const CHILDREN_FOR_FIRST = 2;

/** One more seed for each so many children: a seed's link carries some tens of them at once. */
const CHILDREN_PER_SEED = 64;

export interface ExtraSeedsOptions {
  links: MemberLinks;
  isOwned: (taskId: string) => boolean;
  /** Sends the request over the channel that the member keeps open to here; false: there is none. */
  ask: (hostId: string, task: TaskRequest) => boolean;
}

/** What several peers download here. */
interface SharedContent {
  /** Without credentials. */
  readonly task: TaskRequest;
  /** Host IDs of the members that were asked. */
  readonly asked: Set<string>;
}

export class ExtraSeeds {
  readonly #options: ExtraSeedsOptions;
  readonly #shared = new Map<Seeding, SharedContent>();

  constructor(options: ExtraSeedsOptions) {
    this.#options = options;
  }

  /** A peer joined a content here. */
  childJoined(seeding: Seeding, task: TaskRequest): void {
    const { links, isOwned } = this.#options;
    const { taskId, layout } = seeding.stored.facts;
    if (links.isAlone || (layout.length ?? Infinity) < LENGTH_MIN || !isOwned(taskId)) return;
    // Credentials are kept for as long as their own download runs, and elsewhere than here.
    const { credentials: _, ...bare } = task;
    const shared = this.#shared.get(seeding) ?? { task: bare, asked: new Set() };
    this.#shared.set(seeding, shared);
    this.#ask(seeding, shared);
  }

  /** A member opened its channel, again perhaps: then it knows nothing of what it was asked before. */
  memberArrived(hostId: string): void {
    for (const [seeding, shared] of this.#shared) {
      shared.asked.delete(hostId);
      if (seeding.isInFlight) this.#ask(seeding, shared);
    }
  }

  dropped(seeding: Seeding): void {
    this.#shared.delete(seeding);
  }

  #ask(seeding: Seeding, { task, asked }: SharedContent): void {
    const { links, ask } = this.#options;
    const { isPrivate = false } = seeding.stored.facts;
    const asking = seeding.requesters.anyone?.reveal() ?? task;
    // A member proves itself at the source as one of those who wait; nobody is left to do it for.
    if (isPrivate && asking.credentials === undefined) return;
    const wanted = seedsFor(seeding.childCount - asked.size);
    for (const { channel } of links.othersFor(seeding.stored.facts.taskId)) {
      if (asked.size >= wanted) return;
      const { hostId } = channel;
      if (hostId === null || asked.has(hostId)) continue;
      if (ask(hostId, asking)) asked.add(hostId);
    }
  }
}

/** How many extra seeds so many peers are worth. */
export function seedsFor(peerCount: number): number {
  if (peerCount < CHILDREN_FOR_FIRST) return 0;
  return 1 + Math.floor(peerCount / CHILDREN_PER_SEED);
}
