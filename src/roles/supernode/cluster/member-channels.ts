// The channels that other supernodes keep open to this one, among those of the peers.

import type { TaskRequest } from "../../../net/wire/task.ts";
import type { ConnectedPeer } from "../connected-peer.ts";

/** WebSocket close code "service restart": come back at once. */
const CLOSE_COME_BACK = 1012;

export class MemberChannels {
  readonly #peers: () => Iterable<ConnectedPeer>;

  /** @param peers every peer with a channel */
  constructor(peers: () => Iterable<ConnectedPeer>) {
    this.#peers = peers;
  }

  /** Asks a supernode to seed a task; false: it has no channel to here. */
  ask(hostId: string, task: TaskRequest): boolean {
    const member = this.#of(hostId);
    member?.channel.send({ type: "takePart", task });
    return member !== undefined;
  }

  /** A member was reached whose own channel came before it was known as one: it comes back as a seed. */
  reached(hostId: string): void {
    const member = this.#of(hostId);
    if (member?.isSeed === false) member.channel.close(CLOSE_COME_BACK, "come back as a member");
  }

  #of(hostId: string): ConnectedPeer | undefined {
    for (const peer of this.#peers()) {
      const { hello } = peer.channel;
      if (hello.role === "supernode" && hello.hostId === hostId) return peer;
    }
    return undefined;
  }
}
