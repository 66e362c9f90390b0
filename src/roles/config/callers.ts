// Who sends a request, told by its `Authorization: Bearer …`: an administrator, a machine of the fleet,
// one that wants to join, or nobody. A token that is wrong is refused here, whatever the route, and who
// shows many of them is refused before the database is asked.

import { DfError } from "../../errors.ts";
import type { Credential, CredentialCheck } from "../../net/fleet/credential.ts";
import type { AdminRole } from "../../net/wire/admin-api.ts";
import type { FleetDatabase } from "../../store/fleet-database/fleet-database.ts";
import { findToken, type TokenRow } from "../../store/fleet-database/tokens.ts";
import { FailedAttempts } from "./failed-attempts.ts";
import { isSameDigest, readTokenSecret } from "./token-secret.ts";

export type Caller =
  | { kind: "nobody" }
  | { kind: "administrator"; role: AdminRole; token: TokenRow }
  /** The token is right; its use is counted by the join. */
  | { kind: "joiner"; token: TokenRow }
  | { kind: "machine"; credential: Credential };

const NOBODY: Caller = { kind: "nobody" };

/** A machine's credential; a token of this fleet has no dots (RFC 7519 §3). */
const JWT = /^[\w-]+\.[\w-]+\.[\w-]*$/;

export class Callers {
  readonly #database: FleetDatabase;
  readonly #credentials: CredentialCheck;
  readonly #attempts = new FailedAttempts();

  constructor(database: FleetDatabase, credentials: CredentialCheck) {
    this.#database = database;
    this.#credentials = credentials;
  }

  /**
   * @param authorization the header; undefined: there is none
   * @param address from which it comes; null: not known, behind a proxy
   * @throws {DfError} unauthorized; too-many, from this address
   */
  async identify(authorization: string | undefined, address: string | null): Promise<Caller> {
    if (authorization === undefined) return NOBODY;
    const bearer = /^Bearer +([\w.~+/-]+=*)$/i.exec(authorization)?.[1];
    if (bearer === undefined) throw refusal("it is no bearer token");
    if (JWT.test(bearer)) {
      return { kind: "machine", credential: await this.#credentials.check(bearer) };
    }
    if (address === null) return callerOf(await this.#tokenOf(bearer));
    if (!this.#attempts.begin(address, performance.now())) {
      throw new DfError("too-many", "check the token: too many wrong ones came from this address", {
        hint: "try again in a moment, and look for who sends tokens that are no longer valid",
      });
    }
    const row = await this.#tokenOf(bearer);
    this.#attempts.succeeded(address, performance.now());
    return callerOf(row);
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
