// A ticket lets one host have one private content from any member of the fleet for a few minutes: a
// JWT signed with the cluster's Ed25519 key (EdDSA), whose public half every piece server has.
//
//   header { alg: "EdDSA", typ: "df-ticket+jwt" }
//   claims { jti, sub: host ID, content: content ID, iat, exp }
//
// The host ID is the digest of the host's public key, and who shows a ticket proves with each request
// that it has that key: see ticketed-request.ts. A stolen ticket is worth nothing.

import { randomUUID, sign, verify, type KeyObject } from "node:crypto";
import { z } from "zod";
import { privateKeyOf, publicKeyOf } from "./key-proof.ts";
import { ID_PATTERN } from "./piece-api.ts";

/** Who may have what. */
export interface TicketGrant {
  contentId: string;
  hostId: string;
}

/** How long a ticket may last: who lost the right at the source gets no pieces after that. */
export const TICKET_LIFE_SECONDS_MAX = 300;

/** Clocks of a fleet may differ by so much. */
const CLOCK_LEEWAY_SECONDS = 60;

/**
 * The only header there is. A ticket begins with these very characters or is none, so what it says
 * of its algorithm ("none", "HS256" with the public key as the secret) is never looked at.
 */
const HEADER = encoded({ alg: "EdDSA", typ: "df-ticket+jwt" });

/** The bound of the messages and header fields that carry it. */
const TICKET_CHARACTERS_MAX = 2_048;

/** Checked tickets remembered: a signature costs 76 µs, and a child shows its ticket with each piece. */
const REMEMBERED_MAX = 4_096;

const claimsSchema = z.object({
  jti: z.string().min(1).max(64),
  sub: z.string().regex(ID_PATTERN),
  content: z.string().regex(ID_PATTERN),
  exp: z.int().min(0),
});

/**
 * Makes a ticket. Costs a signature and the parsing of the key, some 40 µs.
 * @param clusterPrivateKey PKCS #8 DER, base64
 */
export function signTicket(
  clusterPrivateKey: string,
  { contentId, hostId }: TicketGrant,
  lifeSeconds = TICKET_LIFE_SECONDS_MAX,
): string {
  const iat = Math.floor(Date.now() / 1000);
  const exp = iat + Math.min(lifeSeconds, TICKET_LIFE_SECONDS_MAX);
  const claims = { jti: randomUUID(), sub: hostId, content: contentId, iat, exp };
  const signed = `${HEADER}.${encoded(claims)}`;
  const signature = sign(null, Buffer.from(signed), privateKeyOf(clusterPrivateKey));
  return `${signed}.${signature.toString("base64url")}`;
}

/** Checks the tickets of one cluster. */
export class TicketCheck {
  readonly #key: KeyObject;
  #remembered = new Map<string, { grant: TicketGrant; expiresAtMs: number }>();

  /**
   * @param clusterPublicKey SPKI DER, base64
   * @throws for anything but an Ed25519 key
   */
  constructor(clusterPublicKey: string) {
    this.#key = publicKeyOf(clusterPublicKey);
    if (this.#key.asymmetricKeyType !== "ed25519") throw new Error("the key is not Ed25519");
  }

  /** What a ticket grants now; null: nothing, for whatever reason. */
  grantOf(ticket: string): TicketGrant | null {
    let known = this.#remembered.get(ticket);
    if (known === undefined) {
      const read = this.#read(ticket);
      if (read === null) return null;
      known = read;
      // Forgetting all at once costs each ticket one more check; keeping order would cost every check.
      if (this.#remembered.size >= REMEMBERED_MAX) this.#remembered = new Map();
      this.#remembered.set(ticket, known);
    }
    return known.expiresAtMs + CLOCK_LEEWAY_SECONDS * 1000 < Date.now() ? null : known.grant;
  }

  #read(ticket: string): { grant: TicketGrant; expiresAtMs: number } | null {
    if (ticket.length > TICKET_CHARACTERS_MAX) return null;
    const [header, claims = "", signature = "", ...rest] = ticket.split(".");
    if (header !== HEADER || rest.length > 0) return null;
    const signed = Buffer.from(`${header}.${claims}`);
    try {
      if (!verify(null, signed, this.#key, Buffer.from(signature, "base64url"))) return null;
      const { sub, content, exp } = claimsSchema.parse(
        JSON.parse(Buffer.from(claims, "base64url").toString()),
      );
      return { grant: { contentId: content, hostId: sub }, expiresAtMs: exp * 1000 };
    } catch {
      return null;
    }
  }
}

function encoded(value: object): string {
  return Buffer.from(JSON.stringify(value)).toString("base64url");
}
