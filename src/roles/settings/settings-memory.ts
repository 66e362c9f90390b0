// What the fleet said last, on disk: a host that starts while no supernode answers keeps to it. A
// supernode has it with all else that its fleet told it.

import { join } from "node:path";
import { messageOf } from "../../errors.ts";
import { KeptJson } from "../../net/fleet/kept-json.ts";
import { heardSettingsSchema } from "../../net/wire/fleet-settings.ts";
import type { LiveSettingsOptions } from "./live-settings.ts";

export async function settingsMemory(
  dataDir: string,
  onWarning: (message: string) => void,
): Promise<Required<Pick<LiveSettingsOptions, "remembered" | "remember">>> {
  const kept = new KeptJson(join(dataDir, "settings.json"), heardSettingsSchema);
  return {
    remembered: (await kept.read()) ?? undefined,
    remember(settings) {
      kept
        .write(settings)
        .catch((error: unknown) => onWarning(`remember the settings: ${messageOf(error)}`));
    },
  };
}
