// The routes of preheats: see net/wire/preheat-api.ts for what they are.

import { createRoute } from "@hono/zod-openapi";
import type { Context } from "hono";
import { z } from "zod";
import { DfError } from "../../../errors.ts";
import {
  newImagePreheatSchema,
  newPreheatSchema,
  preheatSchema,
  preheatsPageSchema,
  preheatsQuerySchema,
  preheatTargetsPageSchema,
  preheatTargetsQuerySchema,
} from "../../../net/wire/preheat-api.ts";
import { listPreheatTargets } from "../../../store/fleet-database/preheat-targets.ts";
import { listPreheatJobs } from "../../../store/fleet-database/preheats.ts";
import { authorOf } from "../author.ts";
import { type ConfigEnv, jsonAnswer, jsonBody, type Resource } from "../config-app.ts";
import { requestOf } from "./kept-request.ts";
import { describeTarget, type MadeJob, type PreheatAuthor } from "./preheat-jobs.ts";
import type { PreheatPartOptions } from "./preheat-part.ts";

const tags = ["preheats"];
const params = z.object({ id: z.string().regex(/^[0-9a-f]{20}$/) });

const createPreheatRoute = createRoute({
  ...{ method: "post", path: "/api/v1/preheats", tags },
  summary: "Bring contents to supernodes or hosts before anyone asks",
  request: {
    headers: z.object({ "idempotency-key": z.string().min(1).max(255).optional() }),
    body: jsonBody(newPreheatSchema),
  },
  responses: jsonAnswer(
    "The job; of a request that was sent before, the one it made",
    preheatSchema,
  ),
});
const createImageRoute = createRoute({
  ...{ method: "post", path: "/api/v1/preheats/images", tags },
  summary: "Bring an image's manifests and blobs: its registry is asked at once what they are",
  request: {
    headers: z.object({ "idempotency-key": z.string().min(1).max(255).optional() }),
    body: jsonBody(newImagePreheatSchema),
  },
  responses: jsonAnswer(
    "The job; of a request that means the same, the one that is under way",
    preheatSchema,
  ),
});
const listRoute = createRoute({
  ...{ method: "get", path: "/api/v1/preheats", tags, summary: "A page of jobs" },
  request: { query: preheatsQuerySchema },
  responses: jsonAnswer("Newest first", preheatsPageSchema),
});
const readRoute = createRoute({
  ...{ method: "get", path: "/api/v1/preheats/{id}", tags, summary: "One job" },
  request: { params },
  responses: jsonAnswer("The job", preheatSchema),
});
const targetsRoute = createRoute({
  ...{ method: "get", path: "/api/v1/preheats/{id}/targets", tags },
  summary: "A page of its targets: each URL on each machine",
  request: { params, query: preheatTargetsQuerySchema },
  responses: jsonAnswer("By URL, then host", preheatTargetsPageSchema),
});
const cancelRoute = createRoute({
  ...{ method: "delete", path: "/api/v1/preheats/{id}", tags },
  summary: "End a job; what it brought may be evicted again",
  request: { params },
  responses: jsonAnswer("The job", preheatSchema),
});

export function preheatsResource({ database, jobs }: PreheatPartOptions): Resource {
  const madeAnswer = async (context: Context<ConfigEnv>, { job, isNew }: MadeJob) => {
    const [described] = await jobs.describe([job]);
    context.header("location", `/api/v1/preheats/${job.id}`);
    if (!isNew) context.header("idempotent-replayed", "true");
    return context.json(described!, 200);
  };
  return (app) => {
    app.openapi(createPreheatRoute, async (context) => {
      const by = byWhom(context, context.req.valid("header"));
      return madeAnswer(context, await jobs.create(context.req.valid("json"), by));
    });

    app.openapi(createImageRoute, async (context) => {
      const by = byWhom(context, context.req.valid("header"));
      return madeAnswer(context, await jobs.createForImage(context.req.valid("json"), by));
    });

    app.openapi(listRoute, async (context) => {
      const { state, after, limit } = context.req.valid("query");
      const states = state === undefined ? undefined : [state];
      const rows = await listPreheatJobs(database, { states, below: after, rowsMax: limit + 1 });
      const page = rows.slice(0, limit);
      const next = rows.length > limit ? page.at(-1)!.id : null;
      return context.json({ preheats: await jobs.describe(page), next }, 200);
    });

    app.openapi(readRoute, async (context) => {
      const [job] = await jobs.describe([await jobs.find(context.req.valid("param").id)]);
      return context.json(job!, 200);
    });

    app.openapi(targetsRoute, async (context) => {
      const { state, after, limit } = context.req.valid("query");
      const job = await jobs.find(context.req.valid("param").id);
      const rows = await listPreheatTargets(database, job.id, {
        ...{ state, rowsMax: limit + 1 },
        after: after === undefined ? undefined : cursorOf(after),
      });
      const { urls } = requestOf(job);
      const page = rows.slice(0, limit);
      const last = page.at(-1);
      const isLast = rows.length <= limit || last === undefined;
      const next = isLast ? null : `${last.itemIndex}.${last.hostId}`;
      return context.json({ targets: page.map((row) => describeTarget(row, urls)), next }, 200);
    });

    app.openapi(cancelRoute, async (context) => {
      const [job] = await jobs.describe([await jobs.cancel(context.req.valid("param").id)]);
      return context.json(job!, 200);
    });
  };
}

function byWhom(
  context: Context<ConfigEnv>,
  headers: { "idempotency-key"?: string | undefined },
): PreheatAuthor {
  return {
    author: authorOf(context.get("caller")),
    idempotencyKey: headers["idempotency-key"] ?? null,
  };
}

/** @throws {DfError} usage */
function cursorOf(text: string): { itemIndex: number; hostId: string } {
  const match = /^(\d{1,6})\.([0-9a-f]{64})$/.exec(text);
  if (match !== null) return { itemIndex: Number(match[1]), hostId: match[2]! };
  throw new DfError("usage", `read the request: after=${text} is no page of these targets`);
}
