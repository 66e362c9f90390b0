// What a request for something of a private content carries: the ticket, the requester's key, and a
// proof that this request was made with that key just now.
//
//   DF-Ticket: <JWT>             see piece-ticket.ts
//   DF-Key: <base64>             the requester's public key, SPKI; its digest is the ticket's host ID
//   DF-Proof: <at>.<base64>      at: Unix milliseconds; Ed25519 over
//                                "df piece request 1" LF path and query LF Host LF at
//
// The proof names path and server, so a parent cannot use it for another piece. It could pass it on to
// another server under its own name, for a server does not know by which names it is reached. That brings
// what overhearing and replaying brings: bytes that only the key opens, unless `encryption` is off.

import { sign, verify, type KeyObject } from "node:crypto";
import type { Secret } from "../../engine/bytes/secret.ts";
import { hostIdOf, privateKeyOf, publicKeyOf } from "./key-proof.ts";
import type { TicketCheck, TicketGrant } from "./piece-ticket.ts";

/** How far the requester's clock and the way there may be off. */
const AGE_MAX_MS = 90_000;

/** Characters of an Ed25519 key as SPKI (44 bytes) in base64. */
const KEY_CHARACTERS = 60;

const PROOF = /^(\d{1,15})\.([A-Za-z0-9+/]{86}==)$/;

/** Keys of requesters remembered beside their tickets. */
const KEYS_REMEMBERED_MAX = 4_096;

export interface TicketedPath {
  /** Path and query. */
  path: string;
  /** As in the Host header field. */
  host: string;
}

/** Gives the header fields by which one request may have what it asks for. */
export type Authorise = (asked: TicketedPath) => Record<string, string>;

/** A proof may be shown again for so long, e.g. with each range of one piece: the server remembers it. */
export const PROOF_REUSE_MS = 30_000;

/** Proofs remembered: those of the pieces that are under way. */
const PROOFS_REMEMBERED_MAX = 256;

/** Signs the requests of one host. Each costs a signature, 20 µs. */
export class RequestSigner {
  readonly #key: KeyObject;
  readonly #publicKey: string;

  /** @param identity SPKI and PKCS #8 DER, base64 */
  constructor(identity: { publicKey: string; privateKey: Secret<string> }) {
    this.#key = privateKeyOf(identity.privateKey.reveal());
    this.#publicKey = identity.publicKey;
  }

  /** The header fields of one request. */
  fields(ticket: string, asked: TicketedPath): Record<string, string> {
    const at = Date.now();
    const signature = sign(null, statement(asked, at), this.#key).toString("base64");
    return { "DF-Ticket": ticket, "DF-Key": this.#publicKey, "DF-Proof": `${at}.${signature}` };
  }
}

/** Tells whether requests may have what they ask for. Each new proof costs the check of a signature, 76 µs. */
export class RequestCheck {
  readonly #tickets: TicketCheck;
  /** By their text. */
  #keys = new Map<string, { hostId: string; key: KeyObject }>();
  /** What each signature was found to be over, and by whom. */
  #proofs = new Map<string, string>();

  constructor(tickets: TicketCheck) {
    this.#tickets = tickets;
  }

  /** @param headers of the request, Host among them */
  isAuthorised(contentId: string, path: string, headers: Headers): boolean {
    const grant = this.#tickets.grantOf(headers.get("df-ticket") ?? "");
    if (grant === null || grant.contentId !== contentId) return false;
    const key = this.#keyOf(grant, headers.get("df-key") ?? "");
    const [, at = "", signature = ""] = PROOF.exec(headers.get("df-proof") ?? "") ?? [];
    if (key === null || at === "" || Math.abs(Date.now() - Number(at)) > AGE_MAX_MS) return false;
    const stated = statement({ path, host: headers.get("host") ?? "" }, Number(at));
    const proven = `${grant.hostId} ${stated.toString()}`;
    if (this.#proofs.get(signature) === proven) return true;
    if (!verify(null, stated, key, Buffer.from(signature, "base64"))) return false;
    if (this.#proofs.size >= PROOFS_REMEMBERED_MAX) this.#proofs = new Map();
    this.#proofs.set(signature, proven);
    return true;
  }

  /** The key that the ticket is bound to, once it was shown. */
  #keyOf({ hostId }: TicketGrant, text: string): KeyObject | null {
    const known = this.#keys.get(text);
    if (known !== undefined) return known.hostId === hostId ? known.key : null;
    if (text.length !== KEY_CHARACTERS || hostIdOf(text) !== hostId) return null;
    try {
      const key = publicKeyOf(text);
      if (key.asymmetricKeyType !== "ed25519") return null;
      if (this.#keys.size >= KEYS_REMEMBERED_MAX) this.#keys = new Map();
      this.#keys.set(text, { hostId, key });
      return key;
    } catch {
      return null;
    }
  }
}

function statement({ path, host }: TicketedPath, at: number): Buffer {
  return Buffer.from(`df piece request 1\n${path}\n${host}\n${at}`);
}
