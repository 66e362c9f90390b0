// Which peer this command talks to: a named one, one that runs on this host, a background peer that
// is started on first need, or one inside this process.

import { DfError } from "../../errors.ts";
import type { LocalClient } from "../../net/local-client.ts";
import type { GetOptions } from "./options.ts";

export class PeerAccess {
  readonly #options: GetOptions;
  #client: LocalClient | null = null;
  #looked: Promise<LocalClient | null> | null = null;
  #stopOwnPeer: (() => Promise<void>) | null = null;

  constructor(options: GetOptions) {
    this.#options = options;
  }

  /** Whether a peer was named or answers; asked once. */
  async isKnown(): Promise<boolean> {
    if (this.#options.source === "origin") return false;
    return (await this.#find()) !== null;
  }

  /**
   * The peer to use; after it was lost, another one may take its place.
   * @throws {DfError} unavailable
   */
  async connect(signal: AbortSignal): Promise<LocalClient> {
    const { socket, supernodes, lingerMs, mayStartPeer } = this.#options;
    const found = await this.#find();
    this.#looked = null;
    if (found !== null) return found;
    if (socket !== null || mayStartPeer) {
      const { startBackgroundPeer } = await import("./background-peer.ts");
      this.#client = await startBackgroundPeer({ supernodes, lingerMs, signal });
      return this.#client;
    }
    throw new DfError("unavailable", "get: no peer runs on this host");
  }

  /** Stops the peer inside this process, if there is one. */
  async close(): Promise<void> {
    await this.#stopOwnPeer?.();
  }

  #find(): Promise<LocalClient | null> {
    this.#looked ??= this.#look();
    return this.#looked;
  }

  async #look(): Promise<LocalClient | null> {
    const { socket, supernodes } = this.#options;
    if (socket !== null) {
      const { LocalClient } = await import("../../net/local-client.ts");
      return new LocalClient(socket);
    }
    if (this.#stopOwnPeer !== null) return this.#client;
    const { findPeer } = await import("./background-peer.ts");
    return findPeer(supernodes);
  }
}
