// Asks a supernode which content a further user of this host would be given, with his own credentials:
// whoever shares a private download here was proven at the source like the one who began it.

import { DfError, isDfError } from "../../errors.ts";
import type { SwarmClient } from "../../net/swarm/swarm-client.ts";
import type { SwarmMember } from "../../net/swarm/swarm-member.ts";
import type { NamedSupernode } from "../../net/tls/supernode-endpoint.ts";
import type { Joined } from "../../net/wire/swarm-messages.ts";
import type { TaskRequest } from "../../net/wire/task.ts";
import { findOwner } from "./find-owner.ts";
import type { Supernodes } from "./supernodes.ts";

/** As often as a download follows; then whoever was asked last is to answer. */
const MOVES_MAX = 4;

/** A supernode may go away in the middle of a question: then whoever answers next is asked. */
const ASKS_MAX = 3;

/**
 * Returns the content's ID.
 * @throws {DfError} what the source says to this user; no-supernode; not-shareable; the signal's reason
 */
export async function askAs(
  supernodes: Supernodes,
  { taskId, task }: { taskId: string; task: TaskRequest },
  signal: AbortSignal,
): Promise<string> {
  const wanted = { taskId, mayReadSource: () => false, sourceReadersPerSec: () => 0 };
  for (let asks = 1; ; asks++) {
    const owner = await findOwner(supernodes, wanted, signal);
    if (owner === null) throw new DfError("no-supernode", "ask for a private task", { taskId });
    const question = new Question(supernodes, task, signal);
    try {
      return await question.ask(owner, !supernodes.isFirstFor(taskId, owner));
    } catch (error) {
      if (!isDfError(error, "unavailable") || asks === ASKS_MAX) throw error;
    }
  }
}

class Question implements SwarmMember {
  readonly #supernodes: Supernodes;
  readonly #task: TaskRequest;
  readonly #signal: AbortSignal;
  readonly #answer = Promise.withResolvers<string>();
  #channel: SwarmClient | null = null;
  #moves = 0;

  constructor(supernodes: Supernodes, task: TaskRequest, signal: AbortSignal) {
    this.#supernodes = supernodes;
    this.#task = task;
    this.#signal = signal;
  }

  async ask(channel: SwarmClient, isDelegated: boolean): Promise<string> {
    const abandon = (): void => this.#answer.reject(this.#signal.reason as Error);
    this.#signal.addEventListener("abort", abandon, { once: true });
    try {
      this.#askAt(channel, isDelegated);
      return await this.#answer.promise;
    } finally {
      this.#signal.removeEventListener("abort", abandon);
      this.#channel?.detach(this);
    }
  }

  #askAt(channel: SwarmClient, isDelegated: boolean): void {
    if (this.#channel !== channel) this.#channel?.detach(this);
    this.#channel = channel;
    channel.join(this, this.#task, { isDelegated, isQuestion: true });
    if (!channel.isOpen) this.channelLost();
  }

  joined({ contentId }: Joined): void {
    this.#answer.resolve(contentId);
  }

  moved(place: NamedSupernode, isDelegated: boolean): void {
    const isSentRound = ++this.#moves > MOVES_MAX;
    const to = this.#supernodes.toward(place);
    const from = this.#channel!;
    to.reach().then(
      (isOpen) => (isOpen ? this.#askAt(to, isDelegated || isSentRound) : this.#askAt(from, true)),
      (error: unknown) => this.#answer.reject(error),
    );
  }

  refused(error: DfError): void {
    this.#answer.reject(error);
  }

  channelLost(): void {
    const message = "ask for a private task: the supernode is gone";
    this.#answer.reject(new DfError("unavailable", message, { hint: "try again" }));
  }

  channelSilent(): void {
    this.channelLost();
  }

  // A question takes no part in what else is said.
  rows(): void {}
  signed(): void {}
  assigned(): void {}
  closed(): void {}
  ticket(): void {}
  failed(): void {}
  neighbours(): void {}
  channelOpened(): void {}
}
