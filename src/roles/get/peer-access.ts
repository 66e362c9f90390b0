// Which peer this command talks to: a named one, one that runs on this host, a background peer that
// is started on first need, or one inside this process.

import type { LocalClient } from "../../net/local-client.ts";
import type { GetOptions } from "./options.ts";
import type { OwnPeer } from "./own-peer.ts";

export class PeerAccess {
  readonly #options: GetOptions;
  readonly #onWarning: (message: string) => void;
  #looked: Promise<LocalClient | null> | null = null;
  #own: OwnPeer | null = null;

  /** @param onWarning hears what the peer inside this process has to say */
  constructor(options: GetOptions, onWarning: (message: string) => void) {
    this.#options = options;
    this.#onWarning = onWarning;
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
    const { supernodes, fleet, lingerMs, mayStartPeer } = this.#options;
    const found = await this.#find();
    this.#looked = null;
    if (found !== null) return found;
    if (mayStartPeer) {
      const { startBackgroundPeer } = await import("./background-peer.ts");
      return startBackgroundPeer({ supernodes, fleet, lingerMs, signal });
    }
    const { startOwnPeer } = await import("./own-peer.ts");
    this.#own = await startOwnPeer({ supernodes, fleet }, this.#onWarning);
    return this.#own.client;
  }

  /** Stops the peer inside this process, if there is one; `discard` drops the pieces it holds. */
  async close(discard: boolean): Promise<void> {
    await this.#own?.stop(discard);
  }

  #find(): Promise<LocalClient | null> {
    this.#looked ??= this.#look();
    return this.#looked;
  }

  async #look(): Promise<LocalClient | null> {
    const { socket, supernodes, fleet } = this.#options;
    if (socket !== null) {
      const { LocalClient } = await import("../../net/local-client.ts");
      return new LocalClient(socket);
    }
    if (this.#own !== null) return this.#own.client;
    const { findPeer } = await import("./background-peer.ts");
    return findPeer({ supernodes, fleet });
  }
}
