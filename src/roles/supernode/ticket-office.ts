// Signs the tickets by which private contents are fetched: for children that were proven at the source,
// with the answer to their join and again while they download, and for this supernode's own fetches.

import type { Secret } from "../../engine/bytes/secret.ts";
import { signTicket, type TicketGrant } from "../../net/wire/piece-ticket.ts";
import { RequestSigner, type Authorise } from "../../net/wire/ticketed-request.ts";
import type { ContentFacts } from "../../store/piece-store.ts";
import type { HostIdentity } from "../peer/host-identity.ts";

/** A ticket lasts 300 s: a child may miss one and still have the next in time. */
const RENEWAL_MS = 120_000;

const PASS_INTERVAL_MS = 1_000;

/** A ticket costs 40 µs: 8 ms of each second at most, enough for 24,000 children. */
const TICKETS_PER_PASS = 200;

/** Own tickets kept; one is made in no time when it is asked for again. */
const OWN_MAX = 1_024;

/** A child that was proven at the source. */
export interface AdmittedChild extends TicketGrant {
  /** Whether it still takes part, and asked for work since then (`performance.now()`). */
  hasAskedSince(ms: number): boolean;
  give(ticket: string): void;
}

interface Holder {
  child: AdmittedChild;
  givenAtMs: number;
}

/** What decides whether a content is given against tickets. */
export type PrivacyFacts = Pick<ContentFacts, "contentId" | "isPrivate">;

export class TicketOffice {
  readonly #clusterPrivateKey: Secret<string>;
  readonly #hostId: string;
  readonly #renewalMs: number;
  readonly #signer: RequestSigner;
  /** By content and host, oldest ticket first: who joins again and again is one holder. */
  readonly #holders = new Map<string, Holder>();
  readonly #own = new Map<string, { ticket: string; givenAtMs: number }>();
  readonly #timer: ReturnType<typeof setInterval>;

  /**
   * @param clusterPrivateKey Ed25519 PKCS #8, base64
   * @param options.renewalMs how old a ticket is when a fresh one follows @defaultValue RENEWAL_MS
   */
  constructor(
    clusterPrivateKey: Secret<string>,
    identity: HostIdentity,
    { renewalMs = RENEWAL_MS }: { renewalMs?: number } = {},
  ) {
    this.#clusterPrivateKey = clusterPrivateKey;
    this.#hostId = identity.hostId;
    this.#renewalMs = renewalMs;
    this.#signer = new RequestSigner(identity);
    const passMs = Math.min(PASS_INTERVAL_MS, renewalMs);
    this.#timer = setInterval(() => this.#renew(performance.now()), passMs);
  }

  /** The ticket of a child that takes part; a fresh one follows for as long as it asks for work. */
  admit(child: AdmittedChild): string {
    this.#hold({ child, givenAtMs: performance.now() });
    return signTicket(this.#clusterPrivateKey.reveal(), child);
  }

  /** For what this supernode itself fetches of a content; undefined: anybody may have that. */
  authorise({ contentId, isPrivate }: PrivacyFacts): Authorise | undefined {
    if (isPrivate !== true) return undefined;
    return (asked) => this.#signer.fields(this.#ownTicket(contentId), asked);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** A child that asked for no work since its last ticket is done, and gets no further one. */
  #renew(nowMs: number): void {
    for (let count = 0; count < TICKETS_PER_PASS; count++) {
      const [oldest] = this.#holders;
      if (oldest === undefined || nowMs - oldest[1].givenAtMs < this.#renewalMs) return;
      const [name, holder] = oldest;
      this.#holders.delete(name);
      const { child, givenAtMs } = holder;
      if (!child.hasAskedSince(givenAtMs)) continue;
      child.give(signTicket(this.#clusterPrivateKey.reveal(), child));
      this.#hold({ child, givenAtMs: nowMs });
    }
  }

  #hold(holder: Holder): void {
    const { contentId, hostId } = holder.child;
    const name = `${contentId} ${hostId}`;
    this.#holders.delete(name);
    this.#holders.set(name, holder);
  }

  #ownTicket(contentId: string): string {
    const nowMs = performance.now();
    const known = this.#own.get(contentId);
    if (known !== undefined && nowMs - known.givenAtMs < this.#renewalMs) return known.ticket;
    const ticket = signTicket(this.#clusterPrivateKey.reveal(), {
      contentId,
      hostId: this.#hostId,
    });
    if (this.#own.size >= OWN_MAX) this.#own.clear();
    this.#own.set(contentId, { ticket, givenAtMs: nowMs });
    return ticket;
  }
}
