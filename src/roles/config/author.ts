// Whose doing a change of the fleet is, as it is kept with the change.

import type { Caller } from "./callers.ts";

/** The ID of the admin token: it tells who without telling the secret. */
export function authorOf(caller: Caller): string {
  return caller.kind === "administrator" ? caller.token.id : caller.kind;
}
