// The routes that Harbor's preheat drivers and registries' notifications call: see net/wire/harbor-api.ts. They
// are no part of this service's own API, and its tokens may be shown in other places: see access.ts.

import type { Context } from "hono";
import type { z } from "zod";
import { DfError } from "../../../errors.ts";
import { readRequest } from "../../../net/schema-fault.ts";
import {
  harborJobRequestSchema,
  harborPreheatRequestSchema,
  registryNotificationSchema,
} from "../../../net/wire/harbor-api.ts";
import { newImagePreheatSchema } from "../../../net/wire/preheat-api.ts";
import { authorOf } from "../author.ts";
import type { ConfigEnv, Resource } from "../config-app.ts";
import { harborJobOf, harborPreheatOf, orderOfHarbor } from "./harbor-jobs.ts";
import { jobOfNumber } from "./job-id.ts";
import type { PreheatAuthor } from "./preheat-jobs.ts";
import type { PreheatPartOptions } from "./preheat-part.ts";
import type { PushedImages } from "./pushed-images.ts";

/** What a notification's URL may say beside: registries send nothing else. */
const wishSchema = newImagePreheatSchema.omit({ image: true, authorization: true });

export interface HarborResourceOptions extends PreheatPartOptions {
  pushed: PushedImages;
}

export function harborResource({ database, jobs, pushed }: HarborResourceOptions): Resource {
  return (app) => {
    for (const path of ["/healthy", "/_ping", "/health"]) {
      app.get(path, (context) => context.json({ status: "ok" }));
    }

    app.post("/oapi/v1/jobs", async (context) => {
      const request = await bodyOf(context, harborJobRequestSchema);
      const { job } = await orderOfHarbor(jobs, request, byWhom(context));
      return context.json(await harborJobOf(database, job, (await jobs.describe([job]))[0]!));
    });

    app.get("/oapi/v1/jobs/:number", async (context) => {
      const id = jobOfNumber(numberIn(context.req.param("number")));
      if (id === null) throw new DfError("not-found", "find the job: no number of one");
      const job = await jobs.find(id);
      return context.json(await harborJobOf(database, job, (await jobs.describe([job]))[0]!));
    });

    app.post("/preheats", async (context) => {
      const { headers, url } = await bodyOf(context, harborPreheatRequestSchema);
      const args = { ...NO_ARGS, type: "image" as const, url, headers };
      const { job, isNew } = await orderOfHarbor(jobs, { args }, byWhom(context));
      const before = isNew ? await jobs.doneBefore(job) : undefined;
      // The new job goes on: machines that came since get it too.
      if (before !== undefined) return context.json({ ID: before.id }, 208);
      return context.json({ ID: job.id });
    });

    app.get("/preheats/:id", async (context) => {
      const id = context.req.param("id");
      const job = await jobs.find(id);
      return context.json(await harborPreheatOf(database, job, (await jobs.describe([job]))[0]!));
    });

    app.post("/registry/notifications", async (context) => {
      const notification = await bodyOf(context, registryNotificationSchema);
      const { clusters, keepSeconds, ...query } = context.req.query();
      const wish = readRequest(wishSchema, {
        ...query,
        ...(clusters === undefined ? {} : { clusters: clusters.split(",") }),
        ...(keepSeconds === undefined ? {} : { keepSeconds: Number(keepSeconds) }),
      });
      return context.json({ images: pushed.take(notification, wish, byWhom(context)) }, 202);
    });
  };
}

const NO_ARGS = harborJobRequestSchema.shape.args.parse({ type: "image" });

function byWhom(context: Context<ConfigEnv>): PreheatAuthor {
  return { author: authorOf(context.get("caller")), idempotencyKey: null };
}

/** Whatever type it is sent as: registries have one of their own. @throws {DfError} usage */
async function bodyOf<Schema extends z.ZodType>(
  context: Context<ConfigEnv>,
  schema: Schema,
): Promise<z.output<Schema>> {
  const json: unknown = await context.req.json().catch((cause: unknown) => {
    throw new DfError("usage", "read the request: its body is no JSON", { cause });
  });
  return readRequest(schema, json);
}

function numberIn(text: string): number {
  return /^\d{1,16}$/.test(text) ? Number(text) : -1;
}
