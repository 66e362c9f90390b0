// Who may call which route: one table, deny by default. A route that is not in it answers nobody, and
// the service does not start with one. A test calls each with no token and with a weaker one.
//
//   anyone      no token: tells nothing of the fleet
//   joiner      a join token; or a credential, to renew it; in an open fleet anyone
//   machine     a credential of this fleet; in an open fleet anyone
//   supernode   a supernode's credential
//   viewer ⊂ operator ⊂ admin     admin tokens by role

import { DfError } from "../../errors.ts";
import type { Caller } from "./callers.ts";

export type Access =
  | "anyone"
  | "joiner"
  | "machine"
  | "supernode"
  | "viewer"
  | "operator"
  | "admin";

/** The weakest that may call, and the most bytes that its body may have. */
interface RouteRule {
  access: Access;
  /** @defaultValue BODY_BYTES_MAX */
  bodyBytesMax?: number;
  /** Of another program's protocol: tokens are shown as that can (presented-token.ts). @defaultValue false */
  isForeign?: boolean;
}

/** What a person or a host says is short. */
const BODY_BYTES_MAX = 256 << 10;

/** Results of commands and 40,000 host IDs (heartbeat-outbox.ts); a list of URLs to preheat. */
const LONG_BODY_BYTES_MAX = 8 << 20;

export const ROUTE_RULES: Readonly<Record<string, RouteRule>> = {
  "GET /livez": { access: "anyone" },
  "GET /readyz": { access: "anyone" },
  "GET /metrics": { access: "viewer" },
  "GET /openapi.json": { access: "anyone" },
  "GET /docs": { access: "anyone" },
  "GET /docs/:asset": { access: "anyone" },

  "GET /api/v1/ca": { access: "anyone" },
  "POST /api/v1/join": { access: "joiner" },
  "POST /api/v1/heartbeat": { access: "supernode", bodyBytesMax: LONG_BODY_BYTES_MAX },
  "POST /api/v1/routes": { access: "machine" },

  "GET /api/v1/whoami": { access: "viewer" },
  "GET /api/v1/clusters": { access: "viewer" },
  "POST /api/v1/clusters": { access: "operator" },
  "GET /api/v1/clusters/:name": { access: "viewer" },
  "PATCH /api/v1/clusters/:name": { access: "operator" },
  "DELETE /api/v1/clusters/:name": { access: "operator" },
  "GET /api/v1/rules": { access: "viewer" },
  "POST /api/v1/rules": { access: "operator" },
  "PUT /api/v1/rules/:id": { access: "operator" },
  "DELETE /api/v1/rules/:id": { access: "operator" },
  "GET /api/v1/supernodes": { access: "viewer" },
  "GET /api/v1/supernodes/:hostId": { access: "viewer" },
  "DELETE /api/v1/supernodes/:hostId": { access: "operator" },
  "GET /api/v1/hosts": { access: "viewer" },
  "GET /api/v1/hosts/:hostId": { access: "viewer" },
  "DELETE /api/v1/hosts/:hostId": { access: "operator" },
  "GET /api/v1/settings": { access: "viewer" },
  "GET /api/v1/settings/fleet": { access: "viewer" },
  "PUT /api/v1/settings/fleet": { access: "operator" },
  "PATCH /api/v1/settings/fleet": { access: "operator" },
  "GET /api/v1/settings/clusters/:cluster": { access: "viewer" },
  "PUT /api/v1/settings/clusters/:cluster": { access: "operator" },
  "PATCH /api/v1/settings/clusters/:cluster": { access: "operator" },
  "GET /api/v1/settings/labels/:selector": { access: "viewer" },
  "PUT /api/v1/settings/labels/:selector": { access: "operator" },
  "PATCH /api/v1/settings/labels/:selector": { access: "operator" },
  "GET /api/v1/settings/resolved": { access: "viewer" },
  "GET /api/v1/settings/history": { access: "viewer" },
  "GET /api/v1/settings/versions/:version": { access: "viewer" },
  "GET /api/v1/settings/diff": { access: "viewer" },
  "POST /api/v1/settings/rollback": { access: "operator" },
  "GET /api/v1/preheats": { access: "viewer" },
  "POST /api/v1/preheats": { access: "operator", bodyBytesMax: LONG_BODY_BYTES_MAX },
  "POST /api/v1/preheats/images": { access: "operator" },
  "GET /api/v1/preheats/:id": { access: "viewer" },
  "GET /api/v1/preheats/:id/targets": { access: "viewer" },
  "DELETE /api/v1/preheats/:id": { access: "operator" },
  "GET /healthy": { access: "viewer", isForeign: true },
  "GET /_ping": { access: "viewer", isForeign: true },
  "GET /health": { access: "viewer", isForeign: true },
  "POST /oapi/v1/jobs": { access: "operator", isForeign: true, bodyBytesMax: LONG_BODY_BYTES_MAX },
  "GET /oapi/v1/jobs/:number": { access: "viewer", isForeign: true },
  "POST /preheats": { access: "operator", isForeign: true },
  "GET /preheats/:id": { access: "viewer", isForeign: true },
  "POST /registry/notifications": {
    ...{ access: "operator", isForeign: true, bodyBytesMax: LONG_BODY_BYTES_MAX },
  },
  "GET /api/v1/tokens": { access: "operator" },
  // An operator lets machines join; only an admin makes administrators.
  "POST /api/v1/tokens": { access: "operator" },
  "DELETE /api/v1/tokens/:id": { access: "admin" },
};

const STRENGTH = { viewer: 1, operator: 2, admin: 3 } as const;

/**
 * Whether who shows nothing may call: where this service is the business of one machine alone, its
 * administrator may let programs there order preheats as they are, because Harbor can be set so.
 */
export function isOpenRoute(
  { isForeign = false }: RouteRule,
  { isPreheatOpen = false }: Openings,
): boolean {
  return isForeign && isPreheatOpen;
}

/** What is let in without a token. */
export interface Openings {
  /** Hosts that join and ask for routes. */
  isOpen: boolean;
  /** Programs of this machine that order preheats by routes of other programs' protocols. @defaultValue false */
  isPreheatOpen?: boolean;
}

export function bodyBytesMaxOf(rule: RouteRule): number {
  return rule.bodyBytesMax ?? BODY_BYTES_MAX;
}

/**
 * Refuses a caller who may not.
 * @throws {DfError} unauthorized (nobody known asks), denied (somebody who may not)
 */
export function requireAccess(access: Access, caller: Caller, isOpen: boolean): void {
  if (access === "anyone") return;
  if (isOpen && (access === "joiner" || access === "machine")) return;
  if (caller.kind === "nobody") {
    throw new DfError("unauthorized", "answer the request: it carries no token", {
      hint: hintOf(access),
    });
  }
  if (isEnough(access, caller)) return;
  throw new DfError("denied", "answer the request: its token may not do this", {
    hint: hintOf(access),
  });
}

function isEnough(access: Exclude<Access, "anyone">, caller: Caller): boolean {
  switch (access) {
    case "joiner":
      return caller.kind === "joiner" || caller.kind === "machine";
    case "machine":
      return caller.kind === "machine";
    case "supernode":
      return caller.kind === "machine" && caller.credential.role === "supernode";
    case "viewer":
    case "operator":
    case "admin":
      return caller.kind === "administrator" && STRENGTH[caller.role] >= STRENGTH[access];
  }
}

function hintOf(access: Exclude<Access, "anyone">): string {
  switch (access) {
    case "joiner":
      return "give the fleet's join line: --join @FILE, or a join token: Authorization: Bearer dfj_…";
    case "machine":
    case "supernode":
      return "join the fleet first and send the credential that it gave";
    case "viewer":
    case "operator":
    case "admin":
      return `send an admin token with the role ${access} or more: Authorization: Bearer dfa_…`;
  }
}
