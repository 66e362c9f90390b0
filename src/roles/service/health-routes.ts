// What every role answers to those who watch it: alive, ready, and its metrics.
//
//   GET /livez     200 while the process turns            GET /metrics   Prometheus' text form
//   GET /readyz    200 when it can take work, else 503 and why

import { Hono } from "hono";
import type { Registry } from "prom-client";

export interface Health {
  /** Null: ready; else what is missing, in a few words. */
  notReadyBecause: () => string | null;
  metrics: Registry;
}

export function healthRoutes({ notReadyBecause, metrics }: Health): Hono {
  const app = new Hono();
  app.get("/livez", (context) => context.text("ok\n"));
  app.get("/readyz", (context) => {
    const reason = notReadyBecause();
    return reason === null ? context.text("ok\n") : context.text(`${reason}\n`, 503);
  });
  app.get("/metrics", async (context) =>
    context.body(await metrics.metrics(), 200, { "content-type": metrics.contentType }),
  );
  return app;
}
