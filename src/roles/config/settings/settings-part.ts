// What of the fleet's settings travels with heartbeats: the layers, when a supernode has others.

import type { HeartbeatPart } from "../config-parts.ts";
import type { SettingsBook } from "./settings-book.ts";

export function settingsPart(book: SettingsBook): HeartbeatPart {
  return {
    answer: async ({ settingsVersion }, { cluster }) => ({
      settings: await book.layersFor(cluster, settingsVersion),
    }),
  };
}
