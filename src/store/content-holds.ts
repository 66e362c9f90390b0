// What keeps one content from eviction: leases of who uses it in this process, pins that outlast
// restarts, and reads of a moment ago.

/** Uploads are told about once a second: a content that is being read outlasts a missed report or two. */
const READ_GRACE_MS = 5_000;

export class ContentHolds {
  #leases = 0;
  /** When each reason to keep it ends, Unix milliseconds. */
  readonly #pins: Map<string, number>;
  /** Unix milliseconds; read without a lease until then. */
  #readUntil = 0;

  constructor(pins: readonly { reason: string; expiresAt: number }[]) {
    this.#pins = new Map(pins.map(({ reason, expiresAt }) => [reason, expiresAt]));
  }

  get isLeased(): boolean {
    return this.#leases > 0;
  }

  get isPinned(): boolean {
    const now = Date.now();
    return [...this.#pins.values()].some((expiresAt) => expiresAt > now);
  }

  /** Whether eviction leaves the content alone. */
  get isKept(): boolean {
    return this.isLeased || this.isPinned || this.#readUntil > Date.now();
  }

  /** Until the returned function is called; idempotent. */
  lease(): () => void {
    this.#leases++;
    let isHeld = true;
    return () => {
      if (isHeld) this.#leases--;
      isHeld = false;
    };
  }

  /** Somebody reads it without a lease. */
  noteRead(): void {
    this.#readUntil = Date.now() + READ_GRACE_MS;
  }

  pin(reason: string, expiresAt: number): void {
    this.#pins.set(reason, expiresAt);
  }

  /** Returns whether there was such a pin. */
  unpin(reason: string): boolean {
    return this.#pins.delete(reason);
  }
}
