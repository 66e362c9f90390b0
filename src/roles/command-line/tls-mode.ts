// `--tls auto|on|off`: whether a service speaks TLS.

import { DfError } from "../../errors.ts";
import type { Flag } from "./flags.ts";

/** "auto": where others than this machine can reach it. */
export type TlsMode = "auto" | "on" | "off";

export const TLS_FLAG: Flag = {
  name: "tls",
  value: "auto|on|off",
  help: "speak TLS 1.3 (auto: unless only this machine can reach it)",
};

/** @throws {DfError} usage */
export function parseTlsMode(flag: string, text: string): TlsMode {
  if (text === "auto" || text === "on" || text === "off") return text;
  throw new DfError("usage", `read ${flag} ${text}: one of auto, on, off`);
}
