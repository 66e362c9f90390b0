// /api/v1/tokens and /api/v1/whoami: who administers the fleet, and by which tokens machines join it.

import { createRoute } from "@hono/zod-openapi";
import { z } from "zod";
import { DfError } from "../../../errors.ts";
import { formatJoinString } from "../../../net/fleet/join-string.ts";
import {
  createdTokenSchema,
  newTokenSchema,
  type Token,
  tokenRevocationQuerySchema,
  tokenSchema,
  whoamiSchema,
} from "../../../net/wire/admin-api.ts";
import { revokeCredentials } from "../../../store/fleet-database/credentials.ts";
import {
  insertToken,
  listTokens,
  revokeToken,
  type TokenRow,
} from "../../../store/fleet-database/tokens.ts";
import type { Caller } from "../callers.ts";
import { emptyAnswer, jsonAnswer, jsonBody, type Resource } from "../config-app.ts";
import type { ConfigParts } from "../config-parts.ts";
import { createTokenSecret } from "../token-secret.ts";

const tags = ["tokens"];

const whoamiRoute = createRoute({
  ...{ method: "get", path: "/api/v1/whoami", tags, summary: "What the token sent may do" },
  responses: jsonAnswer("The token", whoamiSchema),
});
const listRoute = createRoute({
  ...{ method: "get", path: "/api/v1/tokens", tags, summary: "All tokens, never their secrets" },
  responses: jsonAnswer("Newest first", z.object({ tokens: z.array(tokenSchema) })),
});
const createTokenRoute = createRoute({
  ...{ method: "post", path: "/api/v1/tokens", tags },
  summary: "Make a token; its secret is told this once",
  request: { body: jsonBody(newTokenSchema) },
  responses: jsonAnswer("The token", createdTokenSchema),
});
const revokeRoute = createRoute({
  ...{ method: "delete", path: "/api/v1/tokens/{id}", tags, summary: "Revoke a token" },
  request: {
    params: z.object({ id: z.string().regex(/^[0-9a-f]{16}$/) }),
    query: tokenRevocationQuerySchema,
  },
  responses: emptyAnswer("It is no longer good"),
});

type TokenParts = Pick<ConfigParts, "database" | "view" | "keys" | "places">;

export function tokensResource({ database, view, keys, places }: TokenParts): Resource {
  return (app) => {
    app.openapi(whoamiRoute, (context) => {
      const { token, role } = administratorOf(context.get("caller"));
      const { id, comment, expiresAt } = token;
      return context.json({ tokenId: id, role, comment, expiresAt }, 200);
    });
    app.openapi(listRoute, async (context) =>
      context.json({ tokens: (await listTokens(database)).map(told) }, 200),
    );
    app.openapi(createTokenRoute, async (context) => {
      const body = context.req.valid("json");
      const { token: author, role } = administratorOf(context.get("caller"));
      if (body.kind === "admin" && role !== "admin") {
        throw new DfError("denied", "make an admin token: only the role admin may");
      }
      const { text, id, secretSha256 } = createTokenSecret(body.kind);
      const row = rowOf(body, { id, secretSha256, createdBy: author.id });
      await insertToken(database, row);
      const join = { ...places(), token: text, fleetKey: keys.publicKey };
      const joinString = body.kind === "join" ? formatJoinString(join) : null;
      return context.json({ ...told(row), secret: text, joinString }, 200);
    });
    app.openapi(revokeRoute, async (context) => {
      const { id } = context.req.valid("param");
      const nowMs = Date.now();
      refuseLastAdmin(id, await listTokens(database), nowMs);
      const wasGood = await revokeToken(database, id, nowMs);
      // Also of a token that was revoked before: that a machine is not to be trusted may show later.
      const revokedCount =
        context.req.valid("query").credentials === "true"
          ? await revokeCredentials(database, { tokenId: id }, nowMs)
          : 0;
      if (!wasGood && revokedCount === 0) {
        throw new DfError("not-found", `revoke token ${id}: there is none that is still good`);
      }
      if (revokedCount > 0) await view.refresh();
      return context.body(null, 204);
    });
  };
}

function rowOf(
  body: z.output<typeof newTokenSchema>,
  made: Pick<TokenRow, "id" | "secretSha256" | "createdBy">,
): TokenRow {
  const { kind, comment, expiresInSeconds } = body;
  const createdAt = Date.now();
  return {
    ...{ ...made, kind, comment, createdAt, useCount: 0, usedAt: null, revokedAt: null },
    expiresAt: expiresInSeconds === undefined ? null : createdAt + expiresInSeconds * 1000,
    role: body.role ?? null,
    cluster: body.kind === "join" ? (body.cluster ?? null) : null,
    usesMax: body.kind === "join" ? (body.usesMax ?? null) : null,
  };
}

/** @throws {DfError} conflict: nobody could administer the fleet any more */
function refuseLastAdmin(id: string, tokens: readonly TokenRow[], nowMs: number): void {
  const admins = tokens.filter((token) => isUsableAdmin(token, nowMs));
  if (admins.length !== 1 || admins[0]!.id !== id) return;
  throw new DfError("conflict", `revoke token ${id}: it is the last with the role admin`, {
    hint: "make another one first: df token create --role admin",
  });
}

/** Whether the token administers everything now. */
export function isUsableAdmin(token: TokenRow, nowMs: number): boolean {
  const { role, revokedAt, expiresAt } = token;
  return role === "admin" && revokedAt === null && (expiresAt === null || expiresAt > nowMs);
}

/** Without the secret's digest: the schema does not know it. */
function told(token: TokenRow): Token {
  return tokenSchema.parse(token);
}

/** access.ts lets only administrators come here. */
function administratorOf(caller: Caller): Extract<Caller, { kind: "administrator" }> {
  if (caller.kind === "administrator") return caller;
  throw new Error("bug: a route for administrators lets others in");
}
