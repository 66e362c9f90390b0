// The fleet membership of a service on this machine, as far as this user may read it: by it a command
// shows itself to the fleet's supernodes and believes them.

import { readFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import { z } from "zod";
import { Secret } from "../../engine/bytes/secret.ts";

const membershipSchema = z.object({
  credential: z.string().transform((text) => new Secret(text)),
  ca: z.string().nullable(),
});
export type OwnMembership = z.infer<typeof membershipSchema>;

/** Undefined: this machine is in no fleet, or the user may not read it. */
export function readOwnMembership(): OwnMembership | undefined {
  const state = process.env["XDG_STATE_HOME"] || join(homedir(), ".local", "state");
  const dirs = ["/var/lib/dragonfly/supernode", "/var/lib/dragonfly/peer"];
  for (const dir of [...dirs, join(state, "dragonfly", "peer")]) {
    const membership = readIn(dir);
    if (membership !== undefined) return membership;
  }
  return undefined;
}

function readIn(dir: string): OwnMembership | undefined {
  try {
    return membershipSchema.parse(JSON.parse(readFileSync(join(dir, "membership.json"), "utf8")));
  } catch {
    return undefined;
  }
}
