// /api/v1/supernodes: which supernodes the fleet has and how they are.

import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { DfError } from "../../../errors.ts";
import { clusterNameSchema, type Supernode, supernodeSchema } from "../../../net/wire/admin-api.ts";
import { revokeCredentials } from "../../../store/fleet-database/credentials.ts";
import { forgetChannels } from "../../../store/fleet-database/hosts.ts";
import {
  listSupernodes,
  removeSupernode,
  type SupernodeRow,
} from "../../../store/fleet-database/supernodes.ts";
import { emptyAnswer, jsonAnswer, type Resource } from "../config-app.ts";
import type { ConfigParts } from "../config-parts.ts";

const tags = ["supernodes"];
const params = z.object({ hostId: z.string().regex(/^[0-9a-f]{64}$/) });

const listRoute = createRoute({
  ...{ method: "get", path: "/api/v1/supernodes", tags, summary: "All supernodes" },
  request: {
    query: z.strictObject({
      cluster: clusterNameSchema.optional(),
      state: supernodeSchema.shape.state.optional(),
    }),
  },
  responses: jsonAnswer("By ID", z.object({ supernodes: z.array(supernodeSchema) })),
});
const readRoute = createRoute({
  ...{ method: "get", path: "/api/v1/supernodes/{hostId}", tags, summary: "One supernode" },
  request: { params },
  responses: jsonAnswer("The supernode", supernodeSchema),
});
const removeRoute = createRoute({
  ...{ method: "delete", path: "/api/v1/supernodes/{hostId}", tags },
  summary: "Take a supernode out of the fleet; its credentials are no longer believed",
  request: { params },
  responses: emptyAnswer("It is gone"),
});

type SupernodeParts = Pick<ConfigParts, "database" | "view">;

export function supernodesResource({ database, view }: SupernodeParts): Resource {
  return (app) => {
    app.openapi(listRoute, async (context) => {
      const { cluster, state } = context.req.valid("query");
      const rows = (await listSupernodes(database)).filter(
        (row) =>
          (cluster === undefined || row.cluster === cluster) &&
          (state === undefined || row.state === state),
      );
      return context.json({ supernodes: rows.map(told) }, 200);
    });
    app.openapi(readRoute, async (context) => {
      const { hostId } = context.req.valid("param");
      const row = (await listSupernodes(database)).find((row) => row.hostId === hostId);
      return context.json(row === undefined ? missing(hostId) : told(row), 200);
    });
    app.openapi(removeRoute, async (context) => {
      const { hostId } = context.req.valid("param");
      // First: else its next heartbeat could still be taken.
      await revokeCredentials(database, { hostId }, Date.now());
      if (!(await removeSupernode(database, hostId))) missing(hostId);
      await forgetChannels(database, [hostId]);
      await view.refresh();
      return context.body(null, 204);
    });
  };
}

/** Removed ones are not listed. */
function told(row: SupernodeRow): Supernode {
  return { ...row, state: row.state as Supernode["state"] };
}

/** @throws {DfError} not-found */
function missing(hostId: string): never {
  throw new DfError("not-found", `find supernode ${hostId}: there is none`);
}
