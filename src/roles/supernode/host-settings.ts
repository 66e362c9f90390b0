// The fleet's settings at a supernode: its own values, and each connected peer's by its labels.

import { resolveSettings, ROLE_LABEL, type SettingsLayers } from "../../net/wire/fleet-settings.ts";
import type { Labels } from "../../net/wire/fleet-api.ts";
import type { LiveSettings } from "../settings/live-settings.ts";
import type { ConnectedPeer } from "./connected-peer.ts";

export interface HostSettingsOptions {
  /** This supernode's own. */
  settings: LiveSettings;
  labels: Labels;
  peers: () => Iterable<ConnectedPeer>;
}

export class HostSettings {
  readonly #options: HostSettingsOptions;
  #layers: SettingsLayers | null = null;

  constructor(options: HostSettingsOptions) {
    this.#options = options;
  }

  /** Applies what the fleet says, here and at every connected peer. */
  take(layers: SettingsLayers): void {
    const { settings, labels, peers } = this.#options;
    this.#layers = layers;
    const own = resolveSettings(layers, { ...labels, [ROLE_LABEL]: "supernode" });
    settings.hear("df config", layers.version, own);
    for (const peer of peers()) this.tell(peer);
  }

  /** Tells a peer what counts for it, also when that is nothing: it may remember something else. */
  tell({ channel }: ConnectedPeer): void {
    if (this.#layers === null) return;
    const { version } = this.#layers;
    const { labels, role } = channel.hello;
    // What a supernode in the fleet may do, `df config` tells it.
    if (role === "supernode") return;
    const settings = resolveSettings(this.#layers, { ...labels, [ROLE_LABEL]: "peer" });
    channel.send({ type: "settings", version, settings });
  }
}
