// What the settings mean for a host's uploads and its own reads of sources.

import type { SettingsInForce } from "../../net/wire/fleet-settings.ts";
import { diskShare } from "../worker/disk-share.ts";
import type { UploadLimits } from "../worker/piece-worker-messages.ts";
import type { SourceLimits } from "../worker/source-worker-messages.ts";

export function uploadLimitsOf(settings: SettingsInForce): UploadLimits {
  const { uploadSlots, uploadRate, diskRate } = settings;
  return {
    uploadSlots,
    uploadRateBytesPerSec: uploadRate,
    diskRateBytesPerSec: diskShare(diskRate),
  };
}

/** What this host reads from sources itself is part of its downloads. */
export function sourceLimitsOf({ downloadRate, diskRate }: SettingsInForce): SourceLimits {
  return {
    sourceRateBytesPerSec: downloadRate,
    diskRateBytesPerSec: diskShare(diskRate),
    uploadRateBytesPerSec: null,
  };
}
