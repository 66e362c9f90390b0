// The API's description: /openapi.json for programs, /docs for people. The page's files travel inside
// the executable; the page loads nothing from elsewhere.

import swaggerBundle from "swagger-ui-dist/swagger-ui-bundle.js" with { type: "file" };
import swaggerStyle from "swagger-ui-dist/swagger-ui.css" with { type: "file" };
import type { OpenAPIHono } from "@hono/zod-openapi";
import { version } from "../../../package.json";
import type { ConfigEnv, Resource } from "./config-app.ts";

const PAGE = `<!doctype html>
<html lang="en">
  <head>
    <meta charset="utf-8" />
    <title>df config</title>
    <meta name="viewport" content="width=device-width, initial-scale=1" />
    <link rel="stylesheet" href="docs/style.css" />
  </head>
  <body>
    <div id="api"></div>
    <script src="docs/swagger.js"></script>
    <script src="docs/start.js"></script>
  </body>
</html>
`;

/** A token that was typed in is forgotten with the page. */
const START = `SwaggerUIBundle({ url: "openapi.json", dom_id: "#api", deepLinking: true });\n`;

/** The page's own scripts alone, requests to this service alone; its style sheet draws inline images. */
const CONTENT_SECURITY_POLICY =
  "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; " +
  "img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'";

const ASSETS: Readonly<Record<string, { type: string; body: () => Response["body"] | string }>> = {
  "swagger.js": { type: "text/javascript", body: () => Bun.file(swaggerBundle).stream() },
  "style.css": { type: "text/css", body: () => Bun.file(swaggerStyle).stream() },
  "start.js": { type: "text/javascript", body: () => START },
};

export const docsResource: Resource = (app) => {
  app.get("/openapi.json", (context) => {
    const text = (described ??= describe(app));
    return context.body(text, 200, { "content-type": "application/json" });
  });
  app.get("/docs", (context) =>
    context.body(PAGE, 200, {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": CONTENT_SECURITY_POLICY,
    }),
  );
  app.get("/docs/:asset", (context) => {
    const name = context.req.param("asset");
    const asset = Object.hasOwn(ASSETS, name) ? ASSETS[name] : undefined;
    if (asset === undefined) return context.notFound();
    return new Response(asset.body(), {
      headers: { "content-type": asset.type, "x-content-type-options": "nosniff" },
    });
  });
  // The routes of all resources are known when somebody asks, and do not change.
  let described: string | undefined;
};

function describe(app: OpenAPIHono<ConfigEnv>): string {
  app.openAPIRegistry.registerComponent("securitySchemes", "token", {
    type: "http",
    scheme: "bearer",
    description: "An admin token (dfa_…), a join token (dfj_…) or a machine's credential",
  });
  const document = app.getOpenAPI31Document({
    openapi: "3.1.0",
    info: { title: "df config", version, description: "The API of a Dragonfly fleet." },
    security: [{ token: [] }],
  });
  return JSON.stringify(document);
}
