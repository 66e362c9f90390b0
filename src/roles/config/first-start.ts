// What the first start of a fleet makes: the first admin token and the first join string, each in a
// 0600 file in the data directory. There are no default credentials.

import { join } from "node:path";
import { Secret } from "../../engine/bytes/secret.ts";
import { formatJoinString, type JoinString } from "../../net/fleet/join-string.ts";
import type { FleetDatabase } from "../../store/fleet-database/fleet-database.ts";
import { insertToken, listTokens, type TokenRow } from "../../store/fleet-database/tokens.ts";
import { adminTokenPath } from "./config-dir.ts";
import { isUsableAdmin } from "./resources/tokens.ts";
import { writeSecretFile } from "./secret-file.ts";
import { createTokenSecret, type TokenKind } from "./token-secret.ts";

export interface FirstStartOptions {
  database: FleetDatabase;
  dataDir: string;
  /** What the join string says beside its token. */
  place: Omit<JoinString, "token">;
  /** Makes an admin token though there is one: the first was lost. */
  isAdminTokenWanted: boolean;
}

/** A secret and the file that holds it. */
export interface KeptSecret {
  path: string;
  text: Secret<string>;
}

export interface FirstStart {
  /** Null: none was made now. */
  adminToken: KeptSecret | null;
  joinString: KeptSecret | null;
}

/** Where the first join string of this data directory lies. */
export function joinStringPath(dataDir: string): string {
  return join(dataDir, "join");
}

/** @throws {DfError} file-unwritable, no-space */
export async function makeFirstTokens(options: FirstStartOptions): Promise<FirstStart> {
  const { database, dataDir, place, isAdminTokenWanted } = options;
  const tokens = await listTokens(database);
  const nowMs = Date.now();
  const hasAdmin = tokens.some((token) => isUsableAdmin(token, nowMs));
  return {
    adminToken:
      hasAdmin && !isAdminTokenWanted
        ? null
        : await makeToken("admin", database, (text) => ({
            path: adminTokenPath(dataDir),
            text: new Secret(text),
          })),
    joinString: tokens.some(({ kind }) => kind === "join")
      ? null
      : await makeToken("join", database, (token) => ({
          path: joinStringPath(dataDir),
          text: new Secret(formatJoinString({ ...place, token })),
        })),
  };
}

/** The file first: a token that nobody knows would be worse than a file that says nothing. */
async function makeToken(
  kind: TokenKind,
  database: FleetDatabase,
  keep: (text: string) => KeptSecret,
): Promise<KeptSecret> {
  const { text, id, secretSha256 } = createTokenSecret(kind);
  const kept = keep(text);
  await writeSecretFile(kept.path, `${kept.text.reveal()}\n`);
  const row: TokenRow = {
    ...{ id, kind, secretSha256, comment: "first start", createdAt: Date.now() },
    role: kind === "admin" ? "admin" : null,
    ...{ cluster: null, usesMax: null, useCount: 0, createdBy: null },
    ...{ usedAt: null, expiresAt: null, revokedAt: null },
  };
  await insertToken(database, row);
  await database.persist();
  return kept;
}
