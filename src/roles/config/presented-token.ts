// Where a request shows its token: as a bearer, and on routes of other programs' protocols also in the places
// that these know, because who configures Harbor or a registry may have no other choice.
//
//   Authorization: Bearer dfa_…     Authorization: Basic base64(anything:dfa_…)     X-Dragonfly-Token: dfa_…

import { basicPairIn } from "../../net/basic-authorization.ts";

const TOKEN_HEADER = "x-dragonfly-token";

/** As the field Authorization with a bearer; undefined: it shows none. */
export function presentedToken(headers: Headers, isForeign: boolean): string | undefined {
  const authorization = headers.get("authorization") ?? undefined;
  if (!isForeign) return authorization;
  const own = headers.get(TOKEN_HEADER);
  if (own !== null) return `Bearer ${own}`;
  const pair = basicPairIn(authorization)?.toString("latin1");
  if (pair === undefined) return authorization;
  return `Bearer ${pair.slice(pair.indexOf(":") + 1)}`;
}
