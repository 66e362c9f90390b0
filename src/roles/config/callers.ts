// Who sends a request, told by its `Authorization: Bearer …`: an administrator, a machine of the fleet,
// one that wants to join, or nobody. A token that is wrong is refused here, whatever the route.

import { DfError } from "../../errors.ts";
import type { Credential, CredentialCheck } from "../../net/fleet/credential.ts";
import type { AdminRole } from "../../net/wire/admin-api.ts";
import type { FleetDatabase } from "../../store/fleet-database/fleet-database.ts";
import { findToken, type TokenRow } from "../../store/fleet-database/tokens.ts";
import { isSameDigest, readTokenSecret } from "./token-secret.ts";

export type Caller =
  | { kind: "nobody" }
  | { kind: "administrator"; role: AdminRole; token: TokenRow }
  /** The token is right; its use is counted by the join. */
  | { kind: "joiner"; token: TokenRow }
  | { kind: "machine"; credential: Credential };

const NOBODY: Caller = { kind: "nobody" };

export class Callers {
  readonly #database: FleetDatabase;
  readonly #credentials: CredentialCheck;

  constructor(database: FleetDatabase, credentials: CredentialCheck) {
    this.#database = database;
    this.#credentials = credentials;
  }

  /**
   * @param authorization the header; undefined: there is none
   * @throws {DfError} unauthorized
   */
  async identify(authorization: string | undefined): Promise<Caller> {
    if (authorization === undefined) return NOBODY;
    const bearer = /^Bearer +([\w.~+/-]+=*)$/i.exec(authorization)?.[1];
    if (bearer === undefined) throw refusal("it is no bearer token");
    if (!bearer.startsWith("df")) {
      return { kind: "machine", credential: await this.#credentials.check(bearer) };
    }
    return callerOf(await this.#tokenOf(bearer));
  }

  async #tokenOf(text: string): Promise<TokenRow> {
    const secret = readTokenSecret(text);
    const row = secret === undefined ? undefined : await findToken(this.#database, secret.id);
    // One answer for what is unknown and what is wrong: IDs are no secrets, but need not be confirmed.
    if (
      secret === undefined ||
      row === undefined ||
      row.kind !== secret.kind ||
      !isSameDigest(row.secretSha256, secret.secretSha256)
    ) {
      throw refusal("it is not one of this fleet");
    }
    if (row.revokedAt !== null) throw refusal("it was revoked");
    if (row.expiresAt !== null && row.expiresAt <= Date.now()) throw refusal("it has expired");
    return row;
  }
}

function callerOf(token: TokenRow): Caller {
  if (token.kind === "join") return { kind: "joiner", token };
  return { kind: "administrator", role: token.role as AdminRole, token };
}

function refusal(because: string): DfError {
  return new DfError("unauthorized", `check the token: ${because}`, {
    hint: "an administrator makes new ones with df token create",
  });
}
