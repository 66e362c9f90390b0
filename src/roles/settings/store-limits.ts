// What the settings mean for the store of contents, on supernodes and peers alike.

import type { SettingsInForce } from "../../net/wire/fleet-settings.ts";
import type { StoreLimits } from "../../store/piece-store.ts";

export function storeLimitsOf({ quota, diskHighMark, diskLowMark }: SettingsInForce): StoreLimits {
  return { quotaBytes: quota, marks: { high: diskHighMark, low: diskLowMark } };
}
