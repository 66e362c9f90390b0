// What the settings in force mean for a supernode's workers.

import type { SettingsInForce } from "../../net/wire/fleet-settings.ts";
import { diskShare } from "../worker/disk-share.ts";
import type { UploadLimits } from "../worker/piece-worker-messages.ts";
import type { SourceLimits } from "../worker/source-worker-messages.ts";

/** Pieces a supernode uploads at once at most; the scheduler finds the number below it that its link carries. */
export const SEED_SLOTS_MAX = 64;

/** The upload slots of settings are those of hosts: here the scheduler finds their number. */
export function uploadLimits({ uploadRate, diskRate }: SettingsInForce): UploadLimits {
  return {
    uploadSlots: SEED_SLOTS_MAX,
    uploadRateBytesPerSec: uploadRate,
    diskRateBytesPerSec: diskShare(diskRate),
  };
}

export function sourceLimits(settings: SettingsInForce): SourceLimits {
  const { sourceRate, diskRate, uploadRate } = settings;
  return {
    sourceRateBytesPerSec: sourceRate,
    diskRateBytesPerSec: diskShare(diskRate),
    uploadRateBytesPerSec: uploadRate,
  };
}
