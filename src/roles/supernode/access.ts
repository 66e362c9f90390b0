// Who may ask what of a supernode's control port over HTTP: one table, deny by default. A route that is
// not in it answers nobody, and the supernode does not start with one. A test calls each as everybody.
//
//   anyone      nothing is shown: tells nothing of contents and hosts
//   machine     a credential of this fleet, checked without asking anybody
//   supernode   a supernode's credential
//
// Over loopback everything is answered: who is on this machine may look after it. So it is without a
// fleet and with --open, where nobody has a credential: that is for networks that are trusted.

import { createMiddleware } from "hono/factory";
import { matchedRoutes } from "hono/route";
import { DfError } from "../../errors.ts";
import type { FleetRole } from "../../net/fleet/credential.ts";
import { isOwnMachine } from "../../net/swarm/is-confidential.ts";

type Access = "anyone" | "machine" | "supernode";

export const ROUTE_ACCESS: Readonly<Record<string, Access>> = {
  "GET /livez": "anyone",
  "GET /readyz": "anyone",
  "GET /df": "anyone",
  "GET /df.sha256": "anyone",
  "GET /metrics": "machine",
  "GET /v1/status": "machine",
  "POST /v1/freshness": "machine",
  // Task IDs are computed from URLs: what is held of one is a member's affair alone.
  "GET /v1/holds/:taskId": "supernode",
};

/** Tells by `Authorization` what a machine of the fleet is. @throws {DfError} unauthorized */
export type IdentifyMachine = (authorization: string | undefined) => Promise<FleetRole>;

/** Who asks: one of the fleet, or somebody from whom nothing was demanded. */
export type Asker = FleetRole | "trusted";

export interface ControlEnv {
  /** What only the server knows of a request. */
  Bindings: { remoteAddress: string };
  Variables: { asker: Asker };
}

/** @param identify null: without a fleet, or open */
export function guard(identify: IdentifyMachine | null) {
  return createMiddleware<ControlEnv>(async (context, next) => {
    const route = matchedRoutes(context).findLast(({ method }) => method !== "ALL");
    // No route: the answer is 404 whoever asks.
    if (route === undefined) return next();
    const access = ROUTE_ACCESS[`${route.method} ${route.path}`] ?? "supernode";
    const isTrusted = identify === null || isOwnMachine(context.env.remoteAddress);
    if (access === "anyone" || isTrusted) {
      context.set("asker", "trusted");
      return next();
    }
    const role = await identify(context.req.header("authorization"));
    if (access === "supernode" && role !== "supernode") {
      throw new DfError("denied", "answer the request: it is for supernodes of the fleet alone");
    }
    context.set("asker", role);
    return next();
  });
}

/** @throws {Error} for a route that ROUTE_ACCESS does not name */
export function refuseUnlisted(routes: readonly { method: string; path: string }[]): void {
  const unlisted = routes
    .filter(({ method }) => method !== "ALL")
    .map(({ method, path }) => `${method} ${path}`)
    .filter((route) => !Object.hasOwn(ROUTE_ACCESS, route));
  if (unlisted.length > 0) {
    throw new Error(
      `bug: roles/supernode/access.ts does not say who may call ${unlisted.join(", ")}`,
    );
  }
}
