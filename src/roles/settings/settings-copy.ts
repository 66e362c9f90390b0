// What the fleet said last, on disk: a machine that starts while nobody of its fleet answers keeps to
// it. Losing the file costs nothing else.

import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "../../errors.ts";
import { heardSettingsSchema, type Settings } from "../../net/wire/fleet-settings.ts";

export interface SettingsCopy {
  /** Undefined where there is none that can be read. */
  readonly remembered: Settings | undefined;
  remember(settings: Settings): void;
}

export function settingsCopy(dataDir: string, onWarning: (message: string) => void): SettingsCopy {
  const path = join(dataDir, "settings.json");
  return {
    remembered: readCopy(path),
    remember(settings) {
      try {
        writeFileSync(`${path}.new`, JSON.stringify(settings), { mode: 0o600 });
        renameSync(`${path}.new`, path);
      } catch (error) {
        onWarning(`keep the fleet's settings in ${path}: ${messageOf(error)}`);
      }
    },
  };
}

function readCopy(path: string): Settings | undefined {
  try {
    return heardSettingsSchema.parse(JSON.parse(readFileSync(path, "utf8")));
  } catch {
    return undefined;
  }
}
