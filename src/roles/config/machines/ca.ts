// GET /api/v1/ca: who signs the certificates of the fleet, vouched for by the fleet's key. Anybody may ask.

import { createRoute } from "@hono/zod-openapi";
import { caAnswerSchema } from "../../../net/wire/fleet-api.ts";
import { jsonAnswer, type Resource } from "../config-app.ts";
import type { ConfigParts } from "../config-parts.ts";

const caRoute = createRoute({
  method: "get",
  path: "/api/v1/ca",
  tags: ["machines"],
  summary: "The fleet's CA, signed by the fleet's key",
  responses: jsonAnswer("The CA", caAnswerSchema),
});

export function caResource({ authority }: Pick<ConfigParts, "authority">): Resource {
  return (app) => {
    app.openapi(caRoute, (context) => context.json(authority.caAnswer, 200));
  };
}
