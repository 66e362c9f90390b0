// Commands for hosts, on their way through a supernode: kept until the host answered, and said again
// when it comes back. What was lost here, `df config` sends again.

import type { Command, CommandResult } from "../../net/wire/command.ts";
import type { ConnectedPeer } from "./connected-peer.ts";

export interface HostCommandsOptions {
  peers: () => Iterable<ConnectedPeer>;
  /** Whether nobody else can listen to what a peer is told. */
  isConfidential: (peer: ConnectedPeer) => boolean;
  /** Tells the fleet what a host answered. */
  report: (result: CommandResult) => void;
}

const NOT_CONFIDENTIAL = {
  code: "not-shareable",
  message: "preheat what is private: others could listen to this supernode and its host",
};

/** What a host is told: it is the one that is meant. */
type HostCommand = Command & { hosts: null };

export class HostCommands {
  readonly #options: HostCommandsOptions;
  /** By host ID, then by command ID: a cancel takes its preheat's place. */
  readonly #waiting = new Map<string, Map<string, HostCommand>>();

  constructor(options: HostCommandsOptions) {
    this.#options = options;
  }

  /** Passes a command on to those of its hosts that are here. */
  take(command: Command): void {
    this.#forgetExpired();
    const here = new Map<string, ConnectedPeer>();
    for (const peer of this.#options.peers()) here.set(peer.channel.hello.hostId, peer);
    for (const hostId of command.hosts ?? []) {
      const peer = here.get(hostId);
      // It left: the fleet hears of it, and sends the command where the host is.
      if (peer === undefined) continue;
      if (carriesCredentials(command) && !this.#options.isConfidential(peer)) {
        this.#options.report({ id: command.id, hostId, state: "failed", error: NOT_CONFIDENTIAL });
        continue;
      }
      this.#keep(hostId, { ...command, hosts: null });
      peer.channel.send({ type: "command", command: { ...command, hosts: null } });
    }
  }

  /** Says to a host what it did not answer yet. */
  arrived({ channel }: ConnectedPeer): void {
    for (const command of this.#waiting.get(channel.hello.hostId)?.values() ?? []) {
      channel.send({ type: "command", command });
    }
  }

  /** Takes a host's answer; nobody answers for another. */
  answered({ channel }: ConnectedPeer, result: CommandResult): void {
    const { hostId } = channel.hello;
    if (result.hostId !== hostId) return;
    const waiting = this.#waiting.get(hostId);
    const kind = waiting?.get(result.id)?.kind;
    // Done may have crossed the cancel, which is then still to be answered.
    const isAnswer = result.state === "failed" || (result.state === "done" && kind === "preheat");
    if (isAnswer) waiting?.delete(result.id);
    if (waiting?.size === 0) this.#waiting.delete(hostId);
    this.#options.report(result);
  }

  #keep(hostId: string, command: HostCommand): void {
    const waiting = this.#waiting.get(hostId) ?? new Map<string, HostCommand>();
    waiting.set(command.id, command);
    this.#waiting.set(hostId, waiting);
  }

  #forgetExpired(): void {
    const nowSec = Date.now() / 1000;
    for (const [hostId, waiting] of this.#waiting) {
      for (const [id, { expiresAt }] of waiting) if (expiresAt <= nowSec) waiting.delete(id);
      if (waiting.size === 0) this.#waiting.delete(hostId);
    }
  }
}

function carriesCredentials(command: Command): boolean {
  return command.kind === "preheat" && command.task.credentials !== undefined;
}
