// POST /api/v1/routes: a host tells who and where it is and is answered its supernodes, best first. The
// request is held while the answer would be what the host has. From memory: see fleet-view.ts.

import { createRoute } from "@hono/zod-openapi";
import { DfError } from "../../../errors.ts";
import {
  routeAnswerSchema,
  type RouteRequest,
  routeRequestSchema,
} from "../../../net/wire/fleet-api.ts";
import type { Caller } from "../callers.ts";
import { jsonAnswer, jsonBody, type Resource } from "../config-app.ts";
import type { ConfigParts } from "../config-parts.ts";
import { HostLists } from "./host-lists.ts";

/** A host that does not wait for changes asks so often: 10,000 hosts are 167 requests a second. */
const REFRESH_SECONDS = 60;

const routesRoute = createRoute({
  method: "post",
  path: "/api/v1/routes",
  tags: ["machines"],
  summary: "A host's supernodes, best first",
  request: { body: jsonBody(routeRequestSchema) },
  responses: jsonAnswer("Its supernodes", routeAnswerSchema),
});

type RoutesParts = Pick<ConfigParts, "view" | "waits" | "hosts">;

export function routesResource({ view, waits, hosts }: RoutesParts): Resource {
  const lists = new HostLists(view);
  return (app) => {
    app.openapi(routesRoute, async (context) => {
      const request = context.req.valid("json");
      const cluster = clusterOf(request, context.get("caller"));
      hosts.note(request, cluster);
      if (request.waitSeconds > 0 && request.knownVersion === view.version) {
        await waits.wait(request.waitSeconds * 1000, context.req.raw.signal);
      }
      const { version } = view;
      const supernodes = lists.listFor(request, cluster);
      if (supernodes.length === 0) {
        throw new DfError("no-supernode", "list the host's supernodes: none is alive", {
          hint: "start one with df supernode --join; a host keeps the list that it has",
        });
      }
      return context.json(
        { version, supernodes: [...supernodes], refreshSeconds: REFRESH_SECONDS },
        200,
      );
    });
  };
}

/** @throws {DfError} denied, when the credential is another host's */
function clusterOf({ hostId }: RouteRequest, caller: Caller): string | null {
  if (caller.kind !== "machine") return null;
  if (caller.credential.hostId === hostId) return caller.credential.cluster;
  throw new DfError("denied", "list the host's supernodes: the credential is another machine's");
}
