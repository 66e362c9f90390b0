// Decides how a URL is brought: by the peer on this host, or read from the source in this process.

import { DfError } from "../../errors.ts";
import { visibilityOf } from "../../net/task-request.ts";
import type { GetOptions } from "./options.ts";

export type Route =
  /** `notice` says why, where the user would expect the swarm; null where it goes without saying. */
  { readonly kind: "direct"; readonly notice: string | null } | { readonly kind: "swarm" };

/** What decides, apart from the URL. */
export type RouteOptions = Pick<
  GetOptions,
  "headers" | "publicHeaders" | "source" | "noOrigin" | "supernodes" | "fleet" | "isInsecure" | "ca"
>;

/**
 * @param hasPeer whether a peer was named or answers on this host
 * @throws {DfError} denied, no-supernode when the source may not be read
 */
export function routeOf(url: string, options: RouteOptions, hasPeer: boolean): Route {
  const direct = (notice: string | null): Route => {
    if (!options.noOrigin && options.source !== "supernode") return { kind: "direct", notice };
    const rule = options.noOrigin ? "--no-origin" : "--source supernode";
    if (notice === null) {
      throw new DfError("no-supernode", `get with ${rule}: no supernode and no peer are known`, {
        hint: "name one with --supernode HOST:PORT",
      });
    }
    throw new DfError("denied", `get with ${rule}: ${notice}`, { hint: `leave ${rule} away` });
  };
  const hasSwarm = hasPeer || options.supernodes.length > 0 || options.fleet !== null;
  const visibility = visibilityOf(
    { url, headers: options.headers.reveal() },
    options.publicHeaders,
  );
  // Whether it can be shared safely, a peer and its supernode know; one without a fleet never does.
  if (visibility.kind === "private" && !hasPeer && options.fleet === null) {
    const notice = `private (${visibility.because}): read from the source, not shared`;
    return direct(hasSwarm || options.noOrigin || options.source === "supernode" ? notice : null);
  }
  if (options.source === "origin") return direct(null);
  if (!hasSwarm) return direct(null);
  if (options.isInsecure || options.ca !== null) {
    return direct("certificate flags hold for this host only: read from the source, not shared");
  }
  return { kind: "swarm" };
}
