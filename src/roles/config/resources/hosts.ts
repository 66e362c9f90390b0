// /api/v1/hosts: which hosts asked for supernodes in the last 30 days, by page and filter.

import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { DfError } from "../../../errors.ts";
import { hostSchema, hostsPageSchema, hostsQuerySchema } from "../../../net/wire/admin-api.ts";
import { revokeCredentials } from "../../../store/fleet-database/credentials.ts";
import type { FleetDatabase } from "../../../store/fleet-database/fleet-database.ts";
import {
  channelsOf,
  countHosts,
  findHost,
  forgetHost,
  type HostRow,
  listHosts,
} from "../../../store/fleet-database/hosts.ts";
import { emptyAnswer, jsonAnswer, type Resource } from "../config-app.ts";
import type { ConfigParts } from "../config-parts.ts";

const tags = ["hosts"];
const params = z.object({ hostId: z.string().regex(/^[0-9a-f]{64}$/) });

const listRoute = createRoute({
  ...{ method: "get", path: "/api/v1/hosts", tags, summary: "A page of hosts" },
  request: { query: hostsQuerySchema },
  responses: jsonAnswer("By ID", hostsPageSchema),
});
const readRoute = createRoute({
  ...{ method: "get", path: "/api/v1/hosts/{hostId}", tags, summary: "One host" },
  request: { params },
  responses: jsonAnswer("The host", hostSchema),
});
const removeRoute = createRoute({
  ...{ method: "delete", path: "/api/v1/hosts/{hostId}", tags },
  summary: "Take a host out of the fleet; its credentials are no longer believed",
  request: { params },
  responses: emptyAnswer("It is gone"),
});

type HostParts = Pick<ConfigParts, "database" | "view">;

export function hostsResource({ database, view }: HostParts): Resource {
  return (app) => {
    app.openapi(listRoute, async (context) => {
      const { label = [], after, limit, ...filter } = context.req.valid("query");
      const wanted = { ...filter, labels: Object.fromEntries(label.map(labelOf)) };
      const [rows, total] = await Promise.all([
        listHosts(database, wanted, { after, rowsMax: limit }),
        countHosts(database, wanted),
      ]);
      const next = rows.length < limit ? null : (rows.at(-1)?.hostId ?? null);
      return context.json({ hosts: await withSupernodes(database, rows), total, next }, 200);
    });
    app.openapi(readRoute, async (context) => {
      const { hostId } = context.req.valid("param");
      const row = await findHost(database, hostId);
      if (row === undefined) missing(hostId);
      const [host] = await withSupernodes(database, [row]);
      return context.json(host!, 200);
    });
    app.openapi(removeRoute, async (context) => {
      const { hostId } = context.req.valid("param");
      const revokedCount = await revokeCredentials(database, { hostId }, Date.now());
      const wasListed = await forgetHost(database, hostId);
      if (!wasListed && revokedCount === 0) missing(hostId);
      await view.refresh();
      return context.body(null, 204);
    });
  };
}

function labelOf(text: string): [key: string, value: string] {
  const equals = text.indexOf("=");
  return [text.slice(0, equals), text.slice(equals + 1)];
}

async function withSupernodes(database: FleetDatabase, rows: readonly HostRow[]) {
  const channels = await channelsOf(
    database,
    rows.map(({ hostId }) => hostId),
  );
  return rows.map((row) => ({ ...row, supernodes: channels.get(row.hostId) ?? [] }));
}

/** @throws {DfError} not-found */
function missing(hostId: string): never {
  throw new DfError("not-found", `find host ${hostId}: there is none`);
}
