// Says loudly where contents rest and travel as they are though somebody may count on the opposite.

import type { LiveSettings } from "../settings/live-settings.ts";

/** Warns now and whenever the setting changes. @param canSeal whether the fleet gave this supernode its secrets */
export function warnOfEncryption(
  settings: LiveSettings,
  canSeal: boolean,
  warn: (message: string) => void,
): void {
  let told: string | null = null;
  settings.follow(({ encryption }) => {
    const warning = warningOf(encryption, canSeal);
    if (warning !== null && warning !== told) warn(warning);
    told = warning;
  });
}

function warningOf(encryption: string, canSeal: boolean): string | null {
  if (encryption === "always" && !canSeal)
    return "encryption always: no fleet gave this supernode a key, so nothing is sealed";
  if (encryption === "off" && canSeal)
    return "encryption off: private contents are not sealed; who reads wires or disks reads them";
  return null;
}
