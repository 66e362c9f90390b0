// The routes of the fleet's settings: see net/wire/settings-api.ts for what they are.

import { createRoute } from "@hono/zod-openapi";
import type { Context } from "hono";
import { z } from "zod";
import { DfError } from "../../../errors.ts";
import { clusterNameSchema } from "../../../net/wire/admin-api.ts";
import {
  mergeSettings,
  resolveSettings,
  ROLE_LABEL,
  settingsSchema,
  type Settings,
} from "../../../net/wire/fleet-settings.ts";
import {
  parseSelector,
  resolvedQuerySchema,
  resolvedSettingsSchema,
  rollbackSchema,
  settingsChangeSchema,
  settingsDiffQuerySchema,
  settingsDiffSchema,
  settingsDocumentSchema,
  settingsHistoryQuerySchema,
  settingsHistorySchema,
  settingsLayerSchema,
  type SettingsDocument,
  type SettingsHistory,
} from "../../../net/wire/settings-api.ts";
import { listSettingsVersions } from "../../../store/fleet-database/settings-versions.ts";
import type { FleetDatabase } from "../../../store/fleet-database/fleet-database.ts";
import { authorOf } from "../author.ts";
import {
  type ConfigApp,
  type ConfigEnv,
  jsonAnswer,
  jsonBody,
  type Resource,
} from "../config-app.ts";
import {
  decidingLayers,
  differencesOf,
  formatLayer,
  type LayerName,
  layerOf,
  layersFor,
  NO_SETTINGS,
  withLayer,
} from "./settings-document.ts";
import { documentOf, type SettingsBook, type SettingsWriter } from "./settings-book.ts";

const TAGS = ["settings"];

/** `If-Match: "12"`; also `12`, as people type it, and `*`. */
const ifMatch = z.object({
  "if-match": z
    .string()
    .regex(/^(?:(?:W\/)?"?\d{1,15}"?|\*)$/, "no version of the settings")
    .optional(),
});

/** A kind of layer and the part of the path that names one. */
const LAYERS = [
  {
    path: "/api/v1/settings/fleet",
    params: z.object({}),
    nameOf: (): LayerName => ({ kind: "fleet" }),
  },
  {
    path: "/api/v1/settings/clusters/{cluster}",
    params: z.object({ cluster: clusterNameSchema }),
    nameOf: ({ cluster }: Record<string, string>): LayerName => ({
      kind: "cluster",
      cluster: cluster!,
    }),
  },
  {
    path: "/api/v1/settings/labels/{selector}",
    params: z.object({ selector: z.string().max(4096) }),
    nameOf: ({ selector }: Record<string, string>): LayerName => labelsLayer(selector!),
  },
] as const;

export interface SettingsResourceParts {
  database: FleetDatabase;
  book: SettingsBook;
}

export function settingsResource({ database, book }: SettingsResourceParts): Resource {
  return (app) => {
    for (const layer of LAYERS) addLayerRoutes(app, book, layer);
    addReadRoutes(app, book);
    addHistoryRoutes(app, book, database);
  };
}

function addLayerRoutes(
  app: ConfigApp,
  book: SettingsBook,
  { path, params, nameOf }: (typeof LAYERS)[number],
): void {
  const answer = jsonAnswer("the layer", settingsLayerSchema);
  const send = (context: Context<ConfigEnv>, document: SettingsDocument, layer: LayerName) => {
    context.header("etag", `"${document.version}"`);
    const settings = layerOf(document, layer);
    return context.json({ version: document.version, layer: formatLayer(layer), settings }, 200);
  };

  app.openapi(
    createRoute({
      ...{ method: "get", path, tags: TAGS, summary: "What one layer sets" },
      request: { params },
      responses: answer,
    }),
    async (context) => {
      const layer = nameOf(context.req.valid("param"));
      return send(context, await book.current(), layer);
    },
  );

  app.openapi(
    createRoute({
      ...{ method: "put", path, tags: TAGS, summary: "Replace what one layer sets" },
      request: { params, headers: ifMatch, body: jsonBody(settingsSchema) },
      responses: answer,
    }),
    async (context) => {
      const layer = nameOf(context.req.valid("param"));
      const settings = context.req.valid("json");
      const writer = writerOf(context, "");
      if (context.req.header("if-match") === undefined) {
        throw new DfError(
          "usage",
          `replace ${formatLayer(layer)}: no If-Match says which version`,
          {
            hint: "send the ETag of the GET before, or change single keys with PATCH",
          },
        );
      }
      const document = await book.write(writer, (present) => withLayer(present, layer, settings));
      return send(context, document, layer);
    },
  );

  app.openapi(
    createRoute({
      ...{ method: "patch", path, tags: TAGS, summary: "Set and unset keys of one layer" },
      request: { params, headers: ifMatch, body: jsonBody(settingsChangeSchema) },
      responses: answer,
    }),
    async (context) => {
      const layer = nameOf(context.req.valid("param"));
      const { set, unset, comment } = context.req.valid("json");
      const document = await book.write(writerOf(context, comment), (present) => {
        const next: Settings = mergeSettings({}, layerOf(present, layer), set);
        for (const key of unset) delete next[key];
        return withLayer(present, layer, next);
      });
      return send(context, document, layer);
    },
  );
}

function addReadRoutes(app: ConfigApp, book: SettingsBook): void {
  app.openapi(
    createRoute({
      ...{ method: "get", path: "/api/v1/settings", tags: TAGS, summary: "Every layer" },
      responses: jsonAnswer("every layer", settingsDocumentSchema),
    }),
    async (context) => {
      const document = await book.current();
      context.header("etag", `"${document.version}"`);
      return context.json(document, 200);
    },
  );

  app.openapi(
    createRoute({
      ...{ method: "get", path: "/api/v1/settings/resolved", tags: TAGS },
      summary: "What counts for a machine, and which layer says so",
      request: { query: resolvedQuerySchema },
      responses: jsonAnswer("what counts", resolvedSettingsSchema),
    }),
    async (context) => {
      const { role, cluster = "default", label } = context.req.valid("query");
      const given = label.map((pair) => {
        const at = pair.indexOf("=");
        return [pair.slice(0, at), pair.slice(at + 1)];
      });
      const labels = { ...Object.fromEntries(given), [ROLE_LABEL]: role };
      const document = await book.current();
      const settings = resolveSettings(layersFor(document, cluster), labels);
      const layers = decidingLayers(document, { cluster, labels });
      return context.json({ version: document.version, settings, layers }, 200);
    },
  );
}

function addHistoryRoutes(app: ConfigApp, book: SettingsBook, database: FleetDatabase): void {
  app.openapi(
    createRoute({
      ...{ method: "get", path: "/api/v1/settings/history", tags: TAGS },
      summary: "What changed, newest first",
      request: { query: settingsHistoryQuerySchema },
      responses: jsonAnswer("a page", settingsHistorySchema),
    }),
    async (context) => {
      const { before, limit } = context.req.valid("query");
      return context.json(await historyOf(database, { before, limit }), 200);
    },
  );

  app.openapi(
    createRoute({
      ...{ method: "get", path: "/api/v1/settings/versions/{version}", tags: TAGS },
      summary: "Every layer as it was",
      request: { params: z.object({ version: z.coerce.number().int().min(0) }) },
      responses: jsonAnswer("every layer", settingsDocumentSchema),
    }),
    async (context) => context.json(await book.at(context.req.valid("param").version), 200),
  );

  app.openapi(
    createRoute({
      ...{ method: "get", path: "/api/v1/settings/diff", tags: TAGS },
      summary: "How two versions differ",
      request: { query: settingsDiffQuerySchema },
      responses: jsonAnswer("the differences", settingsDiffSchema),
    }),
    async (context) => {
      const { from, to } = context.req.valid("query");
      const older = await book.at(from);
      const newer = to === undefined ? await book.current() : await book.at(to);
      const changes = differencesOf(older, newer);
      return context.json({ from, to: newer.version, changes }, 200);
    },
  );

  app.openapi(
    createRoute({
      ...{ method: "post", path: "/api/v1/settings/rollback", tags: TAGS },
      summary: "Make every layer as it was a new version",
      request: { headers: ifMatch, body: jsonBody(rollbackSchema) },
      responses: jsonAnswer("every layer", settingsDocumentSchema),
    }),
    async (context) => {
      const { version, comment } = context.req.valid("json");
      const former = await book.at(version);
      const writer = writerOf(context, comment || `back to version ${version}`);
      const document = await book.write(writer, () => former);
      context.header("etag", `"${document.version}"`);
      return context.json(document, 200);
    },
  );
}

async function historyOf(
  database: FleetDatabase,
  { before, limit }: { before: number | undefined; limit: number },
): Promise<SettingsHistory> {
  // One more: what the oldest of the page changed shows against the version before it.
  const rows = await listSettingsVersions(database, { before, rowsMax: limit + 1 });
  const documents = rows.map(documentOf);
  const versions = rows.slice(0, limit).map((row, index) => ({
    version: row.version,
    author: row.author,
    comment: row.comment,
    createdAt: row.createdAt,
    changes: differencesOf(documents[index + 1] ?? NO_SETTINGS, documents[index]!),
  }));
  return { versions, next: rows.length > limit ? versions.at(-1)!.version : null };
}

function writerOf(context: Context<ConfigEnv>, comment: string): SettingsWriter {
  const header = context.req.header("if-match");
  const digits = /\d+/.exec(header ?? "")?.[0];
  const expected = digits === undefined ? null : Number(digits);
  return { author: authorOf(context.get("caller")), comment, expected };
}

function labelsLayer(text: string): LayerName {
  const selector = parseSelector(text);
  if (selector !== null) return { kind: "labels", selector };
  throw new DfError("usage", `read the selector ${text}`, {
    hint: "write KEY=VALUE, several with commas: idc=eu,rack=r1",
  });
}
