// The HTTP side of a supernode's control port beside the swarm channels: health, status, and one
// clear answer to everything else. Who may ask for what is in access.ts.

import { Hono } from "hono";
import type { ContentfulStatusCode } from "hono/utils/http-status";
import { DfError } from "../../errors.ts";
import { holdsPath, type Holding } from "../../net/wire/holds-api.ts";
import type { StoreStatus } from "../../net/wire/local-api.ts";
import { ID_PATTERN } from "../../net/wire/piece-api.ts";
import { taskSchema, type TaskRequest } from "../../net/wire/task.ts";
import type { TaskFreshness } from "../../net/wire/task-freshness.ts";
import { healthRoutes } from "../service/health-routes.ts";
import {
  type Asker,
  type ControlEnv,
  guard,
  type IdentifyMachine,
  refuseUnlisted,
} from "./access.ts";
import { ownBinaryRoutes } from "./own-binary.ts";
import { supernodeMetrics } from "./supernode-metrics.ts";

/** What compression does to contents, bytes; of an unfinished one, what is known so far. */
export interface WireSavings {
  plainBytes: number;
  /** What one copy takes on a wire and on a disk. */
  wireBytes: number;
  savedBytes: number;
}

export interface SupernodeStatus {
  version: string;
  hostId: string;
  peers: number;
  contents: {
    contentId: string;
    /** Null of a private content: whoever knows a URL could find it by that. */
    taskId: string | null;
    /** Without query values; of a private content scheme and authority alone. */
    url: string;
    isPrivate: boolean;
    length: number | null;
    pieces: number | null;
    seededPieces: number;
    state: "reading" | "complete" | "failed";
    children: number;
    /** What decides whether it is given without asking its source, in a sentence. */
    freshness: string;
    wire: WireSavings;
  }[];
  /** All contents together, and the time spent since the start to find out which pieces shrink. */
  wire: WireSavings & { lookMs: number };
  store: StoreStatus;
  /** Since the start. */
  sourceBytes: number;
  sourceReads: number;
  uploadedBytes: number;
}

export interface RoutesOptions {
  status: () => SupernodeStatus;
  isReady: () => boolean;
  /** Null: everybody may ask, without a fleet or in an open one. */
  identify: IdentifyMachine | null;
  /** What is here of a task, for other members; null: nothing. */
  holdingOf: (taskId: string) => Promise<Holding | null>;
  /** @throws {DfError} usage, denied, not-shareable */
  freshnessOf: (task: TaskRequest) => Promise<TaskFreshness>;
}

/** @throws {Error} for a route that access.ts does not name */
export function supernodeRoutes(options: RoutesOptions): Hono<ControlEnv> {
  const { status, isReady, identify, holdingOf, freshnessOf } = options;
  const app = new Hono<ControlEnv>();
  app.use("*", guard(identify));
  const notReadyBecause = (): string | null => (isReady() ? null : "stopping");
  app.route("/", healthRoutes({ notReadyBecause, metrics: supernodeMetrics(status) }));
  app.route("/", ownBinaryRoutes());
  app.get("/v1/status", (context) => context.json(statusFor(context.var.asker, status())));
  app.get(holdsPath(":taskId"), async (context) => {
    const taskId = context.req.param("taskId") ?? "";
    const holding = ID_PATTERN.test(taskId) ? await holdingOf(taskId) : null;
    return holding === null ? context.notFound() : context.json(holding);
  });
  app.post("/v1/freshness", async (context) => {
    const task = taskSchema.safeParse(await context.req.json().catch(() => undefined));
    if (!task.success) throw new DfError("usage", "tell how fresh a task is: no task is named");
    return context.json(await freshnessOf(task.data));
  });
  app.notFound((context) => {
    const message = `answer ${context.req.method} ${context.req.path}: nothing is here`;
    const hint = "peers speak to a supernode over GET /v1/swarm; GET /v1/status tells how it is";
    return context.json({ error: { code: "usage", message, hint } }, 404);
  });
  app.onError((error, context) => {
    const failure = error instanceof DfError ? error : new DfError("internal", "answer a request");
    const status = failure.status as ContentfulStatusCode;
    return context.json({ error: failure.toWire() }, status);
  });
  refuseUnlisted(app.routes);
  return app;
}

/** Hosts hear nothing of private contents: each proves its own right to its own. */
function statusFor(asker: Asker, status: SupernodeStatus): SupernodeStatus {
  if (asker !== "peer") return status;
  return { ...status, contents: status.contents.filter(({ isPrivate }) => !isPrivate) };
}
