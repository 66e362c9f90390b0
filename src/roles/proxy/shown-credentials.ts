// What an engine shows of its right. An empty name with an empty password is what engines write who have
// nothing to show where something was asked for.

import type { IncomingMessage } from "node:http";

const NOBODY = /^basic\s+Og==$/i;

/** The Authorization field; undefined: nothing is shown. */
export function shownBy({ headers }: Pick<IncomingMessage, "headers">): string | undefined {
  const { authorization } = headers;
  return authorization === undefined || NOBODY.test(authorization) ? undefined : authorization;
}
