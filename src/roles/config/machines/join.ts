// POST /api/v1/join: a join token becomes a credential of the machine's own; a credential that is
// still good becomes a new one, before it expires.

import { createRoute } from "@hono/zod-openapi";
import { digestNow, toHex } from "../../../engine/bytes/digest.ts";
import { DfError } from "../../../errors.ts";
import {
  joinAnswerSchema,
  type JoinFleetRequest,
  joinRequestSchema,
} from "../../../net/wire/fleet-api.ts";
import { isProven } from "../../../net/wire/key-proof.ts";
import { insertCluster } from "../../../store/fleet-database/clusters.ts";
import {
  findCredential,
  hasJoinedWith,
  insertCredential,
  revokeCredentials,
} from "../../../store/fleet-database/credentials.ts";
import type { FleetDatabase } from "../../../store/fleet-database/fleet-database.ts";
import { saveJoinedSupernode } from "../../../store/fleet-database/supernodes.ts";
import { type TokenRow, useJoinToken } from "../../../store/fleet-database/tokens.ts";
import type { Caller } from "../callers.ts";
import { jsonAnswer, jsonBody, type Resource } from "../config-app.ts";
import type { ConfigParts } from "../config-parts.ts";

/** A machine that was off for a year joins anew. Members renew theirs when half of it is over. */
const CREDENTIAL_LIFE_MS = 366 * 86_400_000;

const DEFAULT_CLUSTER = "default";

/** An Ed25519 key's SPKI, DER, is this and 32 bytes. */
const ED25519_SPKI_PREFIX = "302a300506032b6570032100";
const ED25519_SPKI_LENGTH = 44;

const joinRoute = createRoute({
  method: "post",
  path: "/api/v1/join",
  tags: ["machines"],
  summary: "Become part of the fleet, or renew a credential",
  request: { body: jsonBody(joinRequestSchema) },
  responses: jsonAnswer("A credential for this machine", joinAnswerSchema),
});

type JoinParts = Pick<ConfigParts, "database" | "keys" | "authority">;

export function joinResource({ database, keys, authority }: JoinParts): Resource {
  return (app) => {
    app.openapi(joinRoute, async (context) => {
      const request = context.req.valid("json");
      refuseWrongKey(request);
      refuseUnproven(request);
      const caller = context.get("caller");
      const cluster = clusterFor(request, caller);
      // Made before anything is written: it fails for a key that is none.
      const secrets =
        request.role === "supernode" ? { secrets: await authority.secretsFor(request) } : {};
      if (caller.kind === "joiner") await spend(caller.token, request, database);
      const tokenId = await tokenBehind(caller, database);
      const nowMs = Date.now();
      const { hostId, role, hostname, version } = request;
      const credential = {
        ...{ id: crypto.randomUUID(), hostId, role, cluster },
        expiresAt: nowMs + CREDENTIAL_LIFE_MS,
      };
      if (role === "supernode") {
        // A host's wish makes none: anybody could make thousands, each news for every host.
        await insertCluster(database, {
          ...{ name: cluster, labels: {}, upstream: null, createdAt: nowMs },
        });
        await saveJoinedSupernode(database, {
          hostId,
          cluster,
          hostname,
          version,
          joinedAt: nowMs,
        });
      }
      await insertCredential(database, {
        ...{ ...credential, tokenId },
        ...{ issuedAt: nowMs, revokedAt: null },
      });
      if (caller.kind === "machine")
        await refuseRevoked(caller.credential.id, credential.id, database);
      const { clusterKey } = authority;
      const signed = await keys.sign(credential);
      const answer = { credential: signed, cluster, fleetKey: keys.publicKey, clusterKey };
      return context.json({ ...answer, ...secrets }, 200);
    });
  };
}

/** A host ID is the digest of the key, so that nobody joins as another. @throws {DfError} usage */
function refuseWrongKey({ publicKey, hostId }: JoinFleetRequest): void {
  const key = Buffer.from(publicKey, "base64");
  const isEd25519 =
    key.length === ED25519_SPKI_LENGTH && key.toString("hex").startsWith(ED25519_SPKI_PREFIX);
  if (isEd25519 && toHex(digestNow("sha256", key)) === hostId) return;
  throw new DfError("usage", "join the fleet: the host ID is not that of the public key", {
    hint: "the key is Ed25519 as SPKI (DER, base64), the host ID its SHA-256",
  });
}

/** Whoever copied a join string, or overheard a credential, does not hold the machine's key. @throws {DfError} denied */
function refuseUnproven({ hostId, publicKey, proof }: JoinFleetRequest): void {
  if (proof !== undefined && isProven("join", { hostId, publicKey }, proof)) return;
  throw new DfError("denied", "join the fleet: the machine does not prove that it holds its key", {
    hint: "set its clock, which may be off by minutes at most, and use this version of df there",
  });
}

/**
 * The cluster that the caller may join as it asks to.
 * @throws {DfError} denied
 */
function clusterFor(request: JoinFleetRequest, caller: Caller): string {
  const allowed = allowedBy(caller);
  if (allowed.hostId !== null && allowed.hostId !== request.hostId) {
    throw refusal("its credential is another machine's");
  }
  if (allowed.role !== null && allowed.role !== request.role) {
    throw refusal(`only as ${allowed.role} without another token, not as ${request.role}`);
  }
  const wanted = request.cluster ?? allowed.cluster ?? DEFAULT_CLUSTER;
  if (allowed.cluster !== null && allowed.cluster !== wanted) {
    throw refusal(`its token is for the cluster ${allowed.cluster}, not ${wanted}`);
  }
  return wanted;
}

/** Null: any. */
interface Allowed {
  hostId: string | null;
  role: string | null;
  cluster: string | null;
}

function allowedBy(caller: Caller): Allowed {
  switch (caller.kind) {
    case "machine":
      return caller.credential;
    case "joiner":
      return { hostId: null, role: caller.token.role, cluster: caller.token.cluster };
    case "administrator":
    case "nobody":
      // Only where the fleet is open (access.ts). Supernodes are believed by all: they need a token.
      return { hostId: null, role: "peer", cluster: null };
  }
}

/**
 * Counts one use; a machine whose answer was lost may ask again without a second one.
 * @throws {DfError} denied
 */
async function spend(
  { id, secretSha256 }: TokenRow,
  { hostId }: JoinFleetRequest,
  database: FleetDatabase,
): Promise<void> {
  if (await hasJoinedWith(database, { tokenId: id, hostId })) return;
  if ((await useJoinToken(database, { id, secretSha256, nowMs: Date.now() })) !== undefined) return;
  throw refusal("its token is used up");
}

/** A renewed credential goes with the token of the first one when that is revoked; null: none is known. */
async function tokenBehind(caller: Caller, database: FleetDatabase): Promise<string | null> {
  if (caller.kind === "joiner") return caller.token.id;
  if (caller.kind !== "machine") return null;
  return (await findCredential(database, caller.credential.id))?.tokenId ?? null;
}

/**
 * This replica may not have seen yet that the former one was revoked. Asked when the new one is stored:
 * a revocation that comes later finds it.
 * @throws {DfError} unauthorized
 */
async function refuseRevoked(formerId: string, id: string, database: FleetDatabase): Promise<void> {
  const former = await findCredential(database, formerId);
  // One that a restored backup does not know was signed by this fleet all the same.
  if (former === undefined || former.revokedAt === null) return;
  await revokeCredentials(database, { id }, Date.now());
  throw new DfError("unauthorized", "renew the credential: it was revoked", {
    hint: "ask the fleet's operator for a new join string",
  });
}

function refusal(because: string): DfError {
  return new DfError("denied", `join the fleet: ${because}`, {
    hint: "ask the fleet's operator for another join string",
  });
}
