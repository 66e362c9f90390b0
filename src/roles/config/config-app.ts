// The HTTP application of `df config`: guard, errors, and the routes of each resource on top. A
// resource is one file that registers its routes; their access is in access.ts.

import { OpenAPIHono } from "@hono/zod-openapi";
import type { Context, Handler } from "hono";
import { bodyLimit } from "hono/body-limit";
import { HTTPException } from "hono/http-exception";
import { matchedRoutes } from "hono/route";
import type { z } from "zod";
import { DfError, isDfError } from "../../errors.ts";
import { PROBLEM_TYPE, problemResponse, problemSchema } from "../../net/problem.ts";
import { wordsOfFaults } from "../../net/schema-fault.ts";
import { databaseError, type FleetDatabase } from "../../store/fleet-database/fleet-database.ts";
import {
  bodyBytesMaxOf,
  isOpenRoute,
  type Openings,
  requireAccess,
  ROUTE_RULES,
} from "./access.ts";
import { browserGuard } from "./browser-guard.ts";
import type { Caller, Callers } from "./callers.ts";
import { presentedToken } from "./presented-token.ts";

export interface ConfigEnv {
  /** What only the server knows of a request; null: behind a proxy, which answers for its callers. */
  Bindings: { remoteAddress: string | null };
  Variables: { caller: Caller };
}
export type ConfigApp = OpenAPIHono<ConfigEnv>;

/** Adds the routes of one resource. */
export type Resource = (app: ConfigApp) => void;

export interface ConfigAppOptions extends Openings {
  database: FleetDatabase;
  callers: Callers;
  resources: readonly Resource[];
  /** Host names of this service, in lower case. */
  ownNames: () => ReadonlySet<string>;
  /** Hears what administrators change, for the log. @defaultValue nobody hears it */
  onChange?: ((message: string) => void) | undefined;
  /** Hears of answers 500: what happened is not told to the caller. */
  onError: (error: unknown, route: string) => void;
}

/** @throws {Error} for a route that is not in access.ts */
export function createConfigApp(options: ConfigAppOptions): ConfigApp {
  const app: ConfigApp = new OpenAPIHono<ConfigEnv>({
    defaultHook: (result) => {
      if (!result.success) {
        throw new DfError("usage", `read the request: ${wordsOfFaults(result.error)}`);
      }
    },
  });
  app.onError((error, context) => {
    const told = toldOf(error);
    if (told.status >= 500 && told.code !== "no-supernode")
      options.onError(error, routeOf(context));
    return problemResponse(told, told.isRetryable ? { "retry-after": "2" } : {});
  });
  app.notFound((context) =>
    problemResponse(
      new DfError("not-found", `answer ${context.req.method} ${context.req.path}: no such route`, {
        hint: "GET /openapi.json lists the routes",
      }),
    ),
  );
  app.use("*", browserGuard(options.ownNames));
  app.use("*", guard(options));
  for (const register of options.resources) register(app);
  refuseUnlisted(app);
  return app;
}

/** Routes as access.ts names them; what only guards is left out. */
export function listRoutes(app: ConfigApp): string[] {
  const routes = app.routes.filter(({ method }) => method !== "ALL");
  return [...new Set(routes.map(({ method, path }) => `${method} ${path}`))];
}

/** What a JSON body is in a route's `request`. */
export function jsonBody<Schema extends z.ZodType>(schema: Schema) {
  // Required: else a request of another content type would pass unread.
  return { required: true, content: { "application/json": { schema } } } as const;
}

/** A route's `responses`: 200 with a body, and problems. */
export function jsonAnswer<Schema extends z.ZodType>(description: string, schema: Schema) {
  return {
    200: { description, content: { "application/json": { schema } } },
    default: PROBLEM_ANSWER,
  } as const;
}

/** A route's `responses`: 204, and problems. */
export function emptyAnswer(description: string) {
  return { 204: { description }, default: PROBLEM_ANSWER } as const;
}

const PROBLEM_ANSWER = {
  description: "Why not (RFC 9457)",
  content: { [PROBLEM_TYPE]: { schema: problemSchema } },
} as const;

function guard(options: ConfigAppOptions): Handler<ConfigEnv> {
  const { callers, database, isOpen, onChange } = options;
  const limits = new Map<string, Handler>();
  for (const [route, rule] of Object.entries(ROUTE_RULES)) {
    const maxSize = bodyBytesMaxOf(rule);
    const message = `read the request: its body has more than ${maxSize} bytes`;
    const onError = (): never => {
      throw new DfError("too-large", message);
    };
    limits.set(route, bodyLimit({ maxSize, onError }));
  }
  return async (context, next) => {
    const route = routeOf(context);
    const rule = ROUTE_RULES[route];
    // No route: the answer is 404 whoever asks.
    if (rule === undefined) return next();
    const isKnown = rule.access !== "anyone";
    const caller: Caller = isKnown
      ? await callers.identify(
          presentedToken(context.req.raw.headers, rule.isForeign === true),
          context.env?.remoteAddress ?? null,
        )
      : { kind: "nobody" };
    const isLetIn = caller.kind === "nobody" && isOpenRoute(rule, options);
    if (!isLetIn) requireAccess(rule.access, caller, isOpen);
    context.set("caller", caller);
    context.header("cache-control", isKnown ? "no-store" : "no-cache");
    if (context.req.method === "GET") return next();
    await limits.get(route)!(context, next);
    // What machines say again by themselves may be lost with the power, what was granted or set may not.
    if (rule.access !== "machine" && rule.access !== "supernode") await database.persist();
    if (caller.kind === "administrator" && context.res.ok) {
      onChange?.(`${context.req.method} ${context.req.path} by token ${caller.token.id}`);
    }
  };
}

/** The route that will answer, e.g. "GET /api/v1/clusters/:name". */
function routeOf(context: Context): string {
  const route = matchedRoutes(context).findLast(({ method }) => method !== "ALL");
  return route === undefined ? "no route" : `${route.method} ${route.path}`;
}

function refuseUnlisted(app: ConfigApp): void {
  const unlisted = listRoutes(app).filter((route) => !Object.hasOwn(ROUTE_RULES, route));
  if (unlisted.length > 0) {
    throw new Error(`bug: roles/config/access.ts does not say who may call ${unlisted.join(", ")}`);
  }
}

function toldOf(error: unknown): DfError {
  if (isDfError(error)) return error;
  if (error instanceof HTTPException && error.status < 500) {
    return new DfError("usage", `read the request: ${oneLine(error.message)}`, { cause: error });
  }
  return databaseError(error) ?? new DfError("internal", "answer the request", { cause: error });
}

/** Problems travel in one line. */
function oneLine(text: string): string {
  return text.replaceAll(/\s*\n\s*/g, " ").trim();
}
