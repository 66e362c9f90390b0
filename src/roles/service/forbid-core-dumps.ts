// A dump of a role's memory would hold keys, tokens and its users' credentials: none is written.

import { openLibc } from "../../libc.ts";

/** The number of this limit on Linux and macOS. */
const RLIMIT_CORE = 4;

/** For this process and what it starts; where it cannot be had, the service manager has it to do. */
export function forbidCoreDumps(): void {
  try {
    const { setrlimit } = openLibc({ setrlimit: { args: ["i32", "ptr"], returns: "i32" } });
    // struct rlimit { rlim_t soft, hard; } of 64 bits each.
    setrlimit(RLIMIT_CORE, new BigUint64Array(2));
  } catch {
    // Another C library: LimitCORE=0 of the systemd unit says the same.
  }
}
