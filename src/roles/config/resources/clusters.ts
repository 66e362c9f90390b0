// /api/v1/clusters: groups of supernodes, what labels they have, and where they get contents.

import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { DfError } from "../../../errors.ts";
import {
  clusterChangeSchema,
  clusterNameSchema,
  clusterSchema,
  newClusterSchema,
} from "../../../net/wire/admin-api.ts";
import {
  deleteCluster,
  insertCluster,
  listClusters,
  updateCluster,
} from "../../../store/fleet-database/clusters.ts";
import type { FleetDatabase } from "../../../store/fleet-database/fleet-database.ts";
import { listRoutingRules } from "../../../store/fleet-database/routing-rules.ts";
import { listSupernodes } from "../../../store/fleet-database/supernodes.ts";
import { emptyAnswer, jsonAnswer, jsonBody, type Resource } from "../config-app.ts";
import type { ConfigParts } from "../config-parts.ts";
import { isOnUpstreamCycle } from "../upstream-cycle.ts";

const tags = ["clusters"];
const params = z.object({ name: clusterNameSchema });

const listRoute = createRoute({
  ...{ method: "get", path: "/api/v1/clusters", tags, summary: "All clusters" },
  responses: jsonAnswer("By name", z.object({ clusters: z.array(clusterSchema) })),
});
const createClusterRoute = createRoute({
  ...{ method: "post", path: "/api/v1/clusters", tags, summary: "Make a cluster" },
  request: { body: jsonBody(newClusterSchema) },
  responses: jsonAnswer("The cluster", clusterSchema),
});
const readRoute = createRoute({
  ...{ method: "get", path: "/api/v1/clusters/{name}", tags, summary: "One cluster" },
  request: { params },
  responses: jsonAnswer("The cluster", clusterSchema),
});
const changeRoute = createRoute({
  ...{ method: "patch", path: "/api/v1/clusters/{name}", tags, summary: "Change a cluster" },
  request: { params, body: jsonBody(clusterChangeSchema) },
  responses: jsonAnswer("The cluster", clusterSchema),
});
const deleteRoute = createRoute({
  ...{ method: "delete", path: "/api/v1/clusters/{name}", tags, summary: "Remove a cluster" },
  request: { params },
  responses: emptyAnswer("It is gone"),
});

type ClusterParts = Pick<ConfigParts, "database" | "view">;

export function clustersResource({ database, view }: ClusterParts): Resource {
  return (app) => {
    app.openapi(listRoute, async (context) =>
      context.json({ clusters: await listClusters(database) }, 200),
    );
    app.openapi(createClusterRoute, async (context) => {
      const body = context.req.valid("json");
      await refuseBadUpstream(database, body);
      const cluster = { ...body, createdAt: Date.now() };
      if (!(await insertCluster(database, cluster))) {
        throw new DfError("conflict", `make cluster ${body.name}: there is one`);
      }
      await view.refresh();
      return context.json(cluster, 200);
    });
    app.openapi(readRoute, async (context) => {
      const { name } = context.req.valid("param");
      const cluster = (await listClusters(database)).find((cluster) => cluster.name === name);
      return context.json(cluster ?? missing(name), 200);
    });
    app.openapi(changeRoute, async (context) => {
      const { name } = context.req.valid("param");
      const { labels, upstream } = context.req.valid("json");
      if (upstream !== undefined) await refuseBadUpstream(database, { name, upstream });
      const changed = await updateCluster(database, name, {
        ...(labels === undefined ? {} : { labels }),
        ...(upstream === undefined ? {} : { upstream }),
      });
      if (changed === undefined) missing(name);
      await view.refresh();
      return context.json(changed, 200);
    });
    app.openapi(deleteRoute, async (context) => {
      const { name } = context.req.valid("param");
      await refuseInUse(database, name);
      if (!(await deleteCluster(database, name))) missing(name);
      await view.refresh();
      return context.body(null, 204);
    });
  };
}

/** @throws {DfError} usage (no such cluster), conflict (a circle) */
async function refuseBadUpstream(
  database: FleetDatabase,
  { name, upstream }: { name: string; upstream: string | null },
): Promise<void> {
  if (upstream === null) return;
  const others = (await listClusters(database)).filter((cluster) => cluster.name !== name);
  if (upstream !== name && !others.some((cluster) => cluster.name === upstream)) {
    throw new DfError("usage", `set upstream of cluster ${name}: there is no cluster ${upstream}`);
  }
  if (isOnUpstreamCycle(name, [...others, { name, upstream }])) {
    throw new DfError("conflict", `set upstream of cluster ${name}: ${upstream} leads back to it`, {
      hint: "one cluster must be the first: it reads the sources",
    });
  }
}

/** @throws {DfError} conflict */
async function refuseInUse(database: FleetDatabase, name: string): Promise<void> {
  const [clusters, rules, supernodes] = await Promise.all([
    listClusters(database),
    listRoutingRules(database),
    listSupernodes(database),
  ]);
  const users = [
    ...clusters.filter(({ upstream }) => upstream === name).map((it) => `cluster ${it.name}`),
    ...rules.filter((rule) => rule.clusters.includes(name)).map(({ id }) => `rule ${id}`),
    ...supernodes.filter(({ cluster }) => cluster === name).map((it) => `supernode ${it.hostId}`),
  ];
  if (users.length === 0) return;
  throw new DfError("conflict", `remove cluster ${name}: ${users[0]!} uses it`, {
    hint: `first change or remove all that use it (${users.length})`,
  });
}

/** @throws {DfError} not-found */
function missing(name: string): never {
  throw new DfError("not-found", `find cluster ${name}: there is none`);
}
