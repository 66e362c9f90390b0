// The HTTP side of a supernode's control port beside the swarm channels: health, status, and one
// clear answer to everything else.

import { Hono } from "hono";
import { DfError } from "../../errors.ts";
import { holdsPath, type Holding } from "../../net/wire/holds-api.ts";
import { ID_PATTERN } from "../../net/wire/piece-api.ts";
import { healthRoutes } from "../service/health-routes.ts";
import { ownBinaryRoutes } from "./own-binary.ts";
import { supernodeMetrics } from "./supernode-metrics.ts";

export interface SupernodeStatus {
  version: string;
  hostId: string;
  peers: number;
  contents: {
    contentId: string;
    taskId: string;
    url: string;
    length: number | null;
    pieces: number | null;
    seededPieces: number;
    state: "reading" | "complete" | "failed";
    children: number;
  }[];
  store: { contents: number; usedBytes: number; quotaBytes: number | null; isDiskTooFull: boolean };
  /** Since the start. */
  sourceBytes: number;
  sourceReads: number;
  uploadedBytes: number;
}

export interface RoutesOptions {
  status: () => SupernodeStatus;
  isReady: () => boolean;
  /** What is here of a task, for other members; null: nothing. */
  holdingOf: (taskId: string) => Promise<Holding | null>;
}

export function supernodeRoutes({ status, isReady, holdingOf }: RoutesOptions): Hono {
  const app = new Hono();
  const notReadyBecause = (): string | null => (isReady() ? null : "stopping");
  app.route("/", healthRoutes({ notReadyBecause, metrics: supernodeMetrics(status) }));
  app.route("/", ownBinaryRoutes());
  app.get("/v1/status", (context) => context.json(status()));
  app.get(holdsPath(":taskId"), async (context) => {
    const taskId = context.req.param("taskId") ?? "";
    const holding = ID_PATTERN.test(taskId) ? await holdingOf(taskId) : null;
    return holding === null ? context.notFound() : context.json(holding);
  });
  app.notFound((context) => {
    const message = `answer ${context.req.method} ${context.req.path}: nothing is here`;
    const hint = "peers speak to a supernode over GET /v1/swarm; GET /v1/status tells how it is";
    return context.json({ error: { code: "usage", message, hint } }, 404);
  });
  app.onError((error, context) => {
    const failure = error instanceof DfError ? error : new DfError("internal", "answer a request");
    return context.json({ error: failure.toWire() }, 500);
  });
  return app;
}
