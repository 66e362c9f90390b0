// The channels that other supernodes keep open to this one, among those of the peers.

import type { TaskRequest } from "../../../net/wire/task.ts";
import type { ConnectedPeer } from "../connected-peer.ts";

/** WebSocket close code "service restart": come back at once. */
const CLOSE_COME_BACK = 1012;

export class MemberChannels {
  readonly #peers: () => Iterable<ConnectedPeer>;
  readonly #mayHearSecrets: (peer: ConnectedPeer) => boolean;

  /**
   * @param peers every peer with a channel
   * @param mayHearSecrets whether a peer is proven to be a supernode, and nobody else can listen
   */
  constructor(
    peers: () => Iterable<ConnectedPeer>,
    mayHearSecrets: (peer: ConnectedPeer) => boolean,
  ) {
    this.#peers = peers;
    this.#mayHearSecrets = mayHearSecrets;
  }

  /** Asks a supernode to seed a task; false: it has no channel to here on which it could be asked. */
  ask(hostId: string, task: TaskRequest): boolean {
    const member = this.#of(hostId);
    if (member === undefined) return false;
    if (task.credentials !== undefined && !this.#mayHearSecrets(member)) return false;
    member.channel.send({ type: "takePart", task });
    return true;
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
