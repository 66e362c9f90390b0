// A machine's proof that it belongs to the fleet: a JWT signed with the fleet's Ed25519 key (EdDSA).
// Whoever has the public key checks it without asking; what was revoked is told apart (heartbeats).
//
//   { jti, sub: host ID, role: "supernode" | "peer", cluster, iat, exp }
//
// The host ID is the digest of the machine's own public key, so a credential is bound to that key.

import { importJWK, jwtVerify, SignJWT, type CryptoKey } from "jose";
import { z } from "zod";
import { DfError } from "../../errors.ts";

export type FleetRole = "supernode" | "peer";

export interface Credential {
  /** By which it is revoked. */
  id: string;
  hostId: string;
  role: FleetRole;
  cluster: string;
  /** Unix milliseconds. */
  expiresAt: number;
}

const claimsSchema = z.object({
  jti: z.string().min(1).max(64),
  sub: z.string().regex(/^[0-9a-f]{64}$/),
  role: z.enum(["supernode", "peer"]),
  cluster: z.string().max(63),
  exp: z.number(),
});

/** Tells a credential from any other JWT that the same key might sign one day. */
const TYPE = "df-credential+jwt";

/** Clocks of a fleet may differ by so much. */
const CLOCK_TOLERANCE_SECONDS = 60;

/** Checked credentials remembered: a signature costs some 100 µs, and each host shows its own often. */
const REMEMBERED_MAX = 20_000;

/** Makes a credential. @param key the fleet's private key */
export async function signCredential(
  key: CryptoKey,
  { id, hostId, role, cluster, expiresAt }: Credential,
): Promise<string> {
  return new SignJWT({ role, cluster })
    .setProtectedHeader({ alg: "EdDSA", typ: TYPE })
    .setJti(id)
    .setSubject(hostId)
    .setIssuedAt()
    .setExpirationTime(Math.floor(expiresAt / 1000))
    .sign(key);
}

/** What a machine shows with a request, to be spread into its options; without a fleet nothing. */
export function bearerOf(credential: string | undefined): { headers?: Record<string, string> } {
  return credential === undefined ? {} : { headers: { authorization: `Bearer ${credential}` } };
}

/** Checks what machines of one fleet show. */
export class CredentialCheck {
  readonly #key: Promise<CryptoKey>;
  #remembered = new Map<string, Credential>();
  #revoked: ReadonlySet<string> = new Set();

  /** @param fleetKey raw Ed25519 public key, base64 */
  constructor(fleetKey: string) {
    const x = Buffer.from(fleetKey, "base64").toString("base64url");
    this.#key = importJWK({ kty: "OKP", crv: "Ed25519", x }, "EdDSA");
    // Reported by the first check.
    this.#key.catch(() => {});
  }

  /** @param ids credentials that are no longer believed, all of them */
  revoke(ids: ReadonlySet<string>): void {
    this.#revoked = ids;
  }

  isRevoked(credential: Credential): boolean {
    return this.#revoked.has(credential.id);
  }

  /**
   * What a credential says, once its signature, age and standing were checked.
   * @param token the JWT alone, without "Bearer"
   * @throws {DfError} unauthorized
   */
  async check(token: string): Promise<Credential> {
    const credential = this.#remembered.get(token) ?? (await this.#verify(token));
    if (credential.expiresAt + CLOCK_TOLERANCE_SECONDS * 1000 < Date.now()) {
      throw refusal("it has expired", "join the fleet again");
    }
    if (this.isRevoked(credential)) {
      throw refusal("it was revoked", "ask the fleet's operator for a new join string");
    }
    return credential;
  }

  async #verify(token: string): Promise<Credential> {
    const key = await this.#key;
    const { jti, sub, role, cluster, exp } = await jwtVerify(token, key, {
      algorithms: ["EdDSA"],
      typ: TYPE,
      clockTolerance: CLOCK_TOLERANCE_SECONDS,
    })
      .then(({ payload }) => claimsSchema.parse(payload))
      .catch((cause: unknown) => {
        throw refusal(
          "this fleet did not sign it, or it has expired",
          "join the fleet again",
          cause,
        );
      });
    const credential = { id: jti, hostId: sub, role, cluster, expiresAt: exp * 1000 };
    // Forgetting all at once costs each host one more check; keeping order would cost every check.
    if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered = new Map();
    this.#remembered.set(token, credential);
    return credential;
  }
}

function refusal(because: string, hint: string, cause?: unknown): DfError {
  return new DfError("unauthorized", `check the credential: ${because}`, { hint, cause });
}
