// Which other members have something of a task. The answers are used again for a moment: one join
// asks for where to go and then for where to read.

import { askHolder } from "../../../net/swarm/ask-holder.ts";
import type { Holding } from "../../../net/wire/holds-api.ts";
import type { MemberLink } from "./member-link.ts";
import type { MemberLinks } from "./member-links.ts";

/**
 * How many of the others are asked, best first: a member that came lately finds the former owner
 * among the next in rank, one that took over finds who came after the dead one.
 */
const HOLDERS_ASKED_MAX = 4;

const ANSWERS_FRESH_MS = 1_000;

export interface Holder {
  readonly link: MemberLink;
  readonly holding: Holding;
}

export class Holders {
  readonly #links: MemberLinks;
  readonly #credential: () => string | undefined;
  readonly #answers = new Map<string, Promise<Holder[]>>();

  /** @param credential what this supernode shows the others; undefined: nothing, without a fleet */
  constructor(links: MemberLinks, credential: () => string | undefined) {
    this.#links = links;
    this.#credential = credential;
  }

  /** Living members that have or bring something of the task, best first. */
  of(taskId: string, signal: AbortSignal): Promise<Holder[]> {
    const known = this.#answers.get(taskId);
    if (known !== undefined) return known;
    const asked = this.#ask(taskId, signal);
    this.#answers.set(taskId, asked);
    setTimeout(() => this.#answers.delete(taskId), ANSWERS_FRESH_MS);
    return asked;
  }

  async #ask(taskId: string, signal: AbortSignal): Promise<Holder[]> {
    const asked = { taskId, credential: this.#credential() };
    const living = this.#links.othersFor(taskId).filter(({ isDead }) => !isDead);
    const answers = await Promise.all(
      living.slice(0, HOLDERS_ASKED_MAX).map(async (link) => {
        const holding = await askHolder(link.member, asked, signal);
        return holding === null ? [] : { link, holding };
      }),
    );
    return answers.flat();
  }
}
